"""Saddles of deep linear networks: their index against eigenvalues, and those that gradient flow visits."""

from __future__ import annotations

import itertools

import pytest
import torch

from lossatlas.curvature import classify
from lossatlas.theory.linear import (
    DeepLinearLoss,
    LinearTask,
    aligned_weights,
    half_learning_time,
    matrix_flow,
    plateaus,
    random_weights,
    saddle_index,
    saddle_weights,
)


@pytest.mark.parametrize(("depth", "width"), [(2, 3), (2, 5), (3, 4), (4, 3)])
def test_the_index_of_every_saddle_is_the_formulas(depth: int, width: int) -> None:
    # Of rank 3 in more inputs and outputs, so that there are directions beyond the modes.
    target = torch.zeros(4, 5)
    target[0, 1], target[1, 3], target[3, 0] = 3.0, 2.0, 1.0
    task = LinearTask(target, depth=depth, width=width)
    sets = [learned for size in range(4) for learned in itertools.combinations(range(3), size)]
    found = classify(DeepLinearLoss(task), torch.stack([saddle_weights(task, learned) for learned in sets]))
    for learned, kind, index in zip(sets, found.kinds, found.index.tolist(), strict=True):
        assert kind != "not critical"
        if kind != "plateau":
            assert index == saddle_index(task, learned)
    assert bool(found.complete.all())
    assert found.kinds[-1] == "minimum"
    assert found.kinds[0] == ("saddle" if depth == 2 else "plateau")
    in_order = [saddle_index(task, range(k)) for k in range(4)]
    assert in_order == ([(3 - k) * (width - k) for k in range(4)] if depth == 2 else [0] * 4)


@pytest.mark.parametrize(("depth", "start"), [(2, 1e-4), (3, 1e-3), (4, 3e-3)])
def test_flow_goes_from_saddle_to_saddle(depth: int, start: float) -> None:
    task = LinearTask(torch.diag(torch.tensor([3.0, 2.0, 1.0])), depth=depth, width=4)
    flow = matrix_flow(task, aligned_weights(task, start), torch.linspace(0, 12, 300, dtype=torch.float64))
    found = plateaus(task, flow)
    assert [p.learned for p in found] == [(), (0,), (0, 1)]
    assert all(p.converged for p in found)
    assert (
        [p.index for p in found]
        == [p.predicted_index for p in found]
        == [saddle_index(task, range(k)) for k in (0, 1, 2)]
    )
    for p, level in zip(found, (7.0, 2.5, 0.5), strict=True):
        # The saddle itself is at the level of the modes not learned; the flow passes below it.
        assert float(p.classification.value) == pytest.approx(level, abs=1e-6)
        assert p.since <= p.time < p.until
        assert p.distance < 1.5
    # A plateau ends where its mode is half learned, or nearly.
    for p, goal in zip(found, (3.0, 2.0, 1.0), strict=True):
        assert p.until == pytest.approx(half_learning_time(depth, goal, start), rel=0.25)


def test_random_networks_of_two_layers_visit_the_same_saddles() -> None:
    task = LinearTask(torch.diag(torch.tensor([4.0, 1.0])), depth=2, width=3)
    start = tuple(w[0] for w in random_weights(task, 0.01, 1, seed=3))
    found = plateaus(task, matrix_flow(task, start, torch.linspace(0, 14, 700, dtype=torch.float64)))
    assert [(p.learned, p.index) for p in found][-2:] == [((), 6), ((0,), 2)]
    assert found[-1].classification.kinds == ("saddle",)


def test_a_flow_that_starts_at_the_minimum_has_no_plateau() -> None:
    task = LinearTask(torch.eye(2), width=3)
    flow = matrix_flow(task, aligned_weights(task, 0.9), torch.linspace(0, 3, 50, dtype=torch.float64))
    assert plateaus(task, flow) == ()
