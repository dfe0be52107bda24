"""Motions that leave an energy of atoms unchanged: their directions, and the one that brings points closest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Anchored", "Array", "Frame", "Free", "Periodic", "kabsch", "rigid_directions"]

Array: TypeAlias = NDArray[np.float64]
Differences: TypeAlias = Callable[[Array], Array]
"""The shortest image of each difference vector, ``(*b, 3) -> (*b, 3)``."""

# Generators smaller than this, beside the largest one, do not move anything: the axis of a linear molecule.
_VANISHING = 1e-6


def rigid_directions(positions: Array, free: NDArray[np.bool_], axes: Array) -> Array:
    """Infinitesimal translations and rotations under which the fixed atoms stay where they are.

    Translations are u_i = e_a, rotations u_i = a × (p_i − p̄). Only combinations that vanish on every fixed atom are
    kept, so three fixed atoms that are not in line leave none, and a linear molecule has five.

    Args:
        positions: p, ``(n, 3)``.
        free: which atoms may move, ``(n,)``.
        axes: directions about which a rotation changes nothing, ``(a, 3)`` with a = 0 to 3.

    Returns:
        Orthonormal rows ``(k, 3 m)`` over the m free atoms.

    Example:
        >>> line = np.outer(np.arange(3.0), [0.0, 0.0, 1.0])
        >>> rigid_directions(line, np.ones(3, dtype=bool), np.eye(3)).shape
        (5, 9)
    """
    arms = positions - positions.mean(0)
    fields = [np.broadcast_to(e, positions.shape) / np.sqrt(len(positions)) for e in np.eye(3)]
    radius = float(np.linalg.norm(arms))
    if radius > 0:
        fields += [np.cross(axis, arms) / radius for axis in axes]
    generators = np.stack(fields)
    on_fixed = generators[:, ~free].reshape(len(generators), -1)
    if on_fixed.size:
        basis, sizes, _ = np.linalg.svd(on_fixed)
        generators = np.tensordot(basis[:, int((sizes > _VANISHING).sum()) :].T, generators, 1)
    moved = generators[:, free].reshape(len(generators), 3 * int(free.sum()))
    if not len(moved):
        return moved
    _, sizes, directions = np.linalg.svd(moved, full_matrices=False)
    return np.asarray(directions[sizes > _VANISHING])


def kabsch(points: Array, target: Array) -> Array:
    """Move each set of points rigidly, without reflection, to where Σ|R p_i + t − q_i|² is least.

    Args:
        points: p, ``(*b, n, 3)``.
        target: q, ``(n, 3)``.

    Returns:
        The moved points, ``(*b, n, 3)``.

    Source:
        Kabsch, Acta Cryst. A32, 922 (1976); the sign of the determinant as in Umeyama, IEEE TPAMI 13, 376 (1991).

    Example:
        >>> points = np.eye(3)
        >>> turned = points @ np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) + 5
        >>> bool(np.allclose(kabsch(turned, points), points))
        True
    """
    centre = target.mean(0)
    arms = points - points.mean(-2, keepdims=True)
    u, _, vt = np.linalg.svd(np.swapaxes(arms, -1, -2) @ (target - centre))
    # The last column belongs to the smallest singular value: flipping it costs least.
    u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return np.asarray(arms @ (u @ vt) + centre)


class Frame(Protocol):
    """How points may be moved for free, and how far apart two of them are."""

    @property
    def parities(self) -> tuple[int, ...]:
        """(1, −1) where the mirror image of a configuration has its energy and its place, else (1,)."""
        ...

    def bring(self, points: Array, target: Array) -> Array:
        """Move points as close to the target as they come, ``(*b, n, 3), (n, 3) -> (*b, n, 3)``."""
        ...

    def squared(self, points: Array, target: Array) -> Array:
        """Squared distance from each point to each point of the target, ``(n, 3), (n, 3) -> (n, n)``."""
        ...

    def guesses(self, points: Array, target: Array, count: int, stream: torch.Generator) -> Array:
        """Other placements of the points to start an assignment from, ``-> (m, n, 3)`` with m at most count."""
        ...


@dataclass(frozen=True)
class Free:
    """A molecule or cluster in empty space: every translation and rotation is free."""

    parities: tuple[int, ...] = (1, -1)

    def bring(self, points: Array, target: Array) -> Array:
        """Superpose by :func:`kabsch`."""
        return kabsch(points, target)

    def squared(self, points: Array, target: Array) -> Array:
        """As :meth:`Frame.squared`."""
        return np.asarray(((points[:, None] - target) ** 2).sum(-1))

    def guesses(self, points: Array, target: Array, count: int, stream: torch.Generator) -> Array:
        """Random orientations about the centre of the target, uniform over rotations."""
        a = torch.randn(count, 4, dtype=torch.float64, generator=stream).numpy()
        w, x, y, z = (a / np.linalg.norm(a, axis=1, keepdims=True)).T
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        rotations = np.moveaxis(np.array(rows), -1, 0)
        return np.asarray((points - points.mean(0)) @ rotations + target.mean(0))


@dataclass(frozen=True)
class Anchored:
    """Atoms among fixed ones: nothing may be moved but by whole cells.

    Args:
        shortest: the shortest periodic image of difference vectors; the identity where nothing is periodic.
    """

    shortest: Differences
    parities: tuple[int, ...] = (1,)

    def bring(self, points: Array, target: Array) -> Array:
        """Take the periodic image of each atom that is nearest to its target."""
        difference = points - target
        # In this order what is near already keeps its bits.
        return np.asarray(points + (self.shortest(difference) - difference))

    def squared(self, points: Array, target: Array) -> Array:
        """As :meth:`Frame.squared`, between nearest images."""
        return np.asarray((self.shortest(points[:, None] - target) ** 2).sum(-1))

    def guesses(self, points: Array, target: Array, count: int, stream: torch.Generator) -> Array:
        """None: with nothing to move, one assignment is the best one."""
        return np.zeros((0, *points.shape))


@dataclass(frozen=True)
class Periodic(Anchored):
    """A crystal without fixed atoms: every translation is free."""

    def bring(self, points: Array, target: Array) -> Array:
        """Take nearest images and the mean displacement out, in turn, until no image changes."""
        for _ in range(10):
            moved = super().bring(points, target)
            moved = moved - (moved - target).mean(-2, keepdims=True)
            settled = np.allclose(moved, points, rtol=0, atol=1e-12)
            points = moved
            if settled:
                break
        return points

    def guesses(self, points: Array, target: Array, count: int, stream: torch.Generator) -> Array:
        """Translations that put one atom, drawn at random, where another one is."""
        pairs = torch.randint(len(points), (count, 2), generator=stream).numpy()
        return np.asarray(points + (target[pairs[:, 1]] - points[pairs[:, 0]])[:, None])
