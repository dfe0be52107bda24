"""Comparisons against scipy, dense covariances, simulation and symmetry."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from lossatlas.analysis import Sample, difference, mean_of_pairs, paired_difference
from lossatlas.analysis.comparison import welch
from lossatlas.analysis.pair_design import PairDesign
from lossatlas.analysis.uncertainty import widening
from lossatlas.core.errors import InputError


def all_pairs(n: int) -> list[tuple[int, int]]:
    return list(combinations(range(n), 2))


def some_pairs(n: int, count: int, seed: int) -> list[tuple[int, int]]:
    chosen = np.random.default_rng(seed).choice(n * (n - 1) // 2, count, replace=False)
    return [all_pairs(n)[k] for k in chosen]


def test_jackknife_over_all_pairs_has_its_closed_form() -> None:
    """Over all pairs V = 4 S/(n(n−2)²) − s² (4/(n(n−2)) − 2/(n(n−1))), S the variance of the sums of each minimum."""
    n = 7
    pairs = all_pairs(n)
    values = np.random.default_rng(0).normal(size=len(pairs)) + np.array([i + j for i, j in pairs])
    sums = np.array([sum(v for v, p in zip(values, pairs, strict=True) if i in p) for i in range(n)])
    effects = (sums - sums.mean()) / (n - 2)
    residual = [v - values.mean() - effects[i] - effects[j] for v, (i, j) in zip(values, pairs, strict=True)]
    noise = np.square(residual).sum() / (n * (n - 3) / 2)
    expected = 4 * sums.var(ddof=1) / (n * (n - 2) ** 2) - noise * (4 / (n * (n - 2)) - 2 / (n * (n - 1)))
    found = mean_of_pairs(values.tolist(), pairs)
    assert found.error == pytest.approx(math.sqrt(expected))
    assert found.df == pytest.approx(n - 1)


@pytest.mark.parametrize("pairs", [all_pairs(5), some_pairs(9, 20, 1), [(0, 1), (2, 3), (4, 5), (6, 7)]])
@pytest.mark.parametrize("of_minima", [0.0, 0.7])
def test_variance_is_unbiased_for_any_pairs(pairs: list[tuple[int, int]], of_minima: float) -> None:
    """Where s² is not cut, E V is the variance of the mean; here over 40 000 studies."""
    design = PairDesign(pairs)
    of_pairs = 0.3
    covariance = of_minima**2 * design.incidence @ design.incidence.T + of_pairs**2 * np.eye(len(pairs))
    draws = np.random.default_rng(3).multivariate_normal(np.zeros(len(pairs)), covariance, size=40000)
    moments = design.moments(draws)
    truth = covariance.mean()
    assert np.square(draws.mean(axis=1)).mean() == pytest.approx(truth, rel=0.05)
    # s² is cut at V_J/B where minima bring nothing, which can only lengthen intervals
    assert moments.variance.mean() >= truth * 0.97
    if of_minima or len(design.minima) == 2 * len(pairs):
        assert moments.variance.mean() == pytest.approx(truth, rel=0.05)


def test_disjoint_pairs_are_independent_runs() -> None:
    values = [0.3, 1.2, 0.7, 2.5, 0.1]
    found = mean_of_pairs(values, [(2 * k, 2 * k + 1) for k in range(5)])
    assert found.error == pytest.approx(stats.sem(values))
    assert found.df == pytest.approx(4)


@pytest.mark.parametrize(("n", "pairs"), [(4, 6), (8, 28), (48, 1128), (48, 300)])
@pytest.mark.parametrize("of_minima", [1.0, 0.3, 0.0])
@pytest.mark.parametrize("skewed", [False, True])
def test_intervals_cover(n: int, pairs: int, of_minima: float, skewed: bool) -> None:
    """95 % intervals of one set and of two hold the truth in 93-99 % of 2000 studies; 1.5 % for the simulation."""
    rng = np.random.default_rng(n + pairs)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_exponential(shape) - 1 if skewed else rng.standard_normal(shape)

    parts = []
    for _ in range(2):
        design = PairDesign(some_pairs(n, pairs, 5))
        ends = np.asarray(design.pairs)
        a = of_minima * draw(2000, n)
        parts.append(design.moments(a[:, ends[:, 0]] + a[:, ends[:, 1]] + 0.5 * draw(2000, len(ends))))
    one, two = parts
    half = widening((1.0, n)) * stats.t.ppf(0.975, one.df) * np.sqrt(one.variance)
    variance, df, guard = welch((one.variance, one.df, n), (two.variance, two.df, n))
    of_two = guard * stats.t.ppf(0.975, df) * np.sqrt(variance)
    assert 0.915 <= (np.abs(one.mean) <= half).mean() <= 0.995
    assert 0.915 <= (np.abs(one.mean - two.mean) <= of_two).mean() <= 0.995


def test_the_committed_coverage_meets_its_bar_and_is_what_the_page_says() -> None:
    root = Path(__file__).resolve().parents[2]
    found = json.loads((root / "validation/results/coverage.json").read_text(encoding="utf-8"))
    assert found["outside"] == []
    assert all(0.93 <= case["coverage"] <= 0.99 for case in found["all"])
    assert {case["minima"] for case in found["all"]} == {4, 8, 48}
    page = (root / "docs/claims.md").read_text(encoding="utf-8")
    shares = [found["lowest"]["coverage"], found["highest"]["coverage"], found["median"]]
    shares += [found["plain_jackknife"]["lowest"], found["plain_jackknife"]["highest"]]
    assert f"{found['cases']} cases" in page
    assert [share for share in shares if f"{share:.1%}".replace("%", " %") not in page] == []


def test_plain_jackknife_would_be_too_wide_where_pairs_decide() -> None:
    """Without minima's own effects the textbook jackknife is √2 too wide: intervals must not be."""
    design = PairDesign(all_pairs(48))
    moments = design.moments(np.random.default_rng(0).standard_normal((2000, 1128)))
    deviations = moments.left_out - moments.left_out.mean(axis=1, keepdims=True)
    plain = 47 / 48 * np.square(deviations).sum(axis=1)
    assert plain.mean() * 1128 == pytest.approx(2 * 47 / 46, rel=0.03)
    assert moments.variance.mean() * 1128 == pytest.approx(1.05, abs=0.07)  # s² is cut at times


def test_differences_of_runs_are_welchs() -> None:
    a, b = [0.3, 1.2, 0.7, 2.5, 0.1], [3.0, 2.5, 7.0]
    found = difference(Sample.of_runs(a), Sample.of_runs(b))
    reference = stats.ttest_ind(a, b, equal_var=False)
    assert found.difference.df == pytest.approx(reference.df)
    assert found.difference.mean / found.difference.error == pytest.approx(reference.statistic)
    low, high = reference.confidence_interval(0.95)
    stretch = (found.difference.high - found.difference.low) / (high - low)
    assert stretch == pytest.approx(found.difference.widening)
    assert found.effect_size == pytest.approx(
        (np.mean(a) - np.mean(b)) / math.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / 2)
    )


def test_pairs_of_the_same_minima_are_compared_pair_by_pair() -> None:
    rng = np.random.default_rng(1)
    pairs = all_pairs(6)
    heights = rng.normal(size=len(pairs)) * 5
    turned = [(j, i) for i, j in pairs]
    found = paired_difference(Sample.of_pairs(heights + 1, pairs), Sample.of_pairs(heights[::-1], turned[::-1]))
    assert found.difference.mean == pytest.approx(1)
    assert found.difference.error == pytest.approx(0, abs=1e-12)
    assert difference(Sample.of_pairs(heights + 1, pairs), Sample.of_pairs(heights, pairs)).difference.error > 1


def test_other_pairs_of_the_same_minima_share_their_effects() -> None:
    """The same minima under two treatments, different pairs: effects of minima cancel nearly, and intervals cover."""
    rng = np.random.default_rng(2)
    one, two = some_pairs(12, 30, 1), some_pairs(12, 30, 2)
    covered, errors, independent = 0, 0.0, 0.0
    for _ in range(200):
        a = 3 * rng.normal(size=12)
        first = Sample.of_pairs([a[i] + a[j] + rng.normal() for i, j in one], one)
        second = Sample.of_pairs([a[i] + a[j] + rng.normal() for i, j in two], two)
        found = paired_difference(first, second).difference
        covered += found.low <= 0 <= found.high
        errors += found.error
        independent += difference(first, second).difference.error
    assert covered >= 180
    assert errors < 0.6 * independent


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.floats(-5, 5), min_size=10, max_size=10),
    st.lists(st.floats(-5, 5), min_size=10, max_size=10),
    st.floats(0.1, 100),
    st.floats(-100, 100),
    st.permutations(range(10)),
)
def test_symmetries(x: list[float], y: list[float], scale: float, shift: float, order: list[int]) -> None:
    """Swapping the sets flips the sign, common shifts cancel, scales go through, the order says nothing."""
    pairs = all_pairs(5)
    for compare in (difference, paired_difference):
        base = compare(Sample.of_pairs(x, pairs), Sample.of_pairs(y, pairs)).difference
        swapped = compare(Sample.of_pairs(y, pairs), Sample.of_pairs(x, pairs)).difference
        moved = compare(
            Sample.of_pairs([scale * x[k] + shift for k in order], [pairs[k] for k in order]),
            Sample.of_pairs([scale * v + shift for v in y], pairs),
        ).difference
        tight = {"rel": 1e-6, "abs": 1e-9 * (scale + abs(shift))}
        assert (swapped.mean, swapped.low) == (pytest.approx(-base.mean), pytest.approx(-base.high))
        assert moved.mean == pytest.approx(scale * base.mean, **tight)
        assert moved.error == pytest.approx(scale * base.error, **tight)


def test_what_cannot_be_known_has_no_interval() -> None:
    nan, inf = float("nan"), float("inf")
    star = [(0, 1), (0, 2), (0, 3), (0, 4)]
    for values, pairs in (([1.0], [(0, 1)]), ([1.0, 2.0, 3.0, 4.0], star), ([1.0, inf, 2.0], all_pairs(3))):
        found = mean_of_pairs(values, pairs)
        assert [math.isnan(x) for x in (found.error, found.low, found.p_value_above(0.0))] == [True] * 3
    assert math.isnan(mean_of_pairs([1.0, nan, 2.0], all_pairs(3)).mean)
    one = difference(Sample.of_runs([1.0]), Sample.of_runs([2.0, 3.0])).difference
    assert one.mean == -1.5
    assert math.isnan(one.error)


def test_identical_values_have_no_spread() -> None:
    same = Sample.of_pairs([0.1] * 6, all_pairs(4))
    found = difference(same, same)
    assert (found.difference.mean, found.difference.error) == (0.0, 0.0)
    assert math.isnan(found.effect_size)
    assert difference(same, Sample.of_pairs([0.3] * 6, all_pairs(4))).difference.p_value_below(0.0) == 0.0


def test_a_complete_sample_leaves_nothing_to_chance() -> None:
    pair = Sample.of_pairs([0.646], [(0, 1)], complete=True)
    other = Sample.of_pairs([0.652], [(0, 1)], complete=True)
    for compare in (difference, paired_difference):
        found = compare(other, pair).difference
        assert (found.low, found.high) == (pytest.approx(0.006), pytest.approx(0.006))


def test_samples_take_tensors_and_leave_them_alone() -> None:
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    sample = Sample.of_runs(values, runs=[7, 3])
    assert sample.values == (1.0, 2.0)
    assert sample.at([(3,)]).values == (2.0,)
    assert values.requires_grad
    assert Sample.of_runs([1.0, float("inf")]).finite() == Sample.of_runs([1.0])
    assert Sample.of_runs([float("nan")]).finite() is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Sample.of_runs([]), "at least one"),
        (lambda: Sample.of_runs([1.0, 2.0], [3, 3]), "different runs"),
        (lambda: Sample.of_pairs([1.0], [(0, 1), (1, 2)]), "one value per pair"),
        (lambda: Sample.of_pairs([1.0], [(2, 2)]), "different minima"),
        (lambda: Sample.of_pairs([1.0, 2.0], [(0, 1), (1, 0)]), "every pair once"),
        (lambda: PairDesign([]), "at least one"),
        (lambda: Sample.of_runs([1.0, 0.0]).log10(), "positive"),
        (lambda: difference(Sample.of_runs([1.0]), Sample.of_pairs([1.0], [(0, 1)])), "runs and pairs"),
        (lambda: paired_difference(Sample.of_runs([1.0]), Sample.of_runs([1.0], [5])), "same runs"),
        (lambda: paired_difference(Sample.of_pairs([1.0], [(0, 1)]), Sample.of_pairs([1.0], [(2, 3)])), "in common"),
        (lambda: Sample.of_runs([1.0, 2.0]).estimate(confidence=95), "between 0 and 1"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(make, says: str) -> None:
    with pytest.raises(InputError, match=says):
        make()
