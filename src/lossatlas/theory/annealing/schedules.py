"""How cold at what time: inverse temperatures β(t), given directly or through the temperature."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.core.options import check_options, option_names
from lossatlas.core.registry import Registry

__all__ = [
    "Beta",
    "Constant",
    "Exponential",
    "Linear",
    "Logarithmic",
    "OnTemperature",
    "Power",
    "Quench",
    "Schedule",
    "as_schedule",
    "check_schedule",
    "get_schedule",
    "schedules",
]


def _check(name: str, value: float, wanted: str, good: bool) -> None:
    if not good:
        raise InputError(f"expected {name} of an annealing schedule as {wanted}, got {value!r}: choose another value")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_positive(name: str, value: float) -> None:
    _check(name, value, "a finite number above 0", _number(value) and 0 < value < math.inf)


def _check_not_negative(name: str, value: float) -> None:
    _check(name, value, "a finite number of at least 0", _number(value) and 0 <= value < math.inf)


class Schedule(ABC):
    """β as a function of time; a subclass says only :meth:`_value`.

    Times are in the unit of dX = −∇E dt + √(2/β) dB. β has the unit of 1/energy. β = ∞ is pure descent;
    only :class:`Constant` and :class:`Quench` may ask for it.
    """

    def __call__(self, t: float, /) -> float:
        """Return β(t) ≥ 0.

        Raises:
            InputError: a negative time, or β(t) that is negative, not a number, or overflows.
        """
        if not t >= 0:
            raise InputError(f"expected a time of at least 0, got {t!r}: schedules start at t = 0")
        try:
            value = self._value(t)
        except OverflowError:
            value = math.inf
        if not 0 <= value < math.inf:
            what = "an overflow" if value == math.inf else f"{value:.6g}"
            raise InputError(
                f"expected a schedule with 0 <= beta < inf, got {what} at t = {t:g} from {self}: "
                "lower its rate or stop earlier"
            )
        return value

    @abstractmethod
    def _value(self, t: float) -> float:
        """β(t) before it is checked."""


@dataclass(frozen=True)
class Constant(Schedule):
    """β(t) = β; inf is pure descent.

    Raises:
        InputError: β negative or zero.

    Example:
        >>> Constant(2.0)(1000.0)
        2.0
    """

    beta: float

    def __post_init__(self) -> None:
        _check("beta", self.beta, "a number above 0", _number(self.beta) and self.beta > 0)

    def __call__(self, t: float, /) -> float:
        """Return β."""
        return self.beta

    def _value(self, t: float) -> float:
        return self.beta


@dataclass(frozen=True)
class Logarithmic(Schedule):
    """β(t) = c log(e + t): converges in probability if c < 1/d*, see :func:`.critical_depth`.

    Raises:
        InputError: c not above 0.

    Reference:
        Geman & Geman 1984, IEEE PAMI 6, 721; Hajek 1988, Math. Oper. Res. 13, 311.

    Example:
        >>> round(Logarithmic(0.5)(0.0), 12), round(Logarithmic(0.5)(1e4), 4)
        (0.5, 4.6053)
    """

    c: float

    def __post_init__(self) -> None:
        _check_positive("c", self.c)

    def _value(self, t: float) -> float:
        return self.c * math.log(math.e + t)


@dataclass(frozen=True)
class Power(Schedule):
    """β(t) = scale (1 + t)^exponent.

    Raises:
        InputError: a scale not above 0, or a negative exponent.

    Example:
        >>> Power(0.5, exponent=0.5)(3.0)
        1.0
    """

    scale: float
    exponent: float = 0.5

    def __post_init__(self) -> None:
        _check_positive("scale", self.scale)
        _check_not_negative("exponent", self.exponent)

    def _value(self, t: float) -> float:
        return float(self.scale * (1 + t) ** self.exponent)


@dataclass(frozen=True)
class Linear(Schedule):
    """β(t) = start + rate t. A negative rate is useful on the temperature; times with β < 0 are refused.

    Raises:
        InputError: a start below 0, or a rate that is not finite.

    Example:
        >>> Linear(0.1)(20.0)
        2.0
        >>> OnTemperature(Linear(-0.5, start=1.0))(1.5)
        4.0
    """

    rate: float
    start: float = 0.0

    def __post_init__(self) -> None:
        _check("rate", self.rate, "a finite number", _number(self.rate) and math.isfinite(self.rate))
        _check_not_negative("start", self.start)

    def _value(self, t: float) -> float:
        return self.start + self.rate * t


@dataclass(frozen=True)
class Exponential(Schedule):
    """β(t) = start exp(rate t): refused from the time at which it overflows.

    Raises:
        InputError: a start not above 0, or a rate that is not finite.

    Example:
        >>> Exponential(1.0, rate=1.0)(1000.0)
        Traceback (most recent call last):
        lossatlas.core.errors.InputError: expected a schedule with 0 <= beta < inf, got an overflow at t = 1000 ...
    """

    start: float
    rate: float

    def __post_init__(self) -> None:
        _check_positive("start", self.start)
        _check("rate", self.rate, "a finite number", _number(self.rate) and math.isfinite(self.rate))

    def _value(self, t: float) -> float:
        return self.start * math.exp(self.rate * t)


@dataclass(frozen=True)
class Quench(Schedule):
    """β(t) = before for t < at, then final at once; final = inf is pure descent from there on.

    Raises:
        InputError: ``final`` or ``before`` not above 0, or a negative time.

    Example:
        >>> quench = Quench(60.0, before=0.5, at=10.0)
        >>> quench(9.9), quench(10.0)
        (0.5, 60.0)
    """

    final: float
    before: float = 1.0
    at: float = 0.0

    def __post_init__(self) -> None:
        _check("final", self.final, "a number above 0", _number(self.final) and self.final > 0)
        _check_positive("before", self.before)
        _check_not_negative("at", self.at)

    def __call__(self, t: float, /) -> float:
        """Return ``before`` or ``final``."""
        return self._value(t)

    def _value(self, t: float) -> float:
        return self.before if t < self.at else self.final


@dataclass(frozen=True)
class OnTemperature(Schedule):
    """β(t) = 1/T(t), with any schedule read as the temperature T.

    Args:
        temperature: T(t), in units of energy; a number is a constant.

    Raises:
        InputError: neither a number nor a schedule; later, times at which T ≤ 0 or 1/T overflows.

    Example:
        >>> OnTemperature(Exponential(2.0, rate=-1.0))(0.0)
        0.5
        >>> OnTemperature(Linear(-1.0, start=1.0))(1.0)
        Traceback (most recent call last):
        lossatlas.core.errors.InputError: expected a schedule with 0 <= beta < inf, got an overflow at t = 1 ...
    """

    temperature: Beta

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", as_schedule(self.temperature))

    def _value(self, t: float) -> float:
        value = as_schedule(self.temperature)(t)
        return 1 / value if value > 0 else math.inf


Beta: TypeAlias = "float | Schedule | Callable[[float], float]"
"""What is taken for β(t): a number, a schedule, or any function of the time."""

schedules: Registry[Callable[..., Schedule]] = Registry("annealing schedule")
"""Annealing schedules by name."""

schedules.add("constant", Constant, "one inverse temperature; inf is pure descent")
schedules.add("logarithmic", Logarithmic, "c log(e + t), the one with a guarantee")
schedules.add("power", Power, "scale (1 + t)^exponent")
schedules.add("linear", Linear, "start + rate t")
schedules.add("exponential", Exponential, "start exp(rate t)")
schedules.add("quench", Quench, "a jump to the final value")


@dataclass(frozen=True)
class _Custom(Schedule):
    function: Callable[[float], float]

    def _value(self, t: float) -> float:
        return float(self.function(t))


def as_schedule(beta: Beta) -> Schedule:
    """Turn a number or a function of the time into a schedule.

    Raises:
        InputError: neither of these, or a number not above 0.

    Example:
        >>> as_schedule(2.0), as_schedule(lambda t: 1 + t**2)(3.0)
        (Constant(beta=2.0), 10.0)
    """
    if isinstance(beta, Schedule):
        return beta
    if _number(beta):
        return Constant(float(beta))  # type: ignore[arg-type]
    if callable(beta):
        return _Custom(beta)
    raise InputError(f"expected beta as a number, a schedule or a function of t, got {type(beta).__name__}: give one")


def get_schedule(name: str, **options: object) -> Schedule:
    """Make a schedule by name.

    Raises:
        ConfigurationError: unknown name or option, or a missing option.
        InputError: a value out of range.

    Example:
        >>> get_schedule("logarithmic", c=0.5)
        Logarithmic(c=0.5)
    """
    factory = schedules[name]
    valid = option_names(factory) or ()
    check_options(f"the annealing schedule '{name}'", options, valid)
    try:
        return factory(**options)
    except TypeError as error:
        raise ConfigurationError(
            f"expected options {', '.join(valid)} for the annealing schedule '{name}', got {options}: {error}"
        ) from error


def check_schedule(beta: Beta, first: float, last: float) -> Schedule:
    """Refuse, before any work is done, a schedule that fails somewhere between two times.

    Returns:
        The schedule, which was asked for β at 65 times.

    Raises:
        InputError: a negative or overflowing β, or one of zero after the first time.

    Example:
        >>> check_schedule(Linear(0.1), 0.5, 10.0)
        Linear(rate=0.1, start=0.0)
    """
    schedule = as_schedule(beta)
    for t in np.linspace(first, last, 65).tolist():
        if schedule(t) == 0 and t > 0:
            raise InputError(
                f"expected beta above 0 while walkers move, got 0 at t = {t:g} from {schedule}: "
                "the noise would be infinite; start above 0"
            )
    return schedule
