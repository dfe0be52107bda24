"""How cold at what time: schedules by name, on β or, through :class:`OnTemperature`, on the temperature itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lossatlas.core.errors import ConfigurationError
from lossatlas.core.options import check_options, option_names
from lossatlas.core.registry import Registry
from lossatlas.theory.annealing.schedule import Beta, Constant, Schedule, as_schedule, check_option, is_number

__all__ = [
    "Exponential",
    "Linear",
    "Logarithmic",
    "OnTemperature",
    "Power",
    "Quench",
    "get_schedule",
    "schedules",
]


def _check_positive(name: str, value: float) -> None:
    check_option(name, value, "a finite number above 0", is_number(value) and 0 < value < math.inf)


def _check_not_negative(name: str, value: float) -> None:
    check_option(name, value, "a finite number of at least 0", is_number(value) and 0 <= value < math.inf)


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
        check_option("rate", self.rate, "a finite number", is_number(self.rate) and math.isfinite(self.rate))
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
        check_option("rate", self.rate, "a finite number", is_number(self.rate) and math.isfinite(self.rate))

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
        check_option("final", self.final, "a number above 0", is_number(self.final) and self.final > 0)
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


schedules: Registry[Callable[..., Schedule]] = Registry("annealing schedule")
"""Annealing schedules by name."""

schedules.add("constant", Constant, "one inverse temperature; inf is pure descent")
schedules.add("logarithmic", Logarithmic, "c log(e + t), the one with a guarantee")
schedules.add("power", Power, "scale (1 + t)^exponent")
schedules.add("linear", Linear, "start + rate t")
schedules.add("exponential", Exponential, "start exp(rate t)")
schedules.add("quench", Quench, "a jump to the final value")


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
