from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lossatlas.core.errors import ConfigurationError
from lossatlas.core.files import bit_equal
from lossatlas.optimize import SGD, GradientDescent, Optimizer, Status
from lossatlas.optimize.schedules import Cosine

Make = Callable

OPTIONS = [
    {"lr": 1e-3},
    {"lr": 1e-3, "weight_decay": 0.1},
    {"lr": 1e-3, "momentum": 0.9},
    {"lr": 1e-3, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
    {"lr": 1e-3, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_row_is_bit_for_bit_torch(valley: Make, points: Make, options: dict, dtype: torch.dtype) -> None:
    landscape, x = valley(5, dtype), 0.5 * points(3, 5, dtype)
    optimizer = SGD(**options)
    state = optimizer.init(landscape, x)
    for _ in range(30):
        state = optimizer.step(landscape, state)
    for i in range(3):
        w = torch.nn.Parameter(x[i].clone())
        reference = torch.optim.SGD([w], **options)
        for _ in range(30):
            reference.zero_grad()
            landscape.f(w).backward()
            reference.step()
        assert torch.equal(state.x[i], w.detach())
    assert state.gradients.tolist() == [30] * 3
    assert state.values.tolist() == [0] * 3
    assert landscape.value_rows == []


def test_the_learning_rate_may_be_a_schedule(quadratic: Make, points: Make) -> None:
    landscape, x = quadratic(3), points(1, 3)
    schedule = Cosine(0.5, steps=10)
    state = SGD(schedule).init(landscape, x)
    for step in range(10):
        before = state
        state = SGD(schedule).step(landscape, state)
        gradient = landscape.value_and_grad(before.x)[1]
        torch.testing.assert_close(state.x, before.x - schedule(step) * gradient, rtol=1e-14, atol=1e-15)
    assert SGD({"name": "cosine", "lr": 0.5, "steps": 10}) == SGD(schedule)


def test_the_last_batch_is_reported_and_the_present_loss_is_unknown(quadratic: Make, points: Make) -> None:
    landscape, x = quadratic(3), points(2, 3)
    start = SGD(0.1).init(landscape, x)
    assert landscape.gradient_rows == []
    assert start.batch_value.isnan().all()
    state = SGD(0.1).step(landscape, start)
    assert torch.equal(state.batch_value, landscape.value(x))
    assert state.value.isnan().all()


def test_a_diverging_row_stops_alone_at_its_last_finite_point(counted: Make) -> None:
    landscape = counted(lambda x: (x**4).sum(), 1, torch.float32)
    x = torch.tensor([[100.0], [0.1], [-0.2]])
    optimizer = SGD(lr=1.0, momentum=0.1)

    def run(rows: Tensor, steps: int = 20) -> object:
        state = optimizer.init(landscape, rows)
        for _ in range(steps):
            state = optimizer.step(landscape, state)
        return state

    together = run(x)
    assert together.status.tolist() == [Status.DIVERGED, Status.RUNNING, Status.RUNNING]
    assert together.active.tolist() == [False, True, True]
    assert together.x.isfinite().all()
    assert together.gradients[0] < 20
    seen = len(landscape.gradient_rows)
    after = optimizer.step(landscape, together)
    assert len(landscape.gradient_rows) == seen + 2
    assert torch.equal(after.x[0], together.x[0])
    alone = run(x[1:])
    assert torch.equal(alone.x, together.x[1:])


@pytest.mark.parametrize("options", OPTIONS)
def test_a_stored_state_resumes_to_the_same_bits(valley: Make, points: Make, options: dict) -> None:
    landscape, optimizer = valley(4), SGD(**options)
    state = middle = optimizer.init(landscape, 0.5 * points(2, 4))
    for step in range(12):
        middle = state if step == 5 else middle
        state = optimizer.step(landscape, state)
    resumed = optimizer.state_type.from_tree(middle.to_tree())
    for _ in range(7):
        resumed = optimizer.step(landscape, resumed)
    assert bit_equal(resumed.to_tree(), state.to_tree())


def test_only_full_batch_descent_is_deterministic() -> None:
    assert (SGD.stochastic, GradientDescent.stochastic) == (True, False)
    assert isinstance(GradientDescent(), Optimizer)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"lr": -1.0}, "lr"),
        ({"momentum": -0.1}, "momentum"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"nesterov": True}, "nesterov"),
        ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov"),
        ({"lr": "cosine"}, "learning rate"),
    ],
)
def test_constants_out_of_range_are_refused(options: dict, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        SGD(**options)
