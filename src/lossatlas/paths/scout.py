"""Scouting: several starts, each relaxed a little, to see which is worth more."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.curve import Curve
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.chains import StringPathFinder
from lossatlas.paths.search import Ends
from lossatlas.paths.starts import bows

__all__ = ["Scouted", "different", "height_of", "scout"]

# A few steps of a short string tell passes apart; that is all they are for.
_IMAGES, _STEPS, _FORCE = 7, 6, 0.3
# Tops of two strings nearer than this part of the distance between the ends count as one.
_APART = 0.2
# Of two strings whose tops differ by less than this part of the rise the earlier is taken: the plainer one.
_EQUAL = 0.05


@dataclass(frozen=True)
class Scouted:
    """What the starts of one pair gave.

    Args:
        chains: ``(n, m, d)``, the starts after a short relaxation, the plain one first.
        heights: ``(n,)``, at images and between them; infinite where the loss is not finite.
        order: starts worth more, the most promising first.
        places: how many different tops they have.
        gradients: spent.
        values: spent.
    """

    chains: Tensor
    heights: list[float]
    order: list[int]
    places: int
    gradients: float
    values: float

    @property
    def lost(self) -> int:
        """Starts on which the loss is not finite."""
        return sum(not math.isfinite(height) for height in self.heights)


def scout(landscape: Landscape, ends: Ends, starts: int, seed: int) -> list[Scouted]:
    """Relax several starts of every pair a little.

    Args:
        landscape: where.
        ends: p pairs, of at least 2 coordinates.
        starts: n of each: the straight line or the first guess, and bows (:func:`lossatlas.paths.starts.bows`).
        seed: of directions.

    Returns:
        One record per pair.
    """
    first = bows(ends, starts, _IMAGES, seed=seed)
    every = Ends(
        ends.start.repeat_interleave(starts, 0),
        ends.end.repeat_interleave(starts, 0),
        first.flatten(0, 1),
        tuple(range(len(ends) * starts)),
    )
    string = StringPathFinder(points=_IMAGES, iterations=_STEPS, force_tolerance=_FORCE, climb=False, escapes=0)
    found = string.search(landscape, every)
    scouted = []
    for i in range(len(ends)):
        own = found[i * starts : (i + 1) * starts]
        looks = [height_of(landscape, result.curve) for result in own]
        heights = [look[0] for look in looks]
        tops = torch.stack([look[1] for look in looks])
        higher = float(landscape.value(torch.stack([ends.start[i], ends.end[i]])).max())
        distance = float(torch.linalg.vector_norm(ends.end[i] - ends.start[i]))
        usable = [k for k in range(starts) if math.isfinite(heights[k])]
        scouted.append(
            Scouted(
                torch.stack([result.curve.at(torch.linspace(0, 1, _IMAGES)) for result in own]),
                heights,
                _order(usable, heights, higher),
                different(tops[usable], _APART * distance),
                sum(result.evaluations["gradients"] for result in own),
                sum(result.evaluations["values"] for result in own) + sum(look[2] for look in looks) + 2,
            )
        )
    return scouted


def height_of(landscape: Landscape, curve: Curve) -> tuple[float, Tensor, int]:
    """Highest loss at the corners of a path and half way between them, where, and how many values that took."""
    corners = len(curve.coefficients) + 2
    points = curve.at(torch.linspace(0, 1, 2 * corners - 1, dtype=torch.float64))
    values = landscape.value(points).double().nan_to_num(nan=math.inf)
    top = int(values.argmax())
    return float(values[top]), points[top], len(points)


def different(tops: Tensor, apart: float) -> int:
    """Number of groups of points, ``(n, d)``, each of which is no further than ``apart`` from another of its group."""
    left, groups = list(range(len(tops))), 0
    while left:
        groups += 1
        group = [left.pop()]
        while group:
            here = group.pop()
            near = [k for k in left if float(torch.linalg.vector_norm(tops[k] - tops[here])) <= apart]
            left = [k for k in left if k not in near]
            group += near
    return groups


def _order(usable: list[int], heights: list[float], higher: float) -> list[int]:
    if not usable:
        return []
    order = sorted(usable, key=lambda k: heights[k])
    lowest = heights[order[0]]
    first = next(k for k in usable if heights[k] <= lowest + _EQUAL * max(0.0, lowest - higher))
    return [first, *(k for k in order if k != first)]
