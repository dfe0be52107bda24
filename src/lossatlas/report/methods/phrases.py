"""Constants and counts in the words of a methods section."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from lossatlas.report.wording import listing, network_name, typeset

__all__ = ["LANDSCAPES", "SETS", "constant", "constants", "count", "members", "networks_of"]

SETS = {"train": "training", "test": "early-stopped"}
"""Weight sets as an adjective."""

LANDSCAPES = {"train": "training loss", "test": "test loss"}
"""What is averaged over which examples."""


def constant(value: Any) -> str:
    """A constant as it would be printed.

    Example:
        >>> constant(1e-5), constant(True), constant(None), constant(5100)
        ('1×10⁻⁵', 'yes', 'unset', '5,100')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "unset"
    if isinstance(value, float) and not (value.is_integer() and abs(value) < 1e6):
        return typeset(f"{value:g}")
    if isinstance(value, int | float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.0f}"
    return str(value)


def constants(values: Mapping[str, Any]) -> str:
    """Names and values in a row, nested ones too; what is unset is left out.

    Example:
        >>> constants({"lr": 0.1, "late_phase": None, "keep": "last"})
        'lr 0.1, keep last'
    """
    parts = []
    for name, value in values.items():
        if is_dataclass(value) and not isinstance(value, type):
            parts.append(f"{name.replace('_', ' ')} ({constants(members(value))})")
        elif isinstance(value, Mapping):
            parts += [constants(value)] if value else []
        elif value is not None:
            word = value.__name__ if isinstance(value, type) else constant(value)
            parts.append(f"{name.replace('_', ' ')} {word}")
    return ", ".join(parts)


def members(value: Any) -> dict[str, Any]:
    """Fields of a frozen dataclass."""
    return {part.name: getattr(value, part.name) for part in fields(value)}


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    Example:
        >>> count(1, "pair"), count(1200, "pair")
        ('1 pair', '1,200 pairs')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def networks_of(chosen: Iterable[str] | None) -> str:
    """The networks that a stage is about: ``" of FCP"``, or nothing where it is about all."""
    return "" if chosen is None else f" of {listing([network_name(name) for name in chosen])}"
