"""Schedules: their formulas, and what they refuse."""

from __future__ import annotations

import math

import pytest

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.theory.annealing import (
    Constant,
    Exponential,
    Linear,
    Logarithmic,
    OnTemperature,
    Power,
    Quench,
    get_schedule,
    schedules,
)
from lossatlas.theory.annealing.schedule import as_schedule, check_schedule


@pytest.mark.parametrize(
    ("schedule", "t", "beta"),
    [
        (Constant(3.0), 5.0, 3.0),
        (Constant(math.inf), 5.0, math.inf),
        (Logarithmic(0.3), 100.0, 0.3 * math.log(math.e + 100)),
        (Power(2.0, 0.5), 8.0, 6.0),
        (Linear(0.1), 0.0, 0.0),
        (Linear(0.1, start=1.0), 10.0, 2.0),
        (Exponential(2.0, 0.1), 10.0, 2 * math.e),
        (Quench(60.0), 0.0, 60.0),
        (Quench(math.inf, before=0.5, at=1.0), 2.0, math.inf),
        (OnTemperature(0.25), 7.0, 4.0),
        (OnTemperature(Power(2.0, 0.5)), 3.0, 0.25),
        (OnTemperature(lambda t: 2.0 - t), 1.5, 2.0),
    ],
    ids=str,
)
def test_formulas(schedule, t: float, beta: float) -> None:  # type: ignore[no-untyped-def]
    assert schedule(t) == pytest.approx(beta, rel=1e-14)
    assert as_schedule(schedule) is schedule


def test_all_are_made_by_name() -> None:
    options = {
        "constant": {"beta": 1.0},
        "logarithmic": {"c": 1.0},
        "power": {"scale": 1.0},
        "linear": {"rate": 1.0},
        "exponential": {"start": 1.0, "rate": 0.1},
        "quench": {"final": 10.0},
    }
    assert set(options) == set(schedules)
    for name, given in options.items():
        assert get_schedule(name, **given)(1.0) > 0
    with pytest.raises(ConfigurationError, match="did you mean 'rate'"):
        get_schedule("linear", rat=1.0)
    with pytest.raises(ConfigurationError, match="expected options"):
        get_schedule("exponential", start=1.0)
    with pytest.raises(ConfigurationError, match="did you mean 'quench'"):
        get_schedule("quensh")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Constant(-1.0), "expected beta of an annealing schedule as a number above 0, got -1.0"),
        (lambda: Constant(math.nan), "beta"),
        (lambda: Logarithmic(0.0), "expected c of"),
        (lambda: Logarithmic(math.inf), "expected c of"),
        (lambda: Power(1.0, -1.0), "exponent"),
        (lambda: Linear(math.nan), "rate"),
        (lambda: Linear(1.0, start=-1.0), "start"),
        (lambda: Exponential(0.0, 1.0), "start"),
        (lambda: Quench(0.0), "final"),
        (lambda: Quench(1.0, at=-1.0), "at"),
        (lambda: as_schedule("cold"), "a number, a schedule or a function"),
        (lambda: Linear(-1.0, start=1.0)(2.0), "got -1 at t = 2"),
        (lambda: Logarithmic(1.0)(-1.0), "time of at least 0"),
        (lambda: Exponential(1.0, 1.0)(1000.0), "an overflow at t = 1000"),
        (lambda: Power(1e300, 200.0)(1e3), "an overflow"),
        (lambda: as_schedule(lambda t: math.nan)(1.0), "got nan"),
        (lambda: as_schedule(math.exp)(1000.0), "an overflow"),
        (lambda: OnTemperature(Linear(-0.1, start=1.0))(10.0), "an overflow at t = 10"),
        (lambda: check_schedule(Exponential(1.0, 1.0), 0.0, 1000.0), "an overflow"),
        (lambda: check_schedule(lambda t: 0.0, 0.0, 1.0), "got 0 at t ="),
    ],
)
def test_what_cannot_be_is_refused(call, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        call()
