"""Saddles: no gradient, and a way down, strict or degenerate."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossatlas.analysis.diagnosis.case import HIGH, Case
from lossatlas.analysis.diagnosis.pictures import curves_picture, direction_picture
from lossatlas.analysis.diagnosis.records import Evidence, Finding
from lossatlas.core.linalg import row_norm
from lossatlas.core.randomness import generator
from lossatlas.curvature.hessian import HessianOperator

__all__ = ["near_critical", "promise", "saddle", "trapped"]

# What the gradient promises is less than this part of the scale of the loss.
_CRITICAL = 1e-2
# Curvature counts as negative from this part of the largest on, and as a way down if the loss falls by that part.
_NEGATIVE, _GAIN = 1e-3, 1e-2
_REACH = 21
_PROBES, _SMALL = 64, 1e-2


def near_critical(case: Case) -> bool:
    """Whether the gradient promises next to nothing.

    Of a network: |g|²/2|λ|, a step down the gradient, is below 1 % of the scale of the loss. Of an energy, which has no
    scale: the nearest critical point of the quadratic model is within 1 % of the length of the coordinates, or the
    gradient vanishes where curvature does too.
    """
    point = case.point
    if point.largest == 0 or point.gradient_norm == 0:
        return point.gradient_norm <= 1e-9 * (1 + abs(point.loss)) / point.size
    if case.network:
        return point.gradient_norm * point.gradient_norm / (2 * point.largest) < _CRITICAL * case.scale
    far = point.gradient_norm * math.sqrt(float((point.shares / (point.nodes.abs() + point.zero) ** 2).sum()))
    return far < _CRITICAL * (1 + float(row_norm(point.w)))


def trapped(case: Case) -> bool:
    """Whether a saddle would be found."""
    return _way_down(case) is not None


def _way_down(case: Case) -> tuple[Tensor, float, float, bool] | None:
    """Direction, distance and decrease of a way down from a critical point, and whether curvature shows it."""
    point = case.point
    if not near_critical(case) or (case.network and not case.level > HIGH):
        return None
    if point.bottom < -max(_NEGATIVE * point.largest, point.zero):
        distance, gain = _lowest(case, point.bottom_vector)
        if not case.network or gain >= max(_GAIN * case.scale, promise(case, distance)):
            return point.bottom_vector, distance, gain, True
        return None
    flat = int((point.eigenvalues.abs() <= max(point.zero, 1e-12)).sum())
    if not point.complete or not flat or case.network:
        return None
    return _degenerate(case)


def promise(case: Case, distance: float) -> float:
    """What the gradient promises over so long a way: |g| r, the most that a linear loss falls.

    L(w + r u) ≈ L + r gᵀu + ½ r² uᵀHu. Where a way down gains more than |g| r, curvature leads it and not the slope:
    that is what a saddle is. Random weights of a network have negative curvature too, and a slope that does better.
    A tiny slope may lie along the way down, as where descent leaves a saddle; it promises little all the same.
    """
    return case.point.gradient_norm * abs(distance)


def _lowest(case: Case, direction: Tensor) -> tuple[float, float]:
    reach = max(case.point.size, 1.0) * 2.0 ** torch.linspace(-10, 0, _REACH, dtype=torch.float64)
    steps = torch.cat([-reach, reach])
    fall = (case.point.loss - case.along(direction, steps)).nan_to_num(-math.inf, -math.inf, -math.inf)
    best = int(fall.argmax())
    return float(steps[best]), float(fall[best])


def _degenerate(case: Case) -> tuple[Tensor, float, float, bool] | None:
    """Look for lower values in the null space of the Hessian, where higher derivatives decide."""
    point = case.point
    hessian_null = _null_space(case)
    stream = generator(case.seed, "null space", case.landscape.dim)
    mixes = torch.randn(_PROBES, len(hessian_null), dtype=torch.float64, generator=stream).to(point.w)
    directions = mixes @ hessian_null
    directions = directions / row_norm(directions)[:, None]
    radius = _SMALL * point.size
    fall = point.loss - case.landscape.value(point.w + radius * directions)
    best = int(fall.nan_to_num(-math.inf).argmax())
    gain = float(fall[best])
    # A flat valley falls by rounding alone.
    if not gain > 1e-12 * (abs(point.loss) + radius * point.gradient_norm) + 1e-14 * radius:
        return None
    return directions[best], radius, gain, False


def _null_space(case: Case) -> Tensor:
    values, vectors = torch.linalg.eigh(HessianOperator(case.landscape, case.point.w).dense())
    inside: Tensor = vectors[:, values.abs() <= max(case.point.zero, 1e-12)].mT
    return inside


def saddle(case: Case) -> Finding | None:
    """A critical point with negative curvature, or one below which higher derivatives lead."""
    way = _way_down(case)
    if way is None:
        return None
    point = case.point
    direction, distance, gain, strict = way
    index, null = point.negative, int((point.eigenvalues.abs() <= max(point.zero, 1e-12)).sum())
    evidence = [
        Evidence("gradient norm", point.gradient_norm),
        Evidence("index", float(index), note="negative eigenvalues" + ("" if point.complete else ", at least")),
        Evidence("smallest eigenvalue", point.bottom),
        Evidence("largest eigenvalue", point.top),
        Evidence("way down", gain, note=f"fall of the loss at a distance of {abs(distance):.3g}"),
        Evidence("promise of the gradient", promise(case, distance), note="|g| times that distance"),
    ]
    if not math.isnan(case.level):
        evidence.append(Evidence("loss over baseline", case.level, limit=HIGH))
    if strict:
        every = point.complete and index == case.landscape.dim
        what = "a maximum" if every else f"a saddle of index {'' if point.complete else 'at least '}{index}"
        sentence = (
            f"The gradient, {point.gradient_norm:.2g}, promises next to nothing, and the smallest eigenvalue, "
            f"{point.bottom:.3g}, is negative: {what}. Along its eigenvector the loss falls by {gain:.3g}."
        )
        if case.learning_rate is not None and case.learning_rate > 0:
            steps = 1 / math.log1p(case.learning_rate * -point.bottom)
            evidence.append(Evidence("steps to grow e-fold", steps, "steps", note="away from it, by gradient descent"))
    else:
        sentence = (
            "Gradient and curvature vanish along some directions, and yet the loss falls along them: a degenerate "
            f"saddle, of which the Hessian says nothing (index {index}, null space of {null})."
        )
    advice = (
        "Step off along the direction of negative curvature, to either side, and go on from there.",
        "Gradient noise helps: smaller batches, or a small random perturbation of the weights.",
        "If all weights began equal or zero, draw random ones: units that are equal stay equal.",
    )
    reach = max(abs(distance), 1e-3 * point.size)
    pictures = (*direction_picture(case, direction, reach), *curves_picture(case, "saddle"))
    return Finding("saddle", sentence, tuple(evidence), advice, pictures)
