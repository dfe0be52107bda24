"""Checks of arguments, in sentences that end with what to do."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossatlas.core.errors import InputError

__all__ = ["above", "at_least", "choice", "strengths_of", "times_of", "whole"]


def whole(value: object, what: str, least: int, advice: str) -> int:
    """Return an integer of at least ``least``.

    Raises:
        InputError: it is not.

    Example:
        >>> whole(0, "depth", 1, "a network has at least one matrix")
        Traceback (most recent call last):
        lossatlas.core.errors.InputError: expected depth as an integer of at least 1, got 0: a network has at least...
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"expected {what} as an integer of at least {least}, got {value!r}: {advice}")
    return value


def at_least(value: object, what: str, least: float, advice: str) -> float:
    """Return a finite number of at least ``least``.

    Raises:
        InputError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
        raise InputError(f"expected {what} as a finite number of at least {least:g}, got {value!r}: {advice}")
    return float(value)


def above(value: object, what: str, border: float, advice: str) -> float:
    """Return a finite number above ``border``.

    Raises:
        InputError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not border < value < math.inf:
        raise InputError(f"expected {what} as a finite number above {border:g}, got {value!r}: {advice}")
    return float(value)


def choice(value: object, what: str, valid: tuple[str, ...]) -> None:
    """Refuse a word that is none of ``valid``.

    Raises:
        InputError: it is not.
    """
    if value not in valid:
        raise InputError(f"expected {what} as one of {', '.join(valid)}, got {value!r}: choose one of these")


def times_of(time: Tensor | float) -> Tensor:
    """Times as a float64 tensor on the CPU, finite and not negative.

    Raises:
        InputError: they are not.
    """
    times = torch.as_tensor(time, dtype=torch.float64).detach().cpu()
    if not bool((times.isfinite() & (times >= 0)).all()):
        raise InputError(f"expected finite times of at least 0, got {time}: the start is at time 0")
    return times


def strengths_of(values: Tensor | float, count: int, what: str) -> Tensor:
    """One strength per mode, ``(count,)`` in float64; a number stands for all.

    Raises:
        InputError: of another shape, negative or not finite.
    """
    strengths = torch.as_tensor(values, dtype=torch.float64).detach().cpu()
    if strengths.shape not in ((), (count,)):
        raise InputError(
            f"expected {what} as one number or {count} of them, got shape {tuple(strengths.shape)}: "
            "give one for each non-zero singular value of the target"
        )
    if not bool((strengths.isfinite() & (strengths >= 0)).all()):
        raise InputError(f"expected finite {what} of at least 0, got {values}: modes of a balanced network start there")
    return strengths.expand(count).clone()
