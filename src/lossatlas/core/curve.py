"""Curve: a path through parameter space, given by its ends, a family of basis functions and their coefficients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree
from lossatlas.core.registry import Registry

__all__ = ["Basis", "Curve", "bases"]

Basis: TypeAlias = Callable[[Tensor, int], Tensor]
"""``basis(t, K)``: ``(*m,) -> (*m, K)``, K functions on [0, 1] that vanish at both ends."""

bases = Registry[Basis]("curve")
"""Families of basis functions by name. A new curve is one function and one line here."""


@bases.register("linear", "the straight line: no basis functions")
def _linear(t: Tensor, count: int) -> Tensor:
    if count:
        raise InputError(f"expected no coefficients for a straight line, got {count}")
    return t.new_empty(*t.shape, 0)


@bases.register("fourier", "sine series, b_n sin(nπt) (Yu & Morozov 2026, Eq. 3)")
def _fourier(t: Tensor, count: int) -> Tensor:
    n = torch.arange(1, count + 1, dtype=t.dtype, device=t.device)
    # sin(nπ) is 1e-16 and not 0 in floating point: the ends of a path must be exact.
    inside = ((t > 0) & (t < 1))[..., None]
    return torch.where(inside, torch.sin(math.pi * n * t[..., None]), torch.zeros_like(t)[..., None])


@bases.register("bezier", "Bezier curve of degree K + 1 (Garipov et al. 2018, Sec. 3.2)")
def _bezier(t: Tensor, count: int) -> Tensor:
    degree = count + 1
    k = torch.arange(1, count + 1, dtype=t.dtype, device=t.device)
    choose = torch.tensor([math.comb(degree, i) for i in range(1, count + 1)], dtype=t.dtype, device=t.device)
    s = t[..., None]
    return choose * s**k * (1 - s) ** (degree - k)


@bases.register("polychain", "polygonal chain, K inner vertices at equal steps of t (Garipov et al. 2018, Sec. 3.2)")
def _polychain(t: Tensor, count: int) -> Tensor:
    k = torch.arange(1, count + 1, dtype=t.dtype, device=t.device)
    return (1 - (t[..., None] * (count + 1) - k).abs()).clamp(min=0)


@dataclass(frozen=True)
class Curve:
    """w(t) = (1 - t) w_start + t w_end + Σ_k φ_k(t) c_k, for t from 0 to 1.

    Straight lines, sine series, Bezier curves and polygonal chains differ only in the functions φ_k, which vanish at
    both ends: every curve passes through them exactly.

    Args:
        basis: one of ``bases``.
        start: ``(d,)``, t = 0.
        end: ``(d,)``, t = 1.
        coefficients: ``(K, d)``.

    Raises:
        InputError: shapes that do not fit.
        ConfigurationError: an unknown family.

    Example:
        >>> curve = Curve("fourier", torch.zeros(2), torch.ones(2), torch.tensor([[0.0, 1.0]]))
        >>> curve.at(torch.tensor([0.0, 0.5, 1.0]))
        tensor([[0.0000, 0.0000],
                [0.5000, 1.5000],
                [1.0000, 1.0000]])
    """

    basis: str
    start: Tensor
    end: Tensor
    coefficients: Tensor

    def __post_init__(self) -> None:
        bases[self.basis]
        fits = self.start.ndim == 1 and self.start.shape == self.end.shape and self.coefficients.ndim == 2
        if not fits or self.coefficients.shape[1:] != self.start.shape:
            raise InputError(
                "expected ends (d,) and coefficients (K, d), got "
                f"{tuple(self.start.shape)}, {tuple(self.end.shape)}, {tuple(self.coefficients.shape)}"
            )

    @classmethod
    def straight(cls, start: Tensor, end: Tensor) -> Curve:
        """Return the straight line between two points, ``(d,), (d,)``."""
        return cls("linear", start, end, start.new_empty(0, len(start)))

    @classmethod
    def through(cls, images: Tensor) -> Curve:
        """Return the polygonal chain through images ``(m, d)``, its vertices at equal steps of t.

        Raises:
            InputError: fewer than two images.
        """
        if images.ndim != 2 or len(images) < 2:
            raise InputError(f"expected at least 2 images as (m, d), got shape {tuple(images.shape)}")
        t = torch.linspace(0, 1, len(images), dtype=images.dtype, device=images.device)[:, None]
        offsets = images - ((1 - t) * images[0] + t * images[-1])
        return cls("polychain", images[0], images[-1], offsets[1:-1])

    @property
    def distance(self) -> float:
        """Straight distance between the ends."""
        return float(torch.linalg.vector_norm(self.end - self.start))

    @property
    def directions(self) -> Tensor:
        """``(K + 2, d)``: start, end and coefficients, in the order of :meth:`weights`."""
        return torch.cat([self.start[None], self.end[None], self.coefficients])

    def weights(self, t: Tensor) -> Tensor:
        """What :attr:`directions` are multiplied by, ``(*m,) -> (*m, K + 2)``."""
        phi = bases[self.basis](t, len(self.coefficients))
        # Weights 0 and 1 leave the ends exact, which start + t (end - start) would not.
        return torch.cat([(1 - t)[..., None], t[..., None], phi], dim=-1)

    def at(self, t: Tensor) -> Tensor:
        """Points of the curve, ``(*m,) -> (*m, d)``."""
        return self.weights(t.to(self.start)) @ self.directions

    def arc_length(self, t: Tensor) -> Tensor:
        """Length of the polyline through the points at increasing ``t``, up to each, ``(m,) -> (m,)``.

        |Δw|² = Δa G Δaᵀ with the Gram matrix G of chord and coefficients, so no point is ever made.
        """
        t = t.to(self.start)
        frame = torch.cat([(self.end - self.start)[None], self.coefficients])
        steps = torch.cat([t[:, None], bases[self.basis](t, len(self.coefficients))], dim=1).diff(dim=0)
        squares = ((steps @ (frame @ frame.T)) * steps).sum(1).clamp(min=0)
        return torch.cat([squares.new_zeros(1), squares.sqrt().cumsum(0)])

    def uniform(self, points: int) -> Tensor:
        """Values of t, from 0 to 1, at equal steps of arc length, ``-> (points,)``."""
        fine = torch.linspace(0, 1, 8 * (points - 1) + 1, dtype=torch.float64, device=self.start.device)
        arc = self.arc_length(fine).double()
        if float(arc[-1]) == 0 or not bool(arc.isfinite().all()):
            return fine[::8].clone()
        wanted = torch.linspace(0, 1, points, dtype=torch.float64, device=arc.device) * arc[-1]
        above = torch.searchsorted(arc, wanted).clamp(1, len(arc) - 1)
        step = (arc[above] - arc[above - 1]).clamp(min=torch.finfo(torch.float64).tiny)
        share = ((wanted - arc[above - 1]) / step).clamp(0, 1)
        t = fine[above - 1] + share * (fine[above] - fine[above - 1])
        t[0], t[-1] = 0, 1
        return t

    def reversed(self) -> Curve:
        """The same curve walked from end to start."""
        flipped = self.coefficients.flip(0)
        if self.basis == "fourier":  # sin(nπ(1-t)) = (-1)^(n+1) sin(nπt)
            flipped = self.coefficients.clone()
            flipped[1::2] *= -1
        return Curve(self.basis, self.end, self.start, flipped)

    def to(self, *, dtype: torch.dtype | None = None, device: str | torch.device | None = None) -> Curve:
        """Return the same curve in another floating type or on another device."""
        start, end, coefficients = (x.to(device, dtype) for x in (self.start, self.end, self.coefficients))
        return Curve(self.basis, start, end, coefficients)

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors, the form in which curves are stored."""
        return {"basis": self.basis, "start": self.start, "end": self.end, "coefficients": self.coefficients}

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Curve:
        """Rebuild a curve from :meth:`to_tree`."""
        return cls(**tree)
