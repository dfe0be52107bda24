"""slice_flatness: how the loss rises along random slices normalised to the filters of a network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.normalise import filter_normalised
from lossatlas.core.randomness import generator
from lossatlas.core.results import on_cpu
from lossatlas.landscape.contract import AffineRows, Landscape, accept_rows

__all__ = ["SliceFlatness", "slice_flatness"]


@dataclass(frozen=True)
class SliceFlatness:
    """The loss along slices w + α δ.

    Args:
        alphas: ``(m,)``, from −span to span; 1 is as long as the weights.
        rises: ``(*b, n, m)``, L(w + α δ_i) − L(w), not finite where the loss is not.
        loss: ``(*b,)``, L(w).
    """

    alphas: Tensor
    rises: Tensor
    loss: Tensor

    @property
    def profile(self) -> Tensor:
        """Mean rise over the directions, ``(*b, m)``."""
        return self.rises.mean(-2)

    @property
    def mean_rise(self) -> Tensor:
        """Mean over directions and over |α| ≤ span (trapezoids), ``(*b,)``: large where the minimum is sharp."""
        span: Tensor = torch.trapezoid(self.profile, self.alphas) / (self.alphas[-1] - self.alphas[0])
        return span

    def width(self, rise: float) -> Tensor:
        """Half-width |α| within which the mean profile stays below a rise, ``(*b,)``; the span where it always does.

        Raises:
            InputError: a rise that is not positive.
        """
        if not rise > 0:
            raise InputError(f"expected a rise above 0, got {rise}")
        middle = len(self.alphas) // 2
        folded = torch.maximum(self.profile[..., middle:], self.profile[..., : middle + 1].flip(-1))
        steps = self.alphas[middle:]
        above = ~(folded <= rise)
        first = above.int().argmax(-1)
        low = (first - 1).clamp_min(0)
        y0, y1 = (folded.gather(-1, i[..., None])[..., 0] for i in (low, first))
        part = ((rise - y0) / (y1 - y0)).nan_to_num(0.0).clamp(0.0, 1.0)
        inside = steps[low] + part * (steps[first] - steps[low])
        return inside.where(above.any(-1), steps[-1])


def slice_flatness(
    landscape: Landscape,
    w: Tensor,
    *,
    directions: Tensor | None = None,
    count: int = 10,
    span: float = 1.0,
    points: int = 21,
    seed: int = 0,
) -> SliceFlatness:
    """Evaluate the loss along random slices, L(w + α δ) for |α| ≤ span.

    With filter-normalised directions the slices of a ReLU network are the same whatever the scale of its layers, so
    that networks can be compared.

    Args:
        landscape: any; evaluated in float64 whatever its type.
        w: points ``(*b, d)``.
        directions: δ, ``(n, d)`` for all points or ``(*b, n, d)``; None: filter-normalised, which needs a network.
        count: directions drawn, where none are given.
        span: largest |α|.
        points: of each slice, odd, so that w itself is one.
        seed: names the directions.

    Returns:
        The rises, with their mean and width.

    Raises:
        InputError: points or directions of another landscape, no network to normalise to, or other arguments that
            cannot be.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=2, eigenvalues=[2.0, 8.0], rotate=False)
        >>> found = slice_flatness(bowl, torch.zeros(2).double(), directions=torch.eye(2).double(), points=101)
        >>> round(float(found.width(2.5 * 0.25)), 3), round(float(found.mean_rise), 2)
        (0.5, 0.83)
    """
    w = accept_rows(w, landscape)
    if points < 3 or points % 2 == 0 or not span > 0:
        raise InputError(f"expected an odd number of points, at least 3, and a span above 0, got {points} and {span}")
    exact = landscape.to(dtype=torch.float64)
    rows = w.detach().double()
    if directions is None:
        if landscape.spec is None:
            raise InputError("expected a network for filter-normalised slices, got none: pass directions of your own")
        if all(len(shape) < 2 for shape in landscape.spec.shapes):
            raise InputError("expected parameters of two axes or more, got none: pass directions of your own")
        source = generator(seed, "filter directions", landscape.dim)
        noise = torch.randn(count, landscape.dim, dtype=torch.float64, generator=source).to(rows.device)
        delta = filter_normalised(noise, rows[..., None, :], landscape.spec)
    else:
        delta = directions.detach().to(rows)
        if delta.ndim < 2 or delta.shape[-1] != landscape.dim or delta.shape[:-2] not in ((), w.shape[:-1]):
            raise InputError(
                f"expected directions of shape (n, {landscape.dim}), or with the axes of the points in front, got "
                f"{tuple(directions.shape)}"
            )
        delta = delta.expand(*w.shape[:-1], *delta.shape[-2:])
    alphas = torch.linspace(-span, span, points, dtype=torch.float64, device=rows.device)
    alphas[points // 2] = 0.0
    flat, lines = rows.reshape(-1, landscape.dim), delta.reshape(-1, *delta.shape[-2:])
    n = lines.shape[1]
    weights = (torch.eye(n, dtype=torch.float64, device=rows.device)[:, None, :] * alphas[:, None]).contiguous()
    values = torch.stack([exact.value(AffineRows(x, weights, own)) for x, own in zip(flat, lines, strict=True)])
    values = values.reshape((*w.shape[:-1], n, points))
    loss = values[..., 0, points // 2]
    return on_cpu(SliceFlatness(alphas, values - loss[..., None, None], loss))
