"""Our numbers beside published ones: the numbers themselves, and when two are called different."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossatlas.analysis import (
    PUBLISHED,
    PUBLISHED_SETTINGS,
    mean_of_runs,
    published_heights,
    side_by_side_table,
    weight_statistics,
)
from lossatlas.analysis.side_by_side import differs
from lossatlas.core.ensemble import Ensemble, WeightSet
from lossatlas.core.params import ParamSpec

# Typed in once more, in the layout of the reference, so that a slip in either place is seen.
TABLE_1 = """
fcp 1.26e-08 6.21e-04 9.69e-02 8.25e-02 42200
lenet 3.35e-08 1.76e-05 4.17e-02 3.89e-02 61706
autoencoder 1.69e-02 4.57e-02 1.65e-02 4.52e-02 52224
lstm 1.63e-06 1.35e-02 1.55e-01 1.28e-01 15456
"""
TABLE_1_COLUMNS = [("lbfgs-gss", "train"), ("sgd", "train"), ("lbfgs-gss", "test"), ("sgd", "test")]
TABLE_S1 = """
fcp -1.44e-03 1.39e-01 -2.47e-03 2.34e-01 -3.17e-03 1.03e-01 -4.11e-03 1.22e-01
lenet -3.57e-03 8.77e-02 1.04e-03 1.08e-01 -2.83e-03 7.06e-02 2.33e-04 8.00e-02
autoencoder -7.06e-03 8.54e-02 -3.65e-02 1.60e-01 -7.07e-03 8.54e-02 -3.65e-02 1.61e-01
lstm 1.35e-02 3.24e-01 1.06e-02 7.33e-01 1.16e-02 2.59e-01 2.92e-03 4.76e-01
"""
TABLE_S1_COLUMNS = [("sgd", "train"), ("lbfgs-gss", "train"), ("sgd", "test"), ("lbfgs-gss", "test")]


def test_published_numbers() -> None:
    found = {(n.quantity, n.subject, n.optimizer, n.weight_set, n.way): n.value for n in PUBLISHED}
    assert len(found) == len(PUBLISHED) == 4 * 5 + 4 * 8 + 4
    for line in TABLE_1.split("\n")[1:-1]:
        network, *losses, parameters = line.split()
        assert found["parameters", network, "", "", ""] == int(parameters)
        for (optimizer, weight_set), loss in zip(TABLE_1_COLUMNS, losses, strict=True):
            quantity = {"train": "training loss", "test": "test loss"}[weight_set]
            assert found[quantity, network, optimizer, weight_set, ""] == float(loss)  # type: ignore[index]
    for line in TABLE_S1.split("\n")[1:-1]:
        network, *numbers = line.split()
        for (optimizer, weight_set), mean, deviation in zip(TABLE_S1_COLUMNS, numbers[::2], numbers[1::2], strict=True):
            assert found["mean weight", network, optimizer, weight_set, ""] == float(mean)
            assert found["s.d. of weights", network, optimizer, weight_set, ""] == float(deviation)
    assert published_heights("paper-toy") == {"straight": 1.102, "λ = 10": 0.646, "λ = 100": 0.64, "λ = 1000": 0.652}
    assert (PUBLISHED_SETTINGS.replicas, PUBLISHED_SETTINGS.kept, PUBLISHED_SETTINGS.pairs) == (75, 48, 300)


values = st.lists(st.floats(0.1, 10.0), min_size=2, max_size=12)


@given(values, st.floats(0.01, 100.0), st.floats(1e-6, 1e6))
def test_units_do_not_matter(runs: list[float], paper: float, unit: float) -> None:
    ours = mean_of_runs(runs)
    half = (ours.high - ours.low) / 2 * math.sqrt(1 + len(runs) / 48) + 0.005 * paper
    at_the_edge = abs(abs(ours.mean - paper) - half) < 1e-9 * (ours.mean + paper)
    scaled = differs(mean_of_runs([unit * value for value in runs]), unit * paper)
    assert at_the_edge or scaled == differs(ours, paper)


@pytest.mark.parametrize(
    ("loss", "spread", "expected"),
    [(6.21e-4, 0.0, "no"), (6.5e-4, 1e-4, "no"), (6.5e-4, 1e-6, "close"), (6.9e-4, 1e-6, "yes"), (6.9e-4, 1e-4, "no")],
)
def test_close_numbers_are_told_from_those_within_the_spread(loss: float, spread: float, expected: str) -> None:
    """Of the paper's 6.21e-4."""
    losses = [loss - spread, loss, loss + spread]
    table = side_by_side_table({("fcp", "sgd"): ensemble(losses, None)}, {}, {})
    assert table.column("differs") == [expected]


def test_a_height_of_the_paper_is_one_search() -> None:
    found = [0.63, 0.64, 0.65, 0.64]
    table = side_by_side_table({}, {}, {("paper-toy", "λ = 1000"): found})
    assert table.column("differs") == ["no"]
    assert differs(mean_of_runs(found), 0.67) is True
    assert differs(mean_of_runs(found), 0.67, runs=1) is False


def test_what_is_marked() -> None:
    exact = mean_of_runs([2.0, 2.0, 2.0])
    assert differs(exact, 1.0) is True  # no spread at all
    assert differs(exact, -2.0) is True
    assert differs(mean_of_runs([1.0]), 2.0) is None  # a single run has no spread that is known
    assert differs(mean_of_runs([math.inf, 1.0]), 2.0) is None


@pytest.mark.parametrize("runs", [4, 8, 48])
def test_a_study_like_the_paper_is_rarely_marked(runs: int) -> None:
    """Both means from the same spread: beyond it in about 5 % of studies, whatever n."""
    rng = np.random.default_rng(runs)
    ours, paper = 1 + rng.normal(size=(1000, runs)), 1 + rng.normal(size=(1000, 48)).mean(axis=1)
    # A wide spread about a small mean: the factor never decides.
    marked = [differs(mean_of_runs(list(a)), float(p)) for a, p in zip(ours, paper, strict=True)]
    assert 0.005 < sum(map(bool, marked)) / 1000 < 0.07


def ensemble(train: list[float], test: list[float] | None) -> Ensemble:
    weights = torch.zeros(len(train), 3)
    steps = torch.zeros(len(train), dtype=torch.int64)
    return Ensemble(
        "fcp",
        "sgd",
        ParamSpec(("w",), ((3,),)),
        WeightSet(weights, steps, {"train_loss": torch.tensor(train, dtype=torch.float64)}),
        None if test is None else WeightSet(weights, steps, {"test_loss": torch.tensor(test, dtype=torch.float64)}),
    )


def test_the_table_holds_what_both_have() -> None:
    losses = {
        ("fcp", "sgd"): ensemble([6.0e-4, 6.4e-4], [0.2, 0.3]),
        ("fcp", "adam"): ensemble([1.0, 1.0], [1.0, 1.0]),
        ("mine", "sgd"): ensemble([1.0, 1.0], [1.0, 1.0]),
        ("lenet", "lbfgs-gss"): ensemble([1e-8], None),
    }
    weights = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    statistics = {("lstm", "lbfgs-gss", "test"): weight_statistics(weights)}
    heights = {("paper-toy", "λ = 10"): [0.6, 0.7], ("muller-brown", "λ = 10"): [1.0]}
    rows = side_by_side_table(losses, statistics, heights).records()
    assert [(r["network"], r["quantity"], r["optimizer"], r["weight_set"]) for r in rows] == [
        ("fcp", "training loss", "sgd", "train"),
        ("fcp", "test loss", "sgd", "test"),
        ("lenet", "training loss", "lbfgs-gss", "train"),
        ("lstm", "mean weight", "lbfgs-gss", "test"),
        ("lstm", "s.d. of weights", "lbfgs-gss", "test"),
        ("paper-toy", "path height, λ = 10", None, None),
    ]
    assert [r["ours"] for r in rows] == pytest.approx([6.2e-4, 0.25, 1e-8, 2.5, float(weights.std(correction=0)), 0.65])
    assert [r["runs"] for r in rows] == [2, 2, 1, 2, 2, 2]
    assert rows[0]["ratio"] == pytest.approx(6.2 / 6.21)
    assert rows[0]["differs"] == "no"
    assert (rows[2]["ours_error"], rows[2]["differs"]) == (None, None)
    assert [r["source"] for r in rows] == ["Table 1"] * 3 + ["Table S1"] * 2 + ["Fig. 3"]
    assert side_by_side_table({}, {}, {}).rows == ()
