"""A potential on the circle: its minima, its passes and the basins between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from lossatlas.core.errors import InputError
from lossatlas.theory.annealing.energies import SupportsAngles

__all__ = ["CircleExtrema", "Potential", "circle_extrema", "curvature_at", "potential_of"]

Array = NDArray[np.float64]
Potential: TypeAlias = SupportsAngles | Callable[[Array], Array]
"""U(θ) of an array of angles in radians, with period 2π, or an energy with ``angle_energy``."""


def potential_of(potential: Potential) -> Callable[[Array], Array]:
    """Return U as a function of arrays that refuses values that are not finite.

    Raises:
        InputError: neither a function nor an energy of angles; later, values of another shape or not finite.

    Example:
        >>> potential_of(np.cos)(np.array([0.0]))
        array([1.])
    """
    if not isinstance(potential, SupportsAngles) and not callable(potential):
        raise InputError(f"expected U(theta) or an energy of angles, got {type(potential).__name__}: give a function")

    def values(angles: Array) -> Array:
        if isinstance(potential, SupportsAngles):
            u = potential.angle_energy(torch.from_numpy(np.asarray(angles, dtype=np.float64))).numpy()
        else:
            u = np.asarray(potential(angles), dtype=np.float64)
        if u.shape != np.shape(angles) or not np.isfinite(u).all():
            raise InputError(
                f"expected finite energies of shape {np.shape(angles)}, got shape {u.shape} or values that are not: "
                "let U work on arrays"
            )
        return u

    return values


@dataclass(frozen=True, eq=False)
class CircleExtrema:
    """Minima and passes in the order of their angles; made by :func:`circle_extrema`.

    Args:
        minima: ``(k,)``, angles.
        energies: ``(k,)``, of the minima.
        passes: ``(k,)``, angles; pass i lies between minima i and i + 1, the last one across θ = 2π.
        pass_energies: ``(k,)``.
    """

    minima: Array
    energies: Array
    passes: Array
    pass_energies: Array

    @property
    def deepest(self) -> int:
        """Number of the global minimum.

        Raises:
            InputError: two minima share the lowest energy.
        """
        order = np.argsort(self.energies, kind="stable")
        span = float(self.pass_energies.max() - self.energies.min())
        if len(order) > 1 and self.energies[order[1]] - self.energies[order[0]] <= 1e-12 * span:
            raise InputError("expected one global minimum, got two of the same energy: say which basins count yourself")
        return int(order[0])

    def basin(self, minimum: int) -> tuple[float, float]:
        """The passes to both sides of a minimum as angles left < minimum < right; one may leave [0, 2π)."""
        left, right = float(self.passes[minimum - 1]), float(self.passes[minimum])
        angle = float(self.minima[minimum])
        return left - 2 * math.pi * (left >= angle), right + 2 * math.pi * (right <= angle)

    def heights(self) -> Array:
        """``(k, k)``: energies on the diagonal, the lower of the passes between neighbours, NaN elsewhere."""
        k = len(self.minima)
        table = np.full((k, k), np.nan)
        np.fill_diagonal(table, self.energies)
        if k > 1:
            for i in range(k):
                j = (i + 1) % k
                table[i, j] = table[j, i] = np.fmin(table[i, j], self.pass_energies[i])
        return table


def circle_extrema(potential: Potential, points: int = 4096) -> CircleExtrema:
    """Find all minima and passes that are further apart than a few points of a grid.

    Args:
        potential: U(θ) with period 2π.
        points: of the grid; extrema are refined between its points to about 1e-8.

    Returns:
        As many passes as minima.

    Raises:
        InputError: a constant potential, or one that is not finite or not of period 2π.

    Example:
        >>> from lossatlas.theory.annealing import CircleToy
        >>> found = circle_extrema(CircleToy())
        >>> found.minima.round(6).tolist(), found.energies.round(6).tolist()
        ([0.0, 3.141593], [-1.25, -0.75])
        >>> found.pass_energies.round(6).tolist()
        [1.007812, 1.007812]
    """
    u = potential_of(potential)
    # Half a cell aside, so that symmetric extrema fall between grid points rather than on them.
    width = 2 * math.pi / points
    grid: Array = np.asarray((np.arange(points) + 0.5) * width, dtype=np.float64)
    values = u(grid)
    around = u(np.array([0.3, 0.3 + 2 * math.pi]))
    span = float(np.ptp(values))
    if abs(around[1] - around[0]) > 1e-9 * (span + abs(around[0])):
        raise InputError("expected a potential of period 2 pi, got another value after one turn: use angles in radians")
    rises = np.roll(values, -1) - values
    moving = np.flatnonzero(np.abs(rises) > 1e-14 * max(span, float(np.abs(values).max())))
    if span == 0 or len(moving) == 0:
        raise InputError("expected a potential with minima, got a constant: there is no basin to find")
    signs = np.sign(rises[moving])
    found: dict[float, list[tuple[float, float]]] = {1.0: [], -1.0: []}
    for k, sign in enumerate(signs):
        if sign == signs[k - 1]:
            continue
        # From falling to rising (a minimum) or back; the bracket reaches from before one to after the other.
        left, right = grid[moving[k - 1]], grid[moving[k]] + width
        left -= 2 * math.pi * (left >= right)
        angle = _refine(u, sign, left, right)
        found[float(sign)].append((angle % (2 * math.pi), float(u(np.array([angle]))[0])))
    minima, passes = (sorted(_near_zero(angle) for angle in found[s]) for s in (1.0, -1.0))
    if passes[0][0] < minima[0][0]:
        passes = passes[1:] + passes[:1]
    return CircleExtrema(
        *(np.array(column) for column in zip(*minima, strict=True)),
        *(np.array(column) for column in zip(*passes, strict=True)),
    )


def _refine(u: Callable[[Array], Array], sign: float, left: float, right: float) -> float:
    found = minimize_scalar(
        lambda angle: sign * float(u(np.array([angle]))[0]),
        bounds=(left, right),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(found.x)


def _near_zero(point: tuple[float, float]) -> tuple[float, float]:
    """An extremum at 2π − 1e-9 is one at 0."""
    angle, energy = point
    return (0.0 if 2 * math.pi - angle < 1e-7 else angle), energy


def curvature_at(potential: Potential, angles: Array) -> Array:
    """U″ by central differences of fourth order, ``(k,) -> (k,)``.

    Example:
        >>> curvature_at(np.cos, np.array([0.0])).round(6)
        array([-1.])
    """
    u, h = potential_of(potential), 2e-3
    terms = zip((-2, -1, 0, 1, 2), (-1, 16, -30, 16, -1), strict=True)
    return np.asarray(sum(weight * u(angles + k * h) for k, weight in terms) / (12 * h * h), dtype=np.float64)
