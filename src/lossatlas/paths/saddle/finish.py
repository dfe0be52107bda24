"""From the top of a path to the pass, and down both sides to see what it connects."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lossatlas.core.curve import Curve
from lossatlas.core.path import StationaryPoint
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.saddle.descent import Descent, descend
from lossatlas.paths.saddle.minimum_mode import follow
from lossatlas.paths.saddle.probe import Probe

__all__ = ["finish_saddle", "slide"]

# In units of the distance between the ends: the first step, the step off the saddle as a part of the trusted radius,
# and how far apart two descents may end in one minimum.
_FIRST_STEP = 0.1
_OFF_SADDLE = 0.01
_SAME = 1e-3
# The tangent is taken over this part of the curve, across the corners of a chain.
_TANGENT = 1e-3


def finish_saddle(landscape: Landscape, curve: Curve, t: float) -> StationaryPoint:
    """Follow the softest mode from a point of a curve to a stationary point and descend from it to both sides.

    The pass connects the ends where the two descents arrive in the minima that descents from the ends themselves
    reach: the ends of a path need not be minima.

    Args:
        landscape: in float64.
        curve: in float64.
        t: where its loss is highest.

    Returns:
        The stationary point; ``end_distances`` and ``connects`` are None where it is not a converged saddle of index 1.
        Of the two ways to assign descents to ends the nearer one is taken.
    """
    probe = Probe(landscape)
    near = curve.at(torch.tensor([max(0.0, t - _TANGENT), t, min(1.0, t + _TANGENT)], dtype=torch.float64))
    distance = curve.distance
    found = follow(probe, near[1], near[2] - near[0], radius=_FIRST_STEP * distance)
    point = found.point
    if not point.converged or point.index != 1:
        return replace(point, evaluations=probe.evaluations)
    off = _OFF_SADDLE * found.radius * found.spectrum.vectors[0]
    sides = [descend(probe, point.x + sign * off, scale=distance) for sign in (-1, 1)]
    ends = [curve.start, curve.end]
    basins = [descend(probe, end, scale=distance) for end in ends]
    to_ends = [[_apart(probe, side.x, end, distance) for end in ends] for side in sides]
    if to_ends[0][0] + to_ends[1][1] > to_ends[0][1] + to_ends[1][0]:
        sides, to_ends = sides[::-1], to_ends[::-1]
    gaps = [[_apart(probe, side.x, basin.x, distance) for basin in basins] for side in sides]
    reached = [gaps[i][i] <= _SAME * distance for i in range(2)]
    certain = all(each.converged for each in (*sides, *basins))
    return replace(
        point,
        end_distances=(to_ends[0][0], to_ends[1][1]),
        connects=True if all(reached) else False if certain else None,
        evaluations=probe.evaluations,
        message=f"{point.message}; {_describe(reached, sides, basins, gaps, _SAME * distance)}",
    )


def _describe(
    reached: list[bool], sides: list[Descent], basins: list[Descent], gaps: list[list[float]], same: float
) -> str:
    if all(reached):
        return "steepest descent from it reaches both ends"
    unfinished = [each for each in (*sides, *basins) if not each.converged]
    if unfinished:
        return f"what it connects is not known, because a descent stopped early: {unfinished[0].message}"
    names = ("start", "end")
    if reached[0] != reached[1]:
        other = 1 if reached[0] else 0
        if gaps[other][1 - other] <= same:
            return f"steepest descent to both sides reaches the {names[1 - other]}"
        return (
            f"steepest descent reaches the {names[1 - other]} on one side and on the other stops at another minimum, "
            f"of loss {sides[other].value:.9g}, between it and the {names[other]}: a further pass lies there, "
            "which is normal"
        )
    return (
        f"steepest descent stops at other minima, of loss {sides[0].value:.9g} and {sides[1].value:.9g}: "
        "further passes lie between them and the ends"
    )


def _apart(probe: Probe, x: Tensor, y: Tensor, scale: float) -> float:
    """Distance, after moving ``x`` to ``y`` along directions that never change the loss."""
    return float(torch.linalg.vector_norm(slide(probe, x, y, scale) - y))


def slide(probe: Probe, x: Tensor, y: Tensor, scale: float) -> Tensor:
    """Move ``x`` nearest to ``y`` along its null space, dx/dτ = -Nᵀ N (x - y), ``(d,), (d,) -> (d,)``.

    Stops where a motion would bring it closer by less than 1e-7 of ``scale``, a length of the landscape.
    Runge-Kutta steps of fourth order: on the orbit of a rotation a straight step would leave the orbit.
    """

    def velocity(at: Tensor) -> Tensor:
        null = probe.null_space(at)
        return (null @ (y - at)) @ null

    step = 0.2
    for _ in range(200):
        a = velocity(x)
        if float(torch.linalg.vector_norm(a)) <= 1e-7 * scale:
            break
        b = velocity(x + 0.5 * step * a)
        c = velocity(x + 0.5 * step * b)
        x = x + step / 6 * (a + 2 * b + 2 * c + velocity(x + step * c))
    return x
