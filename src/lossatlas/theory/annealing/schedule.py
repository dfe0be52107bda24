"""What a cooling schedule is: β(t), checked whenever it is asked for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lossatlas.core.errors import InputError

__all__ = ["Beta", "Constant", "Schedule", "as_schedule", "check_option", "check_schedule", "is_number"]


def check_option(name: str, value: float, wanted: str, good: bool) -> None:
    """Refuse an option of a schedule.

    Raises:
        InputError: ``good`` is false.
    """
    if not good:
        raise InputError(f"expected {name} of an annealing schedule as {wanted}, got {value!r}: choose another value")


def is_number(value: object) -> bool:
    """Whether a value is a number, which True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


class Schedule(ABC):
    """β as a function of time; a subclass says only :meth:`_value`.

    Times are in the unit of dX = −∇E dt + √(2/β) dB, β in that of 1/energy.
    β = ∞ is pure descent; only :class:`Constant` and :class:`Quench` may ask for it.
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
        check_option("beta", self.beta, "a number above 0", is_number(self.beta) and self.beta > 0)

    def __call__(self, t: float, /) -> float:
        """Return β."""
        return self.beta

    def _value(self, t: float) -> float:
        return self.beta


Beta: TypeAlias = "float | Schedule | Callable[[float], float]"
"""What is taken for β(t): a number, a schedule, or any function of the time."""


@dataclass(frozen=True, repr=False)
class _Custom(Schedule):
    function: Callable[[float], float]

    def __repr__(self) -> str:
        return f"the function {getattr(self.function, '__name__', repr(self.function))}"

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
    if is_number(beta):
        return Constant(float(beta))  # type: ignore[arg-type]
    if callable(beta):
        return _Custom(beta)
    raise InputError(f"expected beta as a number, a schedule or a function of t, got {type(beta).__name__}: give one")


def check_schedule(beta: Beta, first: float, last: float) -> Schedule:
    """Refuse, before any work is done, a schedule that fails somewhere between two times.

    Returns:
        The schedule, which was asked for β at 65 times.

    Raises:
        InputError: a negative or overflowing β, or one of zero after the first time.

    Example:
        >>> check_schedule(2.0, 0.5, 10.0)
        Constant(beta=2.0)
    """
    schedule = as_schedule(beta)
    for t in np.linspace(first, last, 65).tolist():
        if schedule(t) == 0 and t > 0:
            raise InputError(
                f"expected beta above 0 while walkers move, got 0 at t = {t:g} from {schedule}: "
                "the noise would be infinite; start above 0"
            )
    return schedule
