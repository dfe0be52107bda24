"""Rank coefficients and the interval of one: jackknife over minima on Fisher's scale, never shorter than Fieller's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["COEFFICIENTS", "Array", "RankMethod", "rank_agreement", "rank_interval"]

RankMethod: TypeAlias = Literal["kendall", "spearman"]

Array: TypeAlias = NDArray[np.float64]

# Numbers at a time that permutations may make.
_NUMBERS = 1 << 22

# Fieller, Hartley & Pearson 1957: variance of the Fisher transform of independent samples, over n - a.
_FIELLER: Mapping[RankMethod, tuple[float, int]] = {"kendall": (0.437, 4), "spearman": (1.06, 3)}


def _kendall(x: Array, y: Array) -> float:
    i, j = np.triu_indices(len(x), 1)
    return _ratio(np.sign(x[i] - x[j]), np.sign(y[i] - y[j]))


def _spearman(x: Array, y: Array) -> float:
    u, v = stats.rankdata(x), stats.rankdata(y)
    return _ratio(u - u.mean(), v - v.mean())


def _ratio(u: Array, v: Array) -> float:
    size = math.sqrt(float(u @ u) * float(v @ v))
    return float(u @ v) / size if size > 0 else math.nan


COEFFICIENTS: Mapping[RankMethod, Callable[[Array, Array], float]] = {"kendall": _kendall, "spearman": _spearman}
"""Kendall's τ_b and Spearman's ρ of two sets of numbers, ``(n,), (n,)``."""


def rank_interval(x: Array, y: Array, method: RankMethod, confidence: float) -> tuple[float, float]:
    """Interval of a rank correlation of at least four pairs.

    Args:
        x: ``(n,)``.
        y: ``(n,)``.
        method: which coefficient.
        confidence: of the interval.
    """
    n, coefficient = len(x), COEFFICIENTS[method]
    value = coefficient(x, y)
    # A perfect order may be imperfect by half a pair: artanh of 1 would leave no interval.
    most = 1 - 1 / (n * (n - 1))
    left_out = [coefficient(np.delete(x, k), np.delete(y, k)) for k in range(n)]
    z = np.arctanh(np.clip([each for each in left_out if not math.isnan(each)], -most, most))
    jackknife = math.sqrt((n - 1) * float(np.mean((z - z.mean()) ** 2))) if len(z) == n else math.inf
    factor, used = _FIELLER[method]
    error = max(jackknife, math.sqrt(factor / max(n - used, 1)))
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * error
    centre = math.atanh(max(-most, min(most, value)))
    low, high = math.tanh(centre - half), math.tanh(centre + half)
    return min(low, value), max(high, value)


def rank_agreement(x: Array, y: Array, orders: NDArray[np.int64], method: RankMethod) -> Array:
    """Numerators of a coefficient for many orders of y, ``(n,), (n,), (m, n) -> (m,)``.

    Args:
        x: ``(n,)``.
        y: ``(n,)``.
        orders: permutations of 0..n−1.
        method: which coefficient.
    """
    if method == "spearman":
        u, v = stats.rankdata(x), stats.rankdata(y)
        return np.asarray((v - v.mean())[orders] @ (u - u.mean()))
    i, j = np.triu_indices(len(x), 1)
    signs, ahead = np.sign(x[i] - x[j]), np.sign(y[:, None] - y[None, :])
    at_once = max(1, _NUMBERS // len(i))
    parts = [orders[k : k + at_once] for k in range(0, len(orders), at_once)]
    return np.concatenate([ahead[part[:, i], part[:, j]] @ signs for part in parts])
