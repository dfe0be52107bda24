"""Learning rates as functions of the step: small frozen callables, by name or combined."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from lossatlas.core.errors import ConfigurationError
from lossatlas.core.options import check_options, option_names
from lossatlas.core.registry import Registry

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "LearningRate",
    "LinearWarmup",
    "Schedule",
    "Step",
    "as_schedule",
    "get_schedule",
    "schedules",
]


class Schedule(Protocol):
    """A learning rate for each step, counted from 0."""

    def __call__(self, step: int, /) -> float:
        """Return the learning rate of a step."""
        ...


LearningRate: TypeAlias = "float | Schedule | Mapping[str, object]"
"""A number, a schedule, or a table such as ``{"name": "cosine", "lr": 0.1, "steps": 100}``."""

schedules: Registry[Callable[..., Schedule]] = Registry("schedule")
"""Factories of learning-rate schedules by name."""


def _check(name: str, value: float, wanted: str, good: bool) -> None:
    if not good:
        raise ConfigurationError(f"expected {name} of a schedule to be {wanted}, got {value}")


def _check_rate(name: str, value: float) -> None:
    _check(name, value, "a finite number >= 0", 0 <= value < math.inf)


@dataclass(frozen=True)
class Constant:
    """The same learning rate at every step.

    Args:
        lr: learning rate.

    Example:
        >>> Constant(0.1)(1000)
        0.1
    """

    lr: float

    def __post_init__(self) -> None:
        _check_rate("lr", self.lr)

    def __call__(self, step: int, /) -> float:
        """Return ``lr``."""
        return self.lr


@dataclass(frozen=True)
class Step:
    """Multiplied by ``factor`` after every ``every`` steps: lr · factor^⌊step/every⌋.

    Args:
        lr: first learning rate.
        every: steps between changes.
        factor: what it is multiplied by.

    Example:
        >>> [Step(1.0, every=2, factor=0.5)(step) for step in range(5)]
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    lr: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _check_rate("lr", self.lr)
        _check_rate("factor", self.factor)
        _check("every", self.every, "at least 1", self.every >= 1)

    def __call__(self, step: int, /) -> float:
        """Return lr · factor^⌊step/every⌋."""
        return self.lr * self.factor ** (step // self.every)


@dataclass(frozen=True)
class Exponential:
    """Multiplied by ``factor`` after every step: lr · factor^step.

    Args:
        lr: first learning rate.
        factor: what it is multiplied by.

    Example:
        >>> Exponential(8.0, factor=0.5)(3)
        1.0
    """

    lr: float
    factor: float

    def __post_init__(self) -> None:
        _check_rate("lr", self.lr)
        _check_rate("factor", self.factor)

    def __call__(self, step: int, /) -> float:
        """Return lr · factor^step."""
        return self.lr * self.factor**step


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from ``lr`` to ``final`` over ``steps`` steps, then ``final``.

    final + (lr − final)(1 + cos(π·step/steps))/2.

    Args:
        lr: first learning rate.
        steps: length of the descent.
        final: last learning rate.

    Example:
        >>> [round(Cosine(1.0, steps=4)(step), 3) for step in (0, 2, 4, 9)]
        [1.0, 0.5, 0.0, 0.0]

    Reference:
        Loshchilov & Hutter (2017), SGDR, Eq. 5.
    """

    lr: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_rate("lr", self.lr)
        _check_rate("final", self.final)
        _check("steps", self.steps, "at least 1", self.steps >= 1)

    def __call__(self, step: int, /) -> float:
        """Return final + (lr − final)(1 + cos(π·step/steps))/2."""
        part = min(step, self.steps) / self.steps
        return self.final + (self.lr - self.final) * (1 + math.cos(math.pi * part)) / 2


@dataclass(frozen=True)
class LinearWarmup:
    """A straight rise to another schedule's first value, then that schedule, counted from 0 again.

    lr₀·(start + (1 − start)·step/steps) for step < steps, where lr₀ is the first value of ``after``.

    Args:
        after: a number or the schedule that follows.
        steps: length of the rise.
        start: first value as a fraction of lr₀.

    Example:
        >>> [LinearWarmup(1.0, steps=4)(step) for step in (0, 1, 2, 4, 10)]
        [0.0, 0.25, 0.5, 1.0, 1.0]
    """

    after: LearningRate
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        _check_rate("start", self.start)
        _check("steps", self.steps, "at least 1", self.steps >= 1)
        # A table is turned into its schedule once, so that mistakes in it show at construction.
        object.__setattr__(self, "after", as_schedule(self.after))

    def __call__(self, step: int, /) -> float:
        """Return the rising rate, or that of the schedule after it."""
        after = as_schedule(self.after)
        if step >= self.steps:
            return after(step - self.steps)
        return after(0) * (self.start + (1 - self.start) * step / self.steps)


schedules.add("constant", Constant, "the same learning rate at every step")
schedules.add("step", Step, "multiplied by a factor at regular intervals")
schedules.add("cosine", Cosine, "half a cosine down to a final value")
schedules.add("exponential", Exponential, "multiplied by a factor after every step")
schedules.add("linear-warmup", LinearWarmup, "a straight rise, then another schedule")


def get_schedule(name: str, **options: object) -> Schedule:
    """Make a schedule by name.

    Raises:
        ConfigurationError: unknown name or option, a missing option, or a value out of range.

    Example:
        >>> get_schedule("cosine", lr=0.1, steps=10)
        Cosine(lr=0.1, steps=10, final=0.0)
    """
    factory = schedules[name]
    valid = option_names(factory)
    if valid is not None:
        check_options(f"the schedule '{name}'", options, valid)
    try:
        return factory(**options)
    except TypeError as error:
        raise ConfigurationError(
            f"expected options {', '.join(valid or ())} for the schedule '{name}', got {options}: {error}"
        ) from error


def as_schedule(rate: LearningRate) -> Schedule:
    """Turn a number, a schedule or a table with a ``name`` into a schedule.

    Raises:
        ConfigurationError: it is none of these.

    Example:
        >>> as_schedule(0.1)
        Constant(lr=0.1)
        >>> as_schedule({"name": "step", "lr": 1.0, "every": 5})
        Step(lr=1.0, every=5, factor=0.1)
    """
    if isinstance(rate, Mapping):
        options = dict(rate)
        name = options.pop("name", None)
        if not isinstance(name, str):
            raise ConfigurationError(f"expected a schedule with a 'name', got {dict(rate)}: for example name='cosine'")
        return get_schedule(name, **options)
    if isinstance(rate, int | float) and not isinstance(rate, bool):
        return Constant(float(rate))
    if callable(rate):
        return rate
    raise ConfigurationError(f"expected a learning rate as a number or schedule, got {type(rate).__name__}")
