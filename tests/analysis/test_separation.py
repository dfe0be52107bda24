"""Separation scores against pair counts, scipy, scikit-learn and simulation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from lossatlas.analysis import Separation, separation
from lossatlas.core.errors import InputError
from lossatlas.core.files import load_tree, save_tree


@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_auc_counts_pairs_and_p_is_that_of_all_relabellings(n: int, m: int, seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 4, n + m).astype(float) if ties else rng.normal(size=n + m)
    labels = ["b"] * m + ["a"] * n
    found = separation(torch.from_numpy(values), labels)
    b, a = values[:m], values[m:]
    wins = [(y > x) + 0.5 * (y == x) for x in a for y in b]
    assert found.auc == pytest.approx(np.mean(wins))
    assert found.auc == pytest.approx(roc_auc_score([label == "b" for label in labels], values))
    assert (found.sets, found.counts) == (("a", "b"), (n, m))
    assert found.low <= found.auc <= found.high
    if not ties:
        assert found.p_value == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue)
        # No monotone map matters, and a mirror image only swaps the sides.
        assert separation(torch.from_numpy(np.exp(values)), labels).auc == found.auc
        mirrored = separation(torch.from_numpy(-values), labels)
        assert (mirrored.score, mirrored.p_value) == (pytest.approx(found.score), pytest.approx(found.p_value))
        assert mirrored.score_interval == pytest.approx(found.score_interval)


def test_p_is_exact_for_three_against_three() -> None:
    """Twenty relabellings; complete separation is one of them, and one more from the other side."""
    assert separation(torch.arange(6.0), list("aaabbb")).p_value == pytest.approx(2 / 20)
    assert separation(torch.ones(6), list("aaabbb")).p_value == 1.0


def test_the_interval_solves_its_equation_and_has_a_width_at_the_ends() -> None:
    found = separation(torch.tensor([0.0, 1, 3, 4, 2, 5, 6, 7, 8]), list("aaaabbbbb"), confidence=0.9)
    half = (4 + 5) / 2 - 1
    for end in (found.low, found.high):
        variance = end * (1 - end) / 20 * (1 + half * ((1 - end) / (2 - end) + end / (1 + end)))
        assert abs(end - found.auc) == pytest.approx(stats.norm.ppf(0.95) * math.sqrt(variance))
    apart = separation(torch.arange(10.0), list("aaaaabbbbb"))
    assert (apart.auc, apart.high) == (1.0, 1.0)
    assert 0.5 < apart.low < 0.9
    assert separation(torch.arange(10.0), list("bbbbbaaaaa")).high == pytest.approx(1 - apart.low)


@pytest.mark.parametrize(("n", "shift"), [(48, 0.0), (48, 1.0), (12, 2.0)])
def test_the_interval_covers_the_truth(n: int, shift: float) -> None:
    rng = np.random.default_rng(n)
    truth = stats.norm.cdf(shift / math.sqrt(2))
    labels = ["a"] * n + ["b"] * n
    covered = 0
    for _ in range(300):
        values = np.concatenate([rng.normal(size=n), rng.normal(shift, size=n)])
        found = separation(torch.from_numpy(values), labels)
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 300 <= 0.99


def test_chance_is_what_the_docstring_says() -> None:
    rng = np.random.default_rng(0)
    labels = ["a"] * 48 + ["b"] * 48
    scores = [separation(torch.from_numpy(rng.normal(size=96)), labels) for _ in range(200)]
    assert scores[0].null_score == pytest.approx(0.095, abs=5e-4)
    assert np.mean([s.score for s in scores]) == pytest.approx(scores[0].null_score, abs=0.015)
    assert np.mean([s.p_value <= 0.05 for s in scores]) < 0.09
    assert np.mean([s.balanced_accuracy for s in scores]) == pytest.approx(0.5, abs=0.03)
    assert np.std([s.balanced_accuracy for s in scores]) < 0.12


@pytest.mark.parametrize("features", [1, 2, 3])
def test_balanced_accuracy_is_that_of_scikit_learns_discriminants(features: int) -> None:
    rng = np.random.default_rng(features)
    points = rng.normal(size=(25, 3)) * [1, 3, 0.1]
    second = np.arange(25) >= 10
    points[second, 1] += 3
    points[second, 0] += 0.8
    classifier = LinearDiscriminantAnalysis(priors=[0.5, 0.5])
    predicted = cross_val_predict(classifier, points[:, :features], second, cv=LeaveOneOut())
    found = separation(torch.from_numpy(points), ["ab"[int(s)] for s in second], features=features)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(second, predicted))
    assert found.features == features


def test_a_compact_set_amid_a_scattered_one_is_not_separated() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([0.01 * rng.normal(size=(48, 2)) + 0.05, rng.normal(size=(48, 2))])
    found = separation(torch.from_numpy(points), ["a"] * 48 + ["b"] * 48)
    assert found.score < 0.35
    assert found.balanced_accuracy < 0.8


def test_degenerate_coordinates() -> None:
    labels = list("aaabbb")
    constant = separation(torch.zeros(6, 2), labels)
    assert (constant.auc, constant.balanced_accuracy, constant.features) == (0.5, 0.5, 0)
    steps = separation(torch.tensor([0.0, 0, 0, 1, 1, 1]), labels)
    assert (steps.auc, steps.balanced_accuracy) == (1.0, 1.0)
    twice = separation(torch.arange(6.0)[:, None].expand(6, 2), labels)
    assert twice.balanced_accuracy == separation(torch.arange(6.0), labels).balanced_accuracy


def test_the_order_of_rows_does_not_matter_and_the_record_survives_storage(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    points, order = torch.from_numpy(rng.normal(size=(14, 2))), rng.permutation(14)
    labels = ["sgd"] * 6 + ["bfgs"] * 8
    found = separation(points, labels)
    assert separation(points[order], [labels[i] for i in order]) == found
    save_tree(tmp_path / "s.json", found.to_tree())
    assert Separation.from_tree(load_tree(tmp_path / "s.json")) == found


def test_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="two sets of at least 2"):
        separation(torch.arange(4.0), list("aaab"))
    with pytest.raises(InputError, match="two sets of at least 2"):
        separation(torch.arange(6.0), list("aabbcc"))
    with pytest.raises(InputError, match="finite coordinates"):
        separation(torch.tensor([1.0, 2.0, math.nan, 3.0]), list("aabb"))
    with pytest.raises(InputError, match="for 3 labels"):
        separation(torch.arange(4.0), list("aab"))
