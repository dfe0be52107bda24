from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lossatlas.core.errors import ConfigurationError
from lossatlas.optimize.schedules import (
    Constant,
    Cosine,
    Exponential,
    LinearWarmup,
    Schedule,
    Step,
    as_schedule,
    get_schedule,
    schedules,
)

Optimizer = torch.optim.Optimizer
lr_scheduler = torch.optim.lr_scheduler


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Step(0.3, every=4, factor=0.5), lambda o: lr_scheduler.StepLR(o, 4, 0.5)),
        (Exponential(0.3, 0.9), lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
        (Cosine(0.3, steps=20, final=0.01), lambda o: lr_scheduler.CosineAnnealingLR(o, 20, 0.01)),
        (LinearWarmup(0.3, steps=8, start=0.25), lambda o: lr_scheduler.LinearLR(o, 0.25, 1.0, 8)),
        (Constant(0.3), lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    ],
)
def test_schedules_are_those_of_torch(ours: Schedule, theirs: Callable[[Optimizer], lr_scheduler.LRScheduler]) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = theirs(optimizer)
    for step in range(20):
        assert ours(step) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_cosine_stays_at_its_end() -> None:
    assert Cosine(1.0, steps=5, final=0.2)(5) == Cosine(1.0, steps=5, final=0.2)(500) == 0.2


def test_warmup_hands_over() -> None:
    schedule = LinearWarmup({"name": "exponential", "lr": 1.0, "factor": 0.5}, steps=2)
    assert [schedule(step) for step in range(5)] == [0.0, 0.5, 1.0, 0.5, 0.25]


def test_every_schedule_has_a_name_and_a_summary() -> None:
    assert set(schedules) == {"constant", "step", "cosine", "exponential", "linear-warmup"}
    assert all(schedules.summary(name) for name in schedules)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: get_schedule("cosin", lr=1.0), "did you mean 'cosine'"),
        (lambda: get_schedule("cosine", lr=1.0, step=3), "did you mean 'steps'"),
        (lambda: get_schedule("cosine", lr=1.0), "steps"),
        (lambda: get_schedule("cosine", lr=float("nan"), steps=3), "finite"),
        (lambda: get_schedule("step", lr=1.0, every=0), "every"),
        (lambda: as_schedule({"lr": 1.0}), "name"),
        (lambda: as_schedule(True), "bool"),
        (lambda: LinearWarmup("fast", steps=3), "str"),  # type: ignore[arg-type]
    ],
)
def test_mistakes_are_named(make: Callable[[], object], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        make()
