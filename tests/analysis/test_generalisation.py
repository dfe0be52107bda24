"""Rank correlations against scipy and against known ones; intervals that cover; sharpness beside the gap."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from lossatlas import landscape as landscapes
from lossatlas.analysis import generalisation, generalisation_table, rank_correlation
from lossatlas.analysis.rank_interval import rank_interval
from lossatlas.core.errors import InputError


@pytest.mark.parametrize("n", [4, 7, 8, 25])
@pytest.mark.parametrize("ties", [False, True])
def test_values_are_scipys(n, ties):
    stream = np.random.default_rng(n)
    a, b = stream.normal(size=(2, n))
    if ties:
        a, b = a.round(), b.round()
    for method, reference in (("kendall", scipy.stats.kendalltau), ("spearman", scipy.stats.spearmanr)):
        found = rank_correlation(a, b, method=method)
        assert found.value == pytest.approx(reference(a, b).statistic)
        assert found.low <= found.value <= found.high


@pytest.mark.parametrize("n", [6, 7])
def test_exact_p_values_are_scipys(n):
    a, b = np.random.default_rng(n).normal(size=(2, n))
    assert rank_correlation(a, b).p_value == pytest.approx(scipy.stats.kendalltau(a, b, method="exact").pvalue)


def test_sampled_p_values_are_near_the_exact_ones():
    stream = np.random.default_rng(3)
    a = stream.normal(size=12)
    b = a + 1.5 * stream.normal(size=12)
    exact = scipy.stats.kendalltau(a, b, method="exact").pvalue
    assert rank_correlation(a, b).p_value == pytest.approx(exact, abs=4 * math.sqrt(exact / 5040))


def interval(a, b, method):
    """The interval alone: the p-value costs most of the time."""
    return rank_interval(a, b, method, 0.95)


@pytest.mark.parametrize("method", ["kendall", "spearman"])
@pytest.mark.parametrize("n", [5, 12, 24])
@pytest.mark.parametrize("r", [0.0, 0.6, 0.95])
def test_intervals_cover_the_truth(method, n, r):
    """τ = 2/π asin r of two normal numbers, ρ = 6/π asin r/2; also after a monotone transformation."""
    stream = np.random.default_rng(n)
    truth = 2 / math.pi * math.asin(r) if method == "kendall" else 6 / math.pi * math.asin(r / 2)
    covered = 0
    for _ in range(150):
        a, e = stream.normal(size=(2, n))
        b = r * a + math.sqrt(1 - r * r) * e
        low, high = interval(np.exp(3 * a), b, method)
        covered += low <= truth <= high
    assert covered >= 0.93 * 150


def test_a_perfect_order_of_few_is_not_sure():
    found = rank_correlation([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert found.value == 1.0
    assert found.high == 1.0
    assert found.low < 0.6
    assert found.p_value == pytest.approx(2 / 120)


def test_what_has_no_order():
    assert math.isnan(rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]).value)
    assert math.isnan(rank_correlation([1, math.inf, 1, 2], [1, 2, 3, 4]).value)
    few = rank_correlation([1, 2, 3], [1, 2, 3])
    assert few.value == 1.0
    assert math.isnan(few.low)
    with pytest.raises(InputError, match="at least 2 minima"):
        rank_correlation([1], [1])
    with pytest.raises(InputError, match="'kendall' or 'spearman'"):
        rank_correlation([1, 2], [1, 2], method="pearson")


def bowls():
    """A test loss that rises twice as fast: relative sharpness w² orders minima as the gap does, raw does not."""
    train = landscapes.get("quadratic", dim=1, eigenvalues=[1.0])
    test = landscapes.get("quadratic", dim=1, eigenvalues=[3.0])
    return train, test, torch.linspace(1.0, 2.0, 8, dtype=torch.float64)[:, None]


def test_sharpness_beside_the_gap():
    train, test, w = bowls()
    found = generalisation(train, test, w, names=["relative trace", "asam", "trace"])
    assert torch.allclose(found.gap, w[:, 0] ** 2)
    assert torch.allclose(found.sharpness["relative trace"], w[:, 0] ** 2)
    assert found.correlations["relative trace"].value == 1.0
    assert math.isnan(found.correlations["trace"].value)
    table = generalisation_table(found)
    assert table.column("measure") == ["relative trace", "asam", "trace"]
    assert table.column("correlation")[2] is None
    assert table.column("invariant") == [True, True, False]


def test_what_is_refused():
    train, test, w = bowls()
    with pytest.raises(InputError, match="at least two minima"):
        generalisation(train, test, w[0])
    with pytest.raises(InputError, match="with an accuracy"):
        generalisation(train, test, w, gap="error")
    with pytest.raises(InputError, match="coordinates"):
        generalisation(train, landscapes.get("quadratic", dim=2), w)
