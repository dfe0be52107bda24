"""Two sets of runs, or of pairs that share minima, compared: Welch's way, or paired."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lossatlas.analysis.pair_design import PairDesign
from lossatlas.analysis.sample import Sample
from lossatlas.analysis.uncertainty import Estimate, Share, estimate_from_error, widening
from lossatlas.core.errors import InputError

__all__ = ["Comparison", "difference", "paired_difference", "welch"]


@dataclass(frozen=True)
class Comparison:
    """First minus second; made by :func:`difference` and :func:`paired_difference`.

    Args:
        difference: of the means, with its interval.
        first: mean of the first set alone.
        second: mean of the second set alone.
        effect_size: difference over √((s₁² + s₂²)/2), with s the standard deviations of single numbers (of runs or
            pairs, not of means); NaN where both are 0.
        paired: whether the same runs, or minima, stand on both sides.
    """

    difference: Estimate
    first: Estimate
    second: Estimate
    effect_size: float
    paired: bool


def welch(one: tuple[Share, Share, float], two: tuple[Share, Share, float]) -> tuple[Share, Share, Share]:
    """Variance of a difference of two means, its degrees of freedom, and the factor against skewness.

    Args:
        one: variance of the first mean, not 0 together with the other's, its degrees of freedom, its number of units.
        two: the same of the second.

    Example:
        >>> [round(number, 4) for number in welch((1.0, 3.0, 4), (1.0, 3.0, 4))]
        [2.0, 6.0, 1.0719]
    """
    total = one[0] + two[0]
    s1, s2 = one[0] / total, two[0] / total
    return total, 1 / (s1**2 / one[1] + s2**2 / two[1]), widening((s1, one[2]), (s2, two[2]))


def difference(first: Sample, second: Sample, confidence: float = 0.95) -> Comparison:
    """Difference of the means of two independent sets.

    V = V₁ + V₂, df = V² / (V₁²/df₁ + V₂²/df₂), with V_k the squared standard error of a mean over runs or, by the
    jackknife over minima, over pairs; widened against skewness (:func:`widening`).

    Welch 1947, *The generalization of 'Student's' problem when several different population variances are involved*,
    Biometrika 34, 28.

    Args:
        first: numbers of one set.
        second: of the other. The numbers of runs have no meaning across the two.
        confidence: of the interval.

    Returns:
        First minus second; without an interval where one of the two has none.

    Raises:
        InputError: runs against pairs.

    Example:
        >>> found = difference(Sample.of_runs([5.0, 6.0, 7.0]), Sample.of_runs([1.0, 2.0, 3.0]))
        >>> found.difference.mean, found.effect_size, found.difference.df
        (4.0, 4.0, 4.0)
    """
    _alike(first, second)
    one, two = first.estimate(confidence), second.estimate(confidence)
    units = one.units + two.units
    variance, df, guard = one.error**2 + two.error**2, float(max(units - 2, 1)), 1.0
    if variance > 0:
        variance, df, guard = welch(
            *((e.error**2, e.df, math.inf if math.isinf(e.df) else e.units) for e in (one, two))
        )
    estimate = estimate_from_error(
        _minus(one.mean, two.mean), math.sqrt(variance), units, df=df, widened=guard, confidence=confidence
    )
    return Comparison(estimate, one, two, _effect_size(estimate.mean, first, second), False)


def paired_difference(first: Sample, second: Sample, confidence: float = 0.95) -> Comparison:
    """Difference of the means of the same runs, or minima, under two treatments.

    Where both sides have the same runs or pairs, it is the mean of their differences. Where they have different pairs
    of the same minima, each minimum is left out on both sides at once:
    V_J = (n-1)/n Σ_i (δ_i − δ̄)², δ_i = m_i⁽¹⁾ − m_i⁽²⁾, less the second count of what pairs have of their own, with
    n − 1 degrees of freedom.

    Args:
        first: numbers under one treatment.
        second: under the other; equal numbers of runs or minima mean the same one.
        confidence: of the interval.

    Raises:
        InputError: runs against pairs, different runs, or pairs without a common minimum.

    Example:
        >>> before = Sample.of_runs([1.0, 5.0, 9.0], runs=[4, 7, 8])
        >>> after = Sample.of_runs([8.0, 0.0, 4.0], runs=[8, 4, 7])
        >>> found = paired_difference(before, after)
        >>> found.difference.mean, found.difference.error
        (1.0, 0.0)
    """
    _alike(first, second)
    if set(first.members) == set(second.members):
        other = second.at(first.members)
        changes = tuple(_minus(a, b) for a, b in zip(first.values, other.values, strict=True))
        estimate = Sample(changes, first.members, first.complete and second.complete).estimate(confidence)
    elif not first.paired:
        raise InputError(
            f"expected the same runs on both sides, got {sorted(r for (r,) in first.members)} and "
            f"{sorted(r for (r,) in second.members)}: take those in both, or compare independent sets"
        )
    else:
        estimate = _joint(first, second, confidence)
    sides = first.estimate(confidence), second.estimate(confidence)
    return Comparison(estimate, *sides, _effect_size(estimate.mean, first, second), True)


def _joint(first: Sample, second: Sample, confidence: float) -> Estimate:
    designs = PairDesign(first.pairs), PairDesign(second.pairs)
    minima = sorted({*designs[0].minima, *designs[1].minima})
    if not set(designs[0].minima) & set(designs[1].minima):
        raise InputError(
            "expected pairs of the same minima on both sides, got none in common: compare independent sets"
        )
    n = len(minima)
    guard = widening((1.0, n))
    values = [np.asarray(sample.values) for sample in (first, second)]
    with np.errstate(invalid="ignore"):
        mean = _minus(float(values[0].mean()), float(values[1].mean()))
    finite = all(np.isfinite(v).all() for v in values)
    if not finite or not all(design.estimable for design in designs):
        return estimate_from_error(mean, float("nan"), n, df=float("nan"), widened=guard, confidence=confidence)
    left_out, counted, surplus = np.zeros(n), 0.0, 0.0
    for sign, design, numbers in zip((1, -1), designs, values, strict=True):
        moments = design.moments(numbers)
        _, b, _ = design.weights
        # without a minimum that a side does not have, its mean stays as it is
        means = np.full(n, float(moments.mean))
        means[np.searchsorted(minima, design.minima)] = moments.left_out
        left_out += sign * means
        counted += b * float(moments.noise)
        surplus += (b - 1 / len(numbers)) * float(moments.noise)
    jackknife = (n - 1) / n * float(np.square(left_out - left_out.mean()).sum())
    within = min(1.0, jackknife / counted) if counted > 0 else 0.0
    error = math.sqrt(max(jackknife - within * surplus, 0.0))
    return estimate_from_error(mean, error, n, df=n - 1, widened=guard, confidence=confidence)


def _alike(first: Sample, second: Sample) -> None:
    if first.paired != second.paired:
        kinds = ["pairs" if sample.paired else "runs" for sample in (first, second)]
        raise InputError(f"expected two samples of runs or two of pairs, got {kinds[0]} and {kinds[1]}")


def _minus(a: float, b: float) -> float:
    return a - b  # inf − inf is NaN, and floats do not warn of it


def _effect_size(change: float, first: Sample, second: Sample) -> float:
    spread = math.sqrt((first.spread**2 + second.spread**2) / 2)
    return change / spread if spread > 0 else float("nan")
