"""Gradient flow of deep linear networks against closed forms, quadrature and networks of torch."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch.nn.functional import mse_loss

from lossatlas.core.randomness import seeded
from lossatlas.landscape import NetworkLandscape
from lossatlas.models import DeepLinear
from lossatlas.theory.linear import (
    DeepLinearLoss,
    LinearTask,
    aligned_weights,
    half_learning_time,
    join,
    learning_time,
    matrix_flow,
    mode_flow,
    multiply,
    random_weights,
    split,
)


def rotated(strengths: list[float], outputs: int, inputs: int) -> torch.Tensor:
    """A map with these singular values in no special directions."""
    source = torch.Generator().manual_seed(1)
    u, v = (
        torch.linalg.qr(torch.randn(n, len(strengths), generator=source, dtype=torch.float64))[0]
        for n in (outputs, inputs)
    )
    return (u * torch.tensor(strengths, dtype=torch.float64)) @ v.T


def test_two_layers_follow_the_exact_solution_and_its_half_learning_time() -> None:
    goal, first = 1.7, 0.02
    time = torch.linspace(0, 6, 50, dtype=torch.float64)
    growth = torch.exp(2 * goal * time)
    torch.testing.assert_close(mode_flow(2, goal, first, time), goal * growth / (growth - 1 + goal / first))
    half = half_learning_time(2, goal, first)
    assert half == pytest.approx(math.log(goal / first - 1) / (2 * goal), rel=1e-14)
    assert float(mode_flow(2, goal, first, half)) == pytest.approx(goal / 2, rel=1e-13)
    # Long after, the closed form has not overflowed.
    assert float(mode_flow(2, goal, first, 1e4)) == goal


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.99])
def test_a_mode_is_learned_when_quadrature_says_so(depth: int, fraction: float) -> None:
    # Two ways with nothing in common: an integral over s, and the equation in time.
    goal, first = 1.3, 0.01
    when = learning_time(depth, goal, first, fraction)
    assert float(mode_flow(depth, goal, first, when)) == pytest.approx(fraction * goal, rel=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_times_come_in_any_shape_and_order_and_modes_come_down_too(depth: int) -> None:
    time = torch.tensor([[3.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    found = mode_flow(depth, 1.0, 2.0, time)
    assert found.shape == (2, 2)
    assert float(found[0, 1]) == pytest.approx(2.0)
    assert 1 < float(found[0, 0]) < float(found[1, 0]) == float(found[1, 1]) < 2
    assert mode_flow(depth, 1.0, 0.5, torch.zeros(0)).shape == (0,)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_all_weights_of_an_aligned_network_follow_the_modes(depth: int) -> None:
    strengths = [3.0, 2.0, 0.5]
    task = LinearTask(rotated(strengths, 4, 5), depth=depth, width=6)
    starts = torch.tensor([0.01, 0.03, 0.02], dtype=torch.float64)
    time = torch.linspace(0, 8, 60, dtype=torch.float64)
    found = matrix_flow(task, aligned_weights(task, starts), time, tolerance=1e-12)
    exact = torch.stack(
        [mode_flow(depth, s, float(first), time) for s, first in zip(strengths, starts, strict=True)], 1
    )
    assert float((found.strengths - exact).abs().max()) < 1e-7
    # Nothing of the product leaves the modes.
    product = torch.einsum("mr,tr,nr->tmn", task.left, exact, task.right)
    assert float((found.product - product).abs().max()) < 1e-7
    torch.testing.assert_close(found.loss, (exact - task.targets).square().sum(1) / 2, atol=1e-7, rtol=1e-6)


def test_the_loss_falls_by_the_squared_gradient() -> None:
    task = LinearTask(rotated([2.0, 1.0], 3, 3), depth=3, width=3)
    start = tuple(w[0] for w in random_weights(task, 0.8, 1))
    time = torch.linspace(0, 2, 2001, dtype=torch.float64)
    found = matrix_flow(task, start, time)
    slope = (found.loss[2:] - found.loss[:-2]) / (time[2:] - time[:-2])
    torch.testing.assert_close(slope, -found.gradient_norm[1:-1].square(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_landscape_is_that_of_the_network_on_white_data(depth: int) -> None:
    target = rotated([2.0, 1.0], 2, 4)
    task = LinearTask(target, depth=depth, width=3)
    loss = DeepLinearLoss(task)
    with seeded(0, "white data"):
        net = DeepLinear(depth=depth, width=3, inputs=4, outputs=2, scale=0.7).double()
    x = math.sqrt(4) * torch.eye(4, dtype=torch.float64)
    network = NetworkLandscape(net, mse_loss, (x, x @ target.T))
    w = torch.stack([network.flatten(net), torch.linspace(-1, 1, loss.dim, dtype=torch.float64)])
    assert w.shape[1] == loss.dim
    # mse_loss divides by the outputs, of which there are two; the population loss is one half.
    for ours, theirs in zip(loss.value_and_grad(w), network.value_and_grad(w), strict=True):
        torch.testing.assert_close(ours, theirs)
    v = torch.linspace(1, 2, loss.dim, dtype=torch.float64)
    torch.testing.assert_close(loss.hvp(w, v), network.hvp(w, v.expand(w.shape)))
    assert float(loss.value(loss.minima[0].x)) < 1e-28
    torch.testing.assert_close(join(split(w, task.shapes)), w)


def test_aligned_weights_are_balanced_and_have_the_strengths_asked_for() -> None:
    task = LinearTask(rotated([3.0, 2.0, 1.0], 5, 4), depth=3, width=7)
    strengths = torch.tensor([0.5, 0.0, 2.0], dtype=torch.float64)
    w = aligned_weights(task, strengths)
    torch.testing.assert_close(task.strengths(multiply(w)), strengths)
    for before, after in pairwise(w):
        torch.testing.assert_close(after.T @ after, before @ before.T)
    assert task.modes == 3
    torch.testing.assert_close(task.targets, torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
