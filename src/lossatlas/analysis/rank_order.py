"""Rank correlation of two numbers over minima, with an interval and a p-value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from lossatlas.analysis.rank_interval import COEFFICIENTS, Array, RankMethod, rank_agreement, rank_interval
from lossatlas.core.errors import InputError
from lossatlas.core.randomness import derive_seed

__all__ = ["RankCorrelation", "rank_correlation"]

_FEWEST = 4
# Of that many orders all are tried, else as many are drawn.
_PERMUTATIONS = 5040


@dataclass(frozen=True)
class RankCorrelation:
    """A rank correlation and how sure it is.

    Args:
        value: Kendall's τ_b or Spearman's ρ, from −1 to 1; NaN where all ranks of one number are equal.
        low: lower end of the interval; NaN of fewer than 4 minima.
        high: upper end.
        confidence: of the interval.
        p_value: of no association, two-sided, by permutation.
        minima: n.
        method: which.
    """

    value: float
    low: float
    high: float
    confidence: float
    p_value: float
    minima: int
    method: RankMethod


def rank_correlation(
    a: Sequence[float],
    b: Sequence[float],
    *,
    method: RankMethod = "kendall",
    confidence: float = 0.95,
    seed: int = 0,
) -> RankCorrelation:
    """Do two numbers order minima in the same way? Kendall's τ_b or Spearman's ρ.

    The interval is Student's with n − 1 degrees of freedom on Fisher's scale, artanh, where the standard error is the
    larger of two: that of the jackknife over minima, and Fieller's, which holds where both numbers are normal after
    some monotone transformation. The jackknife alone is zero where the order is perfect, and too short of few minima.
    The p-value comes from all orders of up to 7 minima, or 5 040 random ones.

    Args:
        a: ``(n,)``, such as a sharpness.
        b: ``(n,)``, such as a generalisation gap.
        method: ``"kendall"`` or ``"spearman"``.
        confidence: of the interval.
        seed: names the random orders.

    Returns:
        The correlation; NaN where a number is not finite or all are equal.

    Raises:
        InputError: lengths that differ, fewer than two minima, or another method.

    Example:
        >>> found = rank_correlation([1.0, 2.0, 3.0, 4.0, 5.0], [1.1, 2.3, 2.2, 4.0, 9.0])
        >>> round(found.value, 6), found.low < 0.8 < found.high, round(found.p_value, 4)
        (0.8, True, 0.0833)

    Kendall 1938; Fieller, Hartley & Pearson 1957, *Tests for rank correlation coefficients I*, Biometrika 44, 470;
    Jiang, Neyshabur, Mobahi, Krishnan & Bengio 2020 for its use with measures of generalisation.
    """
    if method not in COEFFICIENTS:
        raise InputError(f"expected method 'kendall' or 'spearman', got '{method}'")
    if not 0 < confidence < 1:
        raise InputError(f"expected a confidence between 0 and 1, such as 0.95, got {confidence}")
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise InputError(f"expected two numbers for each of at least 2 minima, got shapes {x.shape} and {y.shape}")
    n, nan = len(x), math.nan
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or np.ptp(x) == 0 or np.ptp(y) == 0:
        return RankCorrelation(nan, nan, nan, confidence, nan, n, method)
    value = COEFFICIENTS[method](x, y)
    low, high = rank_interval(x, y, method, confidence) if n >= _FEWEST else (nan, nan)
    return RankCorrelation(value, low, high, confidence, _p_value(x, y, method, seed), n, method)


def _p_value(x: Array, y: Array, method: RankMethod, seed: int) -> float:
    n = len(x)
    if math.factorial(n) <= _PERMUTATIONS:
        orders = np.array(list(permutations(range(n))))
        sampled = 0
    else:
        stream = np.random.default_rng(derive_seed(seed, "permutations", n))
        orders = stream.permuted(np.tile(np.arange(n), (_PERMUTATIONS, 1)), axis=1)
        sampled = 1
    # The denominators of both coefficients are the same in every order.
    agreement = rank_agreement(x, y, np.vstack([np.arange(n), orders]), method)
    hits = int((np.abs(agreement[1:]) >= abs(agreement[0]) - 1e-6).sum())
    return (hits + sampled) / (len(orders) + sampled)
