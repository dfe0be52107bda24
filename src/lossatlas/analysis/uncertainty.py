"""Means with honest intervals, also where the numbers are pairs that share minima."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lossatlas.core.errors import InputError

__all__ = ["Estimate", "mean_of_pairs", "mean_of_runs"]


@dataclass(frozen=True)
class Estimate:
    """A mean and how sure it is.

    Args:
        mean: the estimate.
        error: its standard error; NaN with fewer than two independent units.
        low: lower end of the interval.
        high: upper end.
        units: number of independent units (runs or minima).
    """

    mean: float
    error: float
    low: float
    high: float
    units: int


def _interval(mean: float, error: float, units: int, confidence: float) -> Estimate:
    if units < 2 or not math.isfinite(error):
        return Estimate(mean, float("nan"), float("nan"), float("nan"), units)
    half = float(stats.t.ppf(0.5 + confidence / 2, units - 1)) * error
    return Estimate(mean, error, mean - half, mean + half, units)


def mean_of_runs(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean over independent runs with Student's t interval.

    x̄ ± t_{n-1} s / √n.

    Args:
        values: one number per run.
        confidence: of the interval.

    Raises:
        InputError: no values.

    Example:
        >>> estimate = mean_of_runs([1.0, 2.0, 3.0])
        >>> estimate.mean, round(estimate.error, 4)
        (2.0, 0.5774)
    """
    if len(values) == 0:
        raise InputError("expected at least one value for a mean, got none")
    array = np.asarray(values, dtype=np.float64)
    error = float(array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else float("nan")
    return _interval(float(array.mean()), error, len(array), confidence)


def mean_of_pairs(values: Sequence[float], pairs: Sequence[tuple[int, int]], confidence: float = 0.95) -> Estimate:
    """Mean over pairs with a jackknife over minima.

    Pairs that share a minimum are not independent, so minima, not pairs, are left out one at a time:
    se² = (n-1)/n Σ_i (m_i - m̄)², with m_i the mean over the pairs without minimum i, and t with n-1 degrees of freedom.
    An interval from a bootstrap over pairs would be far too short.

    Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, eq. 11.5.

    Args:
        values: one number per pair.
        pairs: the two minima of each pair.
        confidence: of the interval.

    Raises:
        InputError: no pairs, or lengths that differ.

    Example:
        >>> mean_of_pairs([1.0, 2.0, 3.0], [(0, 1), (0, 2), (1, 2)]).mean
        2.0
    """
    if len(values) == 0 or len(values) != len(pairs):
        raise InputError(f"expected one value per pair and at least one pair, got {len(values)} and {len(pairs)}")
    array = np.asarray(values, dtype=np.float64)
    ends = np.asarray(pairs, dtype=np.int64)
    minima = np.unique(ends)
    mean = float(array.mean())
    without = [array[(ends != minimum).all(axis=1)] for minimum in minima]
    if len(minima) < 3 or any(len(rest) == 0 for rest in without):
        return _interval(mean, float("nan"), len(minima), confidence)
    means = np.array([rest.mean() for rest in without])
    n = len(minima)
    error = float(np.sqrt((n - 1) / n * np.square(means - means.mean()).sum()))
    return _interval(mean, error, n, confidence)
