"""Permutational images: the same configuration with identical atoms exchanged, from nearest to farther."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import permutations, product
from math import factorial, prod

import numpy as np
import torch
from numpy.typing import NDArray

from lossatlas.landscape.rigid_motion import Array, Frame

__all__ = ["Target", "permutational_images"]

# Up to this many permutations (7 identical atoms), all are looked at; beyond, a search looks for the nearest ones.
_ALL = 5040
_RESTARTS = 300
_LONGEST_ALTERNATION = 100
# Beside the smallest distance between two atoms, which every exchange exceeds.
_SAME = 0.02

Order = NDArray[np.intp]


@dataclass(frozen=True)
class Target:
    """Where configurations are brought, and what may be done to bring them there.

    Args:
        points: s, ``(n, 3)``.
        kinds: points of one number may be exchanged, ``(n,)``.
        frame: which motions are free.
    """

    points: Array
    kinds: Order
    frame: Frame

    @property
    def groups(self) -> list[Order]:
        """Indices of exchangeable points."""
        return [np.flatnonzero(self.kinds == kind) for kind in np.unique(self.kinds)]

    @property
    def few(self) -> bool:
        """Whether all permutations can be looked at."""
        return prod(factorial(len(group)) for group in self.groups) <= _ALL

    @property
    def resolution(self) -> float:
        """Configurations nearer than this, in every coordinate, are one."""
        squared = self.frame.squared(self.points, self.points)
        np.fill_diagonal(squared, np.inf)
        return _SAME * float(np.sqrt(squared.min())) if len(squared) > 1 else _SAME

    def bring(self, points: Array) -> tuple[Array, Array]:
        """Move points to the target, ``(m, n, 3)`` -> distances ``(m,)`` and moved points."""
        moved = self.frame.bring(points, self.points)
        return np.linalg.norm(moved - self.points, axis=(1, 2)), moved


def permutational_images(end: Array, target: Target, count: int, stream: torch.Generator) -> Array:
    """Exchange identical atoms of one configuration and move it to another one, nearest image first.

    The squared distance is min over motions of Σ|e_σ(i) − s_i|². Images that a symmetry of the target (rotation or
    reflection) carries into each other are one: a path to one is, seen from elsewhere, a path to the other. Up to
    5040 permutations are all looked at. Beyond that, assignments alternate with superpositions from 300 placements,
    and exchanges of two atoms lead on from the best ones: the first image is then very likely, not surely, the nearest.

    Args:
        end: e, ``(n, 3)``.
        target: s, with what may be exchanged and moved.
        count: how many images at most.
        stream: random numbers for the placements.

    Returns:
        Moved and permuted configurations, ``(m, n, 3)`` with m at most count; fewer where there are no more.

    Example:
        >>> from lossatlas.landscape.rigid_motion import Free
        >>> triangle = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
        >>> target = Target(triangle, np.zeros(3, int), Free())
        >>> found = permutational_images(triangle[[2, 0, 1]], target, 9, torch.Generator())
        >>> len(found), bool(np.allclose(found[0], triangle))
        (6, True)
    """
    # One image is never compared with another, so what makes two of them equal need not be known.
    symmetries = [
        (parity, order)
        for parity in target.frame.parities
        for order in (_self_maps(parity, target, stream) if count > 1 else ())
    ]
    if target.few:
        return _distinct(end[_all_orders(target)], target, symmetries, count)
    optima = _alternate(end, target, stream)
    wanted = count * max(1, len(symmetries))
    while True:
        orders = _exchanges(end, target, optima, wanted)
        found = _distinct(end[np.stack(orders)], target, symmetries, count)
        if len(found) == count or len(orders) < wanted:
            return found
        wanted *= 2


def _distinct(candidates: Array, target: Target, symmetries: list[tuple[int, Order]], count: int) -> Array:
    """Bring candidates to the target, drop what equals a nearer one or its symmetric copies, ``-> (m, n, 3)``."""
    distances, images = target.bring(candidates)
    nearest_first = np.argsort(distances, kind="stable")
    distances, images = distances[nearest_first], images[nearest_first]
    same = target.resolution
    # Equal images are equally far away; a root of a sum of squares differs by less than this.
    window = same * np.sqrt(images[0].size)
    is_new = np.ones(len(images), dtype=bool)
    found: list[Array] = []
    for i, image in enumerate(images):
        if not is_new[i]:
            continue
        found.append(image)
        if len(found) == count:
            break
        _, copies = target.bring(np.stack([parity * image[order] for parity, order in symmetries]))
        last = int(np.searchsorted(distances, distances[i] + window, side="right"))
        for copy in copies:
            is_new[i + 1 : last] &= np.abs(images[i + 1 : last] - copy).max((1, 2)) >= same
    return np.stack(found)


def _exchanges(end: Array, target: Target, optima: list[Order], wanted: int) -> list[Order]:
    """Best-first search over exchanges of two atoms, from the orders that alternation found."""
    known: set[tuple[int, ...]] = set()
    queue: list[tuple[float, tuple[int, ...]]] = []

    def add(orders: list[Order]) -> None:
        new = {key: order for order in orders if (key := tuple(order.tolist())) not in known}
        if new:
            known.update(new)
            distances, _ = target.bring(end[np.stack(list(new.values()))])
            for distance, key in zip(distances, new, strict=True):
                heapq.heappush(queue, (float(distance), key))

    add(optima)
    pairs = [(i, j) for group in target.groups for k, i in enumerate(group) for j in group[k + 1 :]]
    found: list[Order] = []
    while queue and len(found) < wanted:
        order = np.array(heapq.heappop(queue)[1])
        found.append(order)
        if len(found) < wanted:
            swapped = np.tile(order, (len(pairs), 1))
            for row, (i, j) in zip(swapped, pairs, strict=True):
                row[[i, j]] = row[[j, i]]
            add(list(swapped))
    return found


def _alternate(end: Array, target: Target, stream: torch.Generator) -> list[Order]:
    """Orders that neither an assignment nor a superposition improves, from many placements."""
    frame, start = target.frame, target.points
    optima: dict[bytes, Order] = {}
    for placed in [frame.bring(end, start), *frame.guesses(end, start, _RESTARTS, stream)]:
        order, points = np.arange(len(end)), placed
        for _ in range(_LONGEST_ALTERNATION):
            best = _assign(frame.squared(points, start), target.groups)
            points = frame.bring(points[best], start)
            order = order[best]
            if bool((best == np.arange(len(best))).all()):
                break
        optima[order.tobytes()] = order
    return list(optima.values())


def _assign(cost: Array, groups: list[Order]) -> Order:
    """For each target the point of its group that goes there, at the least total cost, ``(n, n) -> (n,)``."""
    from scipy.optimize import linear_sum_assignment

    order = np.arange(len(cost))
    for group in groups:
        _, chosen = linear_sum_assignment(cost[np.ix_(group, group)].T)
        order[group] = group[chosen]
    return order


def _self_maps(parity: int, target: Target, stream: torch.Generator) -> list[Order]:
    """Orders under which the target, or its mirror image, lies on itself."""
    image = parity * target.points
    orders = list(_all_orders(target)) if target.few else _alternate(image, target, stream)
    _, moved = target.bring(image[np.stack(orders)])
    fits = np.abs(moved - target.points).max((1, 2)) < target.resolution
    return [order for order, fit in zip(orders, fits, strict=True) if fit]


def _all_orders(target: Target) -> Order:
    """Every permutation within the groups, ``-> (m, n)``."""
    groups = target.groups
    choices = list(product(*(permutations(group.tolist()) for group in groups)))
    orders = np.tile(np.arange(len(target.points)), (len(choices), 1))
    for k, group in enumerate(groups):
        orders[:, group] = [choice[k] for choice in choices]
    return orders
