"""Correlators of ReLU units: two, three and four jointly Gaussian inputs, for all index tuples at once."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossatlas.theory.committee.activation import Activation, Curvatures, check_covariance, tuples
from lossatlas.theory.committee.orthants import from_correlations

__all__ = ["ReLU"]

_TWO_PI = 2 * math.pi

# A covariance laid out entry by entry: many small matrices are handled as a few long vectors.
_Entries: TypeAlias = Sequence[Sequence[Tensor]]

# Two inputs are parallel when ab − c² is below this part of ab; there 1/√(ab − c²) always meets a vector that vanishes.
_PARALLEL = 1e-15


class ReLU(Activation):
    """g(x) = max(x, 0).

    φ = [√(ab − c²) + (π − θ) c]/2π with cos θ = c/√(ab);
    I₃ = C₁₂ √(C₁₁C₃₃ − C₁₃²)/(2πC₁₁) + C₂₃ [¼ + asin(ρ₁₃)/2π];
    I₄ by Gaussian integration by parts from orthant probabilities of the different variables among the four.

    Example:
        >>> one = torch.ones((), dtype=torch.float64)
        >>> ReLU().pair(one, one, one), ReLU().pair(one, one, -one)
        (tensor(0.5000, dtype=torch.float64), tensor(0., dtype=torch.float64))

    Source: Cho & Saul 2009 for φ; Huang, Loureiro & Sarao Mannelli, arXiv 2604.09412, for the equations I₃, I₄ enter.
    """

    name = "relu"

    def __call__(self, x: Tensor) -> Tensor:
        """max(x, 0)."""
        return x.clamp_min(0)

    def slope(self, x: Tensor) -> Tensor:
        """1 where x > 0."""
        return (x > 0).to(x.dtype)

    def pair(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """E[relu(x) relu(y)]."""
        s = _area(a, b, c)
        return (s + (math.pi - torch.atan2(s, c)) * c) / _TWO_PI

    def slopes(self, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """√(ab − c²)/4πa and (π − θ)/2π."""
        s = _area(a, b, c)
        return s / (2 * _TWO_PI * a), (math.pi - torch.atan2(s, c)) / _TWO_PI

    def curvatures(self, a: Tensor, b: Tensor, c: Tensor) -> Curvatures:
        """Second derivatives; the singular parts of parallel inputs are left out, since their sum vanishes there."""
        square = a * b - c * c
        apart = square > _PARALLEL * a * b
        inverse = torch.where(apart, square.clamp_min(1e-300).rsqrt(), torch.zeros_like(square)) / _TWO_PI
        s = _area(a, b, c) / _TWO_PI
        ac, bc = -c * inverse / (2 * a), -c * inverse / (2 * b)
        return Curvatures((b * inverse / 2 - s / a) / (2 * a), inverse / 4, ac, bc, inverse)

    def own(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """a/2, ½ and 0."""
        return a / 2, torch.full_like(a, 0.5), torch.zeros_like(a)

    def slope_pair(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """¼ + asin(ρ)/2π."""
        return (math.pi - torch.atan2(_area(a, b, c), c)) / _TWO_PI

    def slope_own(self, a: Tensor) -> Tensor:
        """½."""
        return torch.full_like(a, 0.5)

    def i3(self, covariance: Tensor) -> Tensor:
        """E[1(x₁>0) x₂ relu(x₃)]."""
        c = covariance
        s = _area(c[..., 0, 0], c[..., 2, 2], c[..., 0, 2])
        gate = (math.pi - torch.atan2(s, c[..., 0, 2])) / _TWO_PI
        return c[..., 0, 1] * s / (_TWO_PI * c[..., 0, 0]) + c[..., 1, 2] * gate

    def i4(self, covariance: Tensor) -> Tensor:
        """E[1(x₁>0) 1(x₂>0) relu(x₃) relu(x₄)] of different variables."""
        check_covariance(covariance, 4, "I₄")
        order = (2, 3, 0, 1)
        entries = [[covariance[..., i, j] for j in order] for i in order]
        return _second_moment(entries, 1, from_correlations(_correlations(entries)))

    def at_tuples(self, omega: Tensor, students: int) -> Tensor:
        """I₄ at every index tuple, each from the different units in it."""
        plan = _plan(students, omega.shape[-1])
        flat = omega.flatten(-2)
        values = omega.new_empty(*omega.shape[:-2], plan.size)
        probabilities = {}
        for count, sets in plan.sets.items():
            probabilities[count] = from_correlations(_correlations(_gather(flat, sets, omega.shape[-1])))
        for group in plan.groups:
            entries = _gather(flat, group.units, omega.shape[-1])
            inside = probabilities[len(group.units)][..., group.which]
            values[..., group.where] = _second_moment(entries, group.other, inside)
        return values


def _area(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return (a * b - c * c).clamp_min(0).sqrt()


# ------------------------------------------------------------------ which tuples share a formula
class _Group(NamedTuple):
    """Tuples of one pattern: ``units`` (n, N), the first one a, the one at ``other`` b, the rest gates."""

    units: NDArray[np.int64]
    other: int
    where: NDArray[np.int64]
    which: NDArray[np.int64]


class _Plan(NamedTuple):
    size: int
    sets: dict[int, NDArray[np.int64]]
    groups: tuple[_Group, ...]


@functools.lru_cache
def _plan(students: int, units: int) -> _Plan:
    """Group index tuples by pattern; a set of units that several tuples share is listed once."""
    j, m, a, b = tuples(students, units)
    rows = np.stack([a, b, j, m], axis=1)
    # new[i]: the first time this unit appears in (a, b, j, l).
    new = np.stack([np.all(rows[:, :i] != rows[:, i : i + 1], axis=1) for i in range(4)], axis=1)
    count, same = new.sum(1), a == b
    sets, groups = {}, []
    for n in range(1, 5):
        chosen = np.flatnonzero(count == n)
        if len(chosen) == 0:
            continue
        units_of = rows[chosen][new[chosen]].reshape(-1, n)
        found, which = np.unique(np.sort(units_of, axis=1), axis=0, return_inverse=True)
        sets[n] = found.T
        for twice in (False, True):
            part = same[chosen] == twice
            if part.any():
                groups.append(_Group(units_of[part].T, 0 if twice else 1, chosen[part], which.reshape(-1)[part]))
    return _Plan(len(rows), sets, tuple(groups))


# ------------------------------------------------------------------ moments of truncated Gaussians
def _gather(flat: Tensor, units: NDArray[np.int64], size: int) -> _Entries:
    n = len(units)
    upper = {(i, j): flat[..., units[i] * size + units[j]] for i in range(n) for j in range(i, n)}
    return [[upper[min(i, j), max(i, j)] for j in range(n)] for i in range(n)]


def _correlations(c: _Entries) -> _Entries:
    scale = [c[i][i].clamp_min(0).rsqrt() for i in range(len(c))]
    return [[_finite(c[i][j] * scale[i] * scale[j]) for j in range(len(c))] for i in range(len(c))]


def _finite(x: Tensor) -> Tensor:
    # A variable that no longer varies has no correlation; what multiplies it is zero.
    return x.nan_to_num(0.0, 0.0, 0.0)


def _given(c: _Entries, m: int) -> _Entries:
    """Covariance of the others once variable m is zero."""
    kept = [i for i in range(len(c)) if i != m]
    upper = {(i, j): c[i][j] - _finite(c[i][m] * c[j][m] / c[m][m]) for i in kept for j in kept if i <= j}
    return [[upper[min(i, j), max(i, j)] for j in kept] for i in kept]


def _weight(c: _Entries, i: int, m: int) -> Tensor:
    """C_im times the density of variable m at zero."""
    return _finite(c[i][m] * (_TWO_PI * c[m][m]).clamp_min(0).rsqrt())


def _first_moment(c: _Entries, i: int) -> Tensor:
    """E[x_i; all positive] = Σ_m C_im p_m(0) P(the others positive | x_m = 0)."""
    total = torch.zeros_like(c[0][0])
    for m in range(len(c)):
        rest = from_correlations(_correlations(_given(c, m))) if len(c) > 1 else 1.0
        total = total + _weight(c, i, m) * rest
    return total


def _second_moment(c: _Entries, j: int, inside: Tensor) -> Tensor:
    """E[x_0 x_j; all positive] = C_0j P + Σ_{m≠j} C_0m p_m(0) E[x_j; the others positive | x_m = 0]."""
    total = c[0][j] * inside
    for m in range(len(c)):
        if m != j:
            total = total + _weight(c, 0, m) * _first_moment(_given(c, m), j - (m < j))
    return total
