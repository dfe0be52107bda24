"""Full networks under SGD beside the equation of one mode, and what modes do to each other."""

from __future__ import annotations

import pytest
import torch

from lossatlas.theory.linear import (
    LinearTask,
    aligned_weights,
    cross_mode_drift,
    measure_cross_mode_drift,
    multiply,
    network_beside_modes,
    train_network,
)
from lossatlas.theory.linear.network import layer_gradients


def diagonal(*strengths: float, **options: object) -> LinearTask:
    return LinearTask(torch.diag(torch.tensor(strengths, dtype=torch.float64)), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_gradients_of_layers_are_autograds(depth: int) -> None:
    task = LinearTask(torch.ones(2, 3), depth=depth, width=4)
    source = torch.Generator().manual_seed(0)
    w = tuple(torch.randn(5, *shape, generator=source, dtype=torch.float64).requires_grad_() for shape in task.shapes)
    product = multiply(w)
    ours = layer_gradients(w, product - task.target)
    theirs = torch.autograd.grad((product - task.target).square().sum() / 2, w)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_replicas_are_independent_and_begin_where_they_are_told() -> None:
    task = diagonal(2.0, 1.0, depth=3, rate=0.01, batch=8, noise=0.1)
    run = train_network(task, aligned_weights(task, 0.2), steps=200, replicas=6, every=50)
    torch.testing.assert_close(run.strengths[0], torch.full((6, 2), 0.2, dtype=torch.float64))
    assert float(run.rest[0].max()) < 1e-14 < float(run.rest[-1].min())
    assert len({round(float(loss), 12) for loss in run.loss[-1]}) == 6
    torch.testing.assert_close(run.time, torch.arange(5, dtype=torch.float64) * 0.5)
    # From where it ended it goes on.
    more = train_network(task, run.weights, steps=10, every=10, seed=1)
    torch.testing.assert_close(more.strengths[0], run.strengths[-1])


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_network_of_one_mode_is_the_equation(depth: int) -> None:
    task = diagonal(1.5, depth=depth, width=1, rate=0.01, batch=8, noise=0.3)
    found = network_beside_modes(task, strength=0.05, steps=500, replicas=1000, every=50)
    z = found.difference[1:] / found.standard_error[1:]
    assert float(z.abs().max()) < 4
    ours, theirs = found.run.strengths.std(1)[1:, 0], found.predicted.std(1)[1:, 0]
    torch.testing.assert_close(ours, theirs, rtol=0.12, atol=0)


@pytest.mark.parametrize("depth", [2, 3])
def test_aligned_networks_follow_their_modes(depth: int) -> None:
    task = diagonal(3.0, 2.0, 1.0, depth=depth, width=4, rate=0.01, batch=16, noise=0.2)
    found = network_beside_modes(task, strength=0.02, steps=600, replicas=100, every=10)
    assert found.begins.tolist() == [0, 0, 0]
    assert float(found.difference.abs().max()) < 0.05
    # Steps of 0.01 lag behind the flow where a mode is learned.
    assert float((found.predicted.mean(1) - found.flow).abs().max()) < 0.15
    # One after another, the strongest first.
    half = [int((found.run.strengths[:, :, mode].mean(1) > s / 2).nonzero()[0]) for mode, s in enumerate((3, 2, 1))]
    assert half == sorted(set(half))


@pytest.mark.slow
def test_random_networks_join_their_modes_the_better_the_wider() -> None:
    late = []
    for width in (4, 64):
        task = diagonal(3.0, 2.0, 1.0, depth=2, width=width, rate=0.01, batch=16, noise=0.2)
        found = network_beside_modes(task, start="random", scale=0.05, steps=900, replicas=60, every=10)
        assert bool((found.begins > 0).all())
        assert bool(found.predicted[0].isnan().all())
        assert bool((found.difference[-1].abs() < 4 * found.standard_error[-1] + 0.002).all())
        late.append(float(found.difference.nan_to_num().abs().max()))
    assert late[0] < 0.2
    assert late[1] < 0.05
    assert late[1] < late[0] / 2


def test_a_replica_that_is_not_positive_has_no_prediction() -> None:
    task = diagonal(3.0, 1.0, depth=3, width=3, rate=0.01, batch=16)
    found = network_beside_modes(task, start="random", scale=0.6, steps=200, replicas=60, every=20, grown=0.03)
    begun = [mode for mode in range(2) if found.begins[mode] >= 0 and found.negative[mode] > 0]
    assert begun
    for mode in begun:
        assert int(found.predicted[-1, :, mode].isnan().sum()) == int(found.negative[mode])
        assert bool(found.difference[-1, mode].isfinite())


@pytest.mark.parametrize(("batch", "noise"), [(1, 0.0), (4, 0.5)])
def test_modes_push_each_other_as_the_formula_says(batch: int, noise: float) -> None:
    task = diagonal(3.0, 2.0, 1.0, depth=2, width=5, rate=0.05, batch=batch, noise=noise)
    # The second mode is above its target, so that signs differ.
    s = torch.tensor([1.5, 2.5, 0.4], dtype=torch.float64)
    found = measure_cross_mode_drift(task, s, samples=100_000)
    assert float(found.z.abs().max()) < 4
    assert float((found.measured / found.standard_error).abs().min()) > 5
    delta = task.targets - s
    by_hand = [sum(float(s[b] * delta[a] * delta[b]) for b in range(3) if b != a) * 0.05 / batch for a in range(3)]
    torch.testing.assert_close(found.predicted, torch.tensor(by_hand, dtype=torch.float64))
    # It goes with the temperature, and one mode alone feels nothing.
    assert float(cross_mode_drift(diagonal(2.0), 1.0).abs().max()) == 0
