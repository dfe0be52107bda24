"""Uncertainty against scipy, brute force and simulation; tables against their inputs."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from lossatlas import analysis
from lossatlas.analysis import mean_of_pairs, mean_of_runs
from lossatlas.core.ensemble import Ensemble, Replica, WeightSet
from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.core.path import Path


def test_mean_of_runs_is_students_t_widened() -> None:
    values = [0.3, 1.2, 0.7, 2.5, 0.1]
    found = mean_of_runs(values, confidence=0.9)
    low, high = stats.t.interval(0.9, 4, np.mean(values), stats.sem(values))
    assert (found.mean, found.error) == (pytest.approx(np.mean(values)), pytest.approx(stats.sem(values)))
    half = (1 + 2.3 / 5) * (high - low) / 2  # widened against skewness
    assert (found.low, found.high) == (pytest.approx(found.mean - half), pytest.approx(found.mean + half))
    assert math.isnan(mean_of_runs([1.0]).error)


def test_mean_of_three_minima_is_the_jackknife() -> None:
    rng = np.random.default_rng(0)
    pairs = list(combinations(range(3), 2))  # which leave nothing over to tell pairs from minima
    values = rng.normal(size=len(pairs))
    found = mean_of_pairs(values.tolist(), pairs)
    left_out = [np.mean([v for v, p in zip(values, pairs, strict=True) if i not in p]) for i in range(3)]
    error = math.sqrt(2 / 3 * sum((m - np.mean(left_out)) ** 2 for m in left_out))
    assert found.units == 3
    assert found.error == pytest.approx(error)
    assert found.high - found.mean == pytest.approx((1 + 2.3 / 3) * stats.t.ppf(0.975, 2) * error)
    assert math.isnan(mean_of_pairs([1.0], [(0, 1)]).error)


@pytest.mark.parametrize("minima", [6, 16])
def test_intervals_over_pairs_cover_where_a_bootstrap_over_pairs_would_not(minima: int) -> None:
    """Heights that are mostly a property of their minima: 95 % intervals hold the truth about 95 % of the time."""
    rng = np.random.default_rng(minima)
    pairs = list(combinations(range(minima), 2))
    trials, covered, naive = 400, 0, 0
    for _ in range(trials):
        own = rng.normal(size=minima)
        heights = [own[i] + own[j] + 0.2 * rng.normal() for i, j in pairs]
        found = mean_of_pairs(heights, pairs)
        covered += found.low <= 0 <= found.high
        as_if_independent = mean_of_runs(heights)
        naive += as_if_independent.low <= 0 <= as_if_independent.high
    # Wider than Student's, against skewness: 98.5 % of normal effects of 6 minima, 96 % of 16.
    assert 0.93 <= covered / trials <= 0.998
    assert naive / trials < 0.85


def test_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="at least one value"):
        mean_of_runs([])
    with pytest.raises(InputError, match="one value per pair"):
        mean_of_pairs([1.0, 2.0], [(0, 1)])


def _ensemble(losses: list[float], accuracy: bool) -> Ensemble:
    spec = ParamSpec.of(nn.Linear(2, 1))
    scores = {"train_loss": torch.tensor(losses).double(), "test_loss": torch.tensor(losses).double() + 1}
    if accuracy:
        scores |= {"train_accuracy": torch.ones(len(losses)), "test_accuracy": torch.full((len(losses),), 0.5)}
    weights = WeightSet(torch.zeros(len(losses), 3), torch.zeros(len(losses), dtype=torch.int64), scores)
    replicas = tuple(Replica(i, "completed", "done", True, 5, 6.0, 7.0) for i in range(len(losses)))
    return Ensemble("p", "sgd", spec, train=weights, test=weights, replicas=replicas)


def test_loss_table() -> None:
    table = analysis.loss_table({("a", "sgd"): _ensemble([1.0, 3.0], True), ("b", "sgd"): _ensemble([2.0], False)})
    first, second = table.records()
    assert first["train_loss_mean"] == 2.0
    assert first["train_loss_error"] == pytest.approx(1.0)
    assert first["test_loss_mean"] == 3.0
    assert first["test_accuracy_mean"] == 0.5
    assert second["train_loss_error"] is None  # one run has no spread
    assert second["test_accuracy_mean"] is None
    assert (first["parameters"], first["runs"]) == (3, 2)


def test_barrier_and_replica_tables() -> None:
    def path(top: float) -> Path:
        return Path("linear", torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.0, top, 1.0]), 2.0, 2.0, {"values": 3})

    found = [(0, 1, path(3.0)), (0, 2, path(5.0)), (1, 2, path(7.0))]
    table = analysis.barrier_table({("a", "sgd", "train", "low"): found})
    (record,) = table.records()
    assert record["height_mean"] == 5.0
    assert record["barrier_mean"] == 4.0
    assert (record["minima"], record["pairs"], record["method"]) == (3, 3, "linear")
    assert record["barrier_low"] < 4.0 < record["barrier_high"]
    replicas = analysis.replica_table([(("a", "sgd"), _ensemble([1.0, 2.0], False))])
    assert [r["replica"] for r in replicas.records()] == [0, 1]
