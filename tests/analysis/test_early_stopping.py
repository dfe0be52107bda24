"""Where runs are stopped, by held-out examples and by the test data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lossatlas.analysis import early_stopping_table, stopping
from lossatlas.analysis.uncertainty import mean_of_runs
from lossatlas.core.ensemble import Curves
from lossatlas.core.errors import InputError

losses = st.one_of(st.floats(0.0, 10.0), st.just(math.nan), st.just(math.inf))


def curves(validation: list[list[float]], test: list[list[float]], every: int = 10) -> Curves:
    steps = torch.arange(len(test[0])) * every
    both = {"validation_loss": validation, "test_loss": test}
    return Curves(steps, "iteration", {name: torch.tensor(rows, dtype=torch.float64) for name, rows in both.items()})


@given(arrays(np.float64, (2, 4, 6), elements=losses))
def test_against_a_loop(both: np.ndarray) -> None:
    found = stopping(curves(both[0].tolist(), both[1].tolist()))
    expected = []
    unfinished = 0
    for row in range(4):
        seen = [(v, t, k) for k, (v, t) in enumerate(zip(*both[:, row], strict=True)) if math.isfinite(v + t)]
        if not seen:
            continue
        best, lowest = min(seen, key=lambda each: each[0]), min(seen, key=lambda each: each[1])
        expected.append((row, 10 * best[2], best[1], 10 * lowest[2], lowest[1]))
        unfinished += best[2] == seen[-1][2]
    assert expected == list(
        zip(
            found.replicas,
            found.validated_step,
            found.validated_loss,
            found.lowest_step,
            found.lowest_loss,
            strict=True,
        )
    )
    assert found.unfinished == unfinished
    assert all(optimism >= 0 for optimism in found.optimism)


def test_choosing_by_the_test_loss_itself_is_no_optimism() -> None:
    test = [[3.0, 1.0, 2.0], [2.0, 3.0, 1.0]]
    assert stopping(curves(test, test)).optimism == (0.0, 0.0)


def test_table() -> None:
    validation = [[3.0, 1.0, 2.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]
    test = [[4.0, 2.5, 2.0], [4.0, 3.0, 2.0], [5.0, 2.0, 3.0]]
    table = early_stopping_table({("holdout", "fcp", "sgd"): (0.1, curves(validation, test))})
    (row,) = table.records()
    expected = mean_of_runs([0.5, 0.0, 3.0])
    assert row["optimism_mean"] == expected.mean
    assert (row["optimism_low"], row["optimism_high"]) == (expected.low, expected.high)
    assert row["relative"] == pytest.approx(expected.mean / 2.0)
    assert (row["runs"], row["unfinished"], row["unit"], row["held_out"]) == (3, 1, "iterations", 0.1)
    assert (row["validated_step"], row["lowest_step"]) == (10.0, pytest.approx(50 / 3))


def test_runs_without_a_finite_loss_have_no_row() -> None:
    lost = [[math.nan, math.nan]]
    assert early_stopping_table({("holdout", "fcp", "sgd"): (0.1, curves(lost, lost))}).rows == ()


def test_curves_without_held_out_examples_are_refused() -> None:
    only = Curves(torch.arange(2), "epoch", {"test_loss": torch.ones(1, 2)})
    with pytest.raises(InputError, match="train with a part of the training examples held out"):
        stopping(only)
