"""epsilon_sharpness: the worst loss near a minimum, by ascent inside a region, with the gap that is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_dot, row_norm
from lossatlas.core.randomness import generator
from lossatlas.core.results import on_cpu
from lossatlas.curvature.sampling import signs
from lossatlas.curvature.scaling import INVARIANCE, Scaling, weight_scale
from lossatlas.landscape.contract import Landscape, accept_rows

__all__ = ["EpsilonSharpness", "Norm", "RegionScaling", "epsilon_sharpness"]

Norm: TypeAlias = Literal["max", "euclidean"]
"""What bounds a displacement."""

RegionScaling: TypeAlias = Scaling | Literal["keskar"]
"""What a displacement is measured in: ``"keskar"`` is |w| + 1, the others as for sharpness."""

# Of what a step promises to first order, so much must come true, or the step is halved.
_ARMIJO, _HALVINGS = 0.1, 20
# Numbers that rows, gradients and displacements of minima searched together may have.
_NUMBERS = 1 << 25


@dataclass(frozen=True)
class EpsilonSharpness:
    """The worst loss found within a region around each point.

    Args:
        loss: ``(*b,)``, L(w).
        worst: ``(*b,)``, the highest loss found, a lower bound on the true maximum; infinite where the loss is not
            finite somewhere on the way.
        displacement: ``(*b, d)``, s with L(w + s) = ``worst``, inside the region.
        gap: ``(*b,)``, max over the region of ∇L(w+s)·(s' − s): how much more loss the gradient promises anywhere in
            the region; 0 exactly where the maximum is a stationary one. Where L is concave on the region the true
            maximum is at most ``worst + gap``.
        converged: ``(*b,)``, whether the gap is at most ``tolerance`` times the rise.
        agreement: ``(*b,)``, how many of the starts came within 1 % of the highest rise.
        gradients: ``(*b,)``, evaluations of the gradient.
        radius: of the region.
        norm: what bounds it.
        scaling: what it is measured in.
        starts: how many starts there were.
        invariance: what the measure does not see, in words.
    """

    loss: Tensor
    worst: Tensor
    displacement: Tensor
    gap: Tensor
    converged: Tensor
    agreement: Tensor
    gradients: Tensor
    radius: float
    norm: Norm
    scaling: RegionScaling
    starts: int
    invariance: str

    @property
    def rise(self) -> Tensor:
        """``worst`` − ``loss``, ``(*b,)``."""
        return self.worst - self.loss

    @property
    def percent(self) -> Tensor:
        """φ = 100 · rise / (1 + L(w)), ``(*b,)``: Keskar et al. 2017, eq. 4."""
        return 100 * self.rise / (1 + self.loss)


def epsilon_sharpness(
    landscape: Landscape,
    w: Tensor,
    *,
    radius: float = 1e-3,
    norm: Norm = "max",
    scaling: RegionScaling = "keskar",
    starts: int = 4,
    max_iterations: int = 200,
    tolerance: float = 1e-2,
    seed: int = 0,
) -> EpsilonSharpness:
    """Search the worst loss in a region, max L(w + s) over ‖D⁻¹ s‖ ≤ ρ.

    With ``norm="max"`` and D = |w| + 1 the region is the box of Keskar et al. and ρ their ε; with D = |w| it follows
    every rescaling of single weights, and the measure does not change.

    Ascent by the method of Frank & Wolfe: from s towards the corner of the region where the gradient promises most,
    all the way where that rises (on convex losses it always does), else half of it and so on. Every iterate is inside
    the region and higher than the one before. Each minimum is searched from the corner that its own gradient shows and
    from random ones; the highest counts.

    Args:
        landscape: any; evaluated in float64 whatever its type. ``"filter"`` and ``"layer"`` need a network.
        w: points ``(*b, d)``.
        radius: ρ.
        norm: ``"max"`` (a box) or ``"euclidean"`` (a ball).
        scaling: D: ``"keskar"``, ``"none"``, ``"parameter"``, ``"filter"`` or ``"layer"``.
        starts: at least 1.
        max_iterations: gradients from each start.
        tolerance: gap relative to the rise at which a search stops.
        seed: names the random starts, the same for all minima.

    Returns:
        The worst losses, where they are, and how far from stationary.

    Raises:
        InputError: points of another landscape, or arguments that cannot be.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=3, eigenvalues=[1.0, 2.0, 8.0])
        >>> at = torch.zeros(3, dtype=torch.float64)
        >>> found = epsilon_sharpness(bowl, at, radius=0.5, norm="euclidean", scaling="none", tolerance=1e-6)
        >>> round(float(found.rise), 3), bool(found.converged)
        (1.0, True)

    Keskar, Mudigere, Nocedal, Smelyanskiy & Tang 2017, *On large-batch training for deep learning*, metric 2.1;
    Frank & Wolfe 1956; Jaggi 2013 for the gap.
    """
    w = accept_rows(w, landscape)
    if norm not in ("max", "euclidean"):
        raise InputError(f"expected norm 'max' or 'euclidean', got '{norm}'")
    if not radius > 0 or not tolerance > 0 or starts < 1 or max_iterations < 1:
        raise InputError(
            "expected a radius and a tolerance above 0, at least 1 start and 1 iteration, got "
            f"{radius}, {tolerance}, {starts} and {max_iterations}"
        )
    exact = landscape.to(dtype=torch.float64)
    points = w.detach().double().reshape(-1, landscape.dim)
    scale = points.abs() + 1 if scaling == "keskar" else weight_scale(scaling, points, landscape.spec)
    search = _Ascent(exact, norm, starts, max_iterations, tolerance, seed)
    together = max(1, _NUMBERS // (starts * landscape.dim))
    parts = [
        search.run(points[i : i + together], radius * scale[i : i + together]) for i in range(0, len(points), together)
    ]
    columns = [torch.cat(column) for column in zip(*parts, strict=True)]
    loss, worst, displacement, gap, converged, agreement, gradients = (
        column.reshape((*w.shape[:-1], *column.shape[1:])) for column in columns
    )
    words = INVARIANCE["none" if scaling == "keskar" else scaling]
    return on_cpu(
        EpsilonSharpness(
            loss, worst, displacement, gap, converged, agreement, gradients, radius, norm, scaling, starts, words
        )
    )


@dataclass(frozen=True)
class _Ascent:
    """Frank-Wolfe ascent from several starts around several points, in coordinates where the region is a unit one."""

    landscape: Landscape
    norm: Norm
    starts: int
    most: int
    tolerance: float
    seed: int

    def corner(self, h: Tensor) -> Tensor:
        """Where the region is highest for a gradient, ``(*b, d) -> (*b, d)``."""
        if self.norm == "max":
            return h.sign()
        length = row_norm(h)[..., None]
        return h / length.where(length > 0, torch.ones_like(length))

    def first(self, h: Tensor) -> Tensor:
        """Starts, ``(n, d) -> (n, starts, d)``: the corner of the gradient at the point, and random ones."""
        dim = h.shape[-1]
        stream = generator(self.seed, "worst loss", dim)
        if self.norm == "max":
            random = signs(self.starts, dim, stream)
        else:
            random = self.corner(torch.randn(self.starts, dim, dtype=torch.float64, generator=stream))
        u = random.to(h.device).expand(len(h), -1, -1).clone()
        steepest = self.corner(h)
        known = h.abs().amax(-1) > 0
        u[known, 0] = steepest[known]
        return u

    def run(self, points: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
        """Search around ``(n, d)`` points with regions of half-widths ``scale``."""
        n = len(points)
        base, slope = self.landscape.value_and_grad(points)
        u = self.first(scale * slope).flatten(0, 1)
        at, wide = points.repeat_interleave(self.starts, 0), scale.repeat_interleave(self.starts, 0)
        value, gradient = self.landscape.value_and_grad(at + wide * u)
        h = wide * gradient
        ground = base.repeat_interleave(self.starts)
        spent = torch.ones_like(value, dtype=torch.int64)
        step = torch.ones_like(value)
        gap = torch.full_like(value, torch.inf)
        active = torch.ones_like(value, dtype=torch.bool)
        for _ in range(self.most):
            target = self.corner(h)
            # Rounding may leave it a little below zero at the maximum.
            gap = row_dot(h, target - u).clamp_min(0.0).where(active, gap)
            small = gap <= self.tolerance * (value - ground)
            active &= value.isfinite() & ~small & (gap > 0) & (step > 0.5**_HALVINGS)
            if not bool(active.any()):
                break
            rows = active.nonzero()[:, 0]
            trial = u[rows] + step[rows, None] * (target[rows] - u[rows])
            new, grads = self.landscape.value_and_grad(at[rows] + wide[rows] * trial)
            spent[rows] += 1
            enough = ~(new < value[rows] + _ARMIJO * step[rows] * gap[rows])  # NaN counts as risen
            taken = rows[enough]
            u[taken], value[taken], h[taken] = trial[enough], new[enough], wide[taken] * grads[enough]
            step[rows] = torch.where(enough, (2 * step[rows]).clamp_max(1.0), 0.5 * step[rows])
        value = value.where(value.isfinite(), torch.inf)
        shape = (n, self.starts)
        value, gap = value.reshape(shape), gap.reshape(shape)
        row, best = torch.arange(n, device=value.device), value.argmax(1)
        worst, left = value[row, best], gap[row, best]
        rise = worst - base
        near = value - base[:, None] >= 0.99 * rise[:, None]
        moved = (wide * u).reshape(*shape, -1)[row, best]
        # Where the loss is not finite, nothing is higher.
        left = left.where(worst.isfinite(), torch.zeros_like(left))
        settled = (left <= self.tolerance * rise) | ~worst.isfinite()
        return base, worst, moved, left, settled, near.sum(1), spent.reshape(shape).sum(1) + 1
