"""Golden-section search over rows: shrink brackets that hold a minimum, one evaluation at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import ConfigurationError, InputError, nearest

__all__ = ["GOLDEN", "GoldenSectionResult", "Probe", "RowFunction", "SearchStatus", "check_probe", "golden_section"]

GOLDEN = (3 - 5**0.5) / 2
"""The smaller golden fraction, 0.381966...: the larger part of a bracket so split is to the whole as 1 − φ."""

RowFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""``f(u, rows) -> (n,)`` for u ``(n,)``; only rows where the mask ``(n,)`` is true are looked at."""

Probe: TypeAlias = Literal["golden", "published"]


class SearchStatus(IntEnum):
    """Why a one-dimensional search ended."""

    SKIPPED = 0
    """The row was not searched."""
    BUDGET = 1
    """All evaluations were used."""
    WIDTH = 2
    """The bracket is narrower than the tolerance."""
    DIFFERENCE = 3
    """The function differs across the bracket by less than the tolerance."""
    TIE = 4
    """Two trials gave the same number (published rule only)."""
    RESOLUTION = 5
    """The next trial cannot be told from the present point in this floating type."""


@dataclass(frozen=True)
class GoldenSectionResult:
    """Where each row's search ended; all tensors are ``(n,)``.

    Args:
        argmin: the lowest point evaluated inside the bracket.
        value: the function there.
        lower: lower end of the final bracket.
        upper: upper end of the final bracket.
        evaluations: int64, calls of the function that each row took part in.
        status: int64, codes of :class:`SearchStatus`.
    """

    argmin: Tensor
    value: Tensor
    lower: Tensor
    upper: Tensor
    evaluations: Tensor
    status: Tensor


def check_probe(probe: str) -> None:
    """Refuse an unknown probe rule.

    Raises:
        ConfigurationError: it is neither ``"golden"`` nor ``"published"``.
    """
    if probe not in {"golden", "published"}:
        raise ConfigurationError(f"unknown probe rule '{probe}': {nearest(probe, ['golden', 'published'])}")


def finite_or_infinity(value: Tensor) -> Tensor:
    """Count a trial that is not a number as infinitely high: the search turns back from it."""
    return torch.where(value.isfinite(), value, torch.full_like(value, float("inf")))


def _next_probe(lower: Tensor, middle: Tensor, upper: Tensor, fraction: float, probe: Probe) -> Tensor:
    upper_is_larger = upper - middle > middle - lower
    if probe == "published":
        step = fraction * (upper - lower)
        return torch.where(upper_is_larger, lower + step, upper - step)
    return torch.where(upper_is_larger, middle + fraction * (upper - middle), middle - fraction * (middle - lower))


def golden_section(
    f: RowFunction,
    lower: Tensor,
    middle: Tensor,
    upper: Tensor,
    *,
    values: tuple[Tensor, Tensor, Tensor] | None = None,
    evaluations: int | Tensor = 50,
    tolerance: float = 0.0,
    difference: float = 0.0,
    scale: float | Tensor = 1.0,
    rows: Tensor | None = None,
    fraction: float = GOLDEN,
    probe: Probe = "golden",
) -> GoldenSectionResult:
    """Minimise a function of one variable inside a bracket, for every row at once.

    The next trial lies in the larger part of (lower, middle, upper), ``fraction`` of it away from the middle:
    u = m + φ(U − m) or m − φ(m − L), φ = (3 − √5)/2. From a middle that splits the bracket in the golden ratio,
    each evaluation shrinks the bracket to 1 − φ = 0.618 of its width; from any other, that ratio is soon reached.
    On a unimodal function the minimum never leaves the bracket. A tie counts as not falling.

    Args:
        f: ``f(u, rows) -> (n,)``; numbers that are not finite count as infinitely high.
        lower: lower ends, ``(n,)``.
        middle: points inside, ``(n,)``, lower ≤ middle ≤ upper.
        upper: upper ends, ``(n,)``, above the lower ones.
        values: the function at lower, middle and upper, ``(n,)`` each, where known. None: the middle is evaluated
            (and counted), and the ends count as higher.
        evaluations: calls allowed, for all rows or each ``(n,)``.
        tolerance: stop when (upper − lower)·scale is below this; looked at before each trial.
        difference: stop when |f(lower) − f(upper)| is below this; looked at before each trial.
        scale: unit of u in the tolerance, a number or ``(n,)``.
        rows: ``(n,)`` bool, rows to search; None: all.
        fraction: φ.
        probe: ``"golden"``, or ``"published"``: the trial of the L-BFGS-GSS authors' notebook, at
            L + φ(U − L) when U − m > m − L and at U − φ(U − L) otherwise. That can fall into the smaller part, or
            on the middle itself; a tie ends the search.

    Returns:
        The lowest points and final brackets.

    Raises:
        InputError: a bracket is empty, out of order or not finite.
        ConfigurationError: unknown ``probe``.

    Example:
        >>> low, high = torch.tensor([0.0, -4.0]), torch.tensor([5.0, 9.0])
        >>> found = golden_section(lambda u, rows: (u - 2) ** 2, low, low + GOLDEN * (high - low), high, evaluations=30)
        >>> bool(((found.argmin - 2).abs() < 1e-3).all()), found.evaluations.tolist()
        (True, [30, 30])

    Reference:
        Kiefer (1953), Sequential minimax search for a maximum.
    """
    check_probe(probe)
    rows = torch.ones_like(lower, dtype=torch.bool) if rows is None else rows
    ordered = (lower <= middle) & (middle <= upper) & (lower < upper) & (upper - lower).isfinite()
    if not bool((ordered | ~rows).all()):
        worst = int((~ordered & rows).nonzero()[0])
        raise InputError(
            "expected brackets with lower <= middle <= upper and lower < upper, got "
            f"({float(lower[worst])}, {float(middle[worst])}, {float(upper[worst])}) in row {worst}: swap the ends"
        )
    used = torch.zeros_like(rows, dtype=torch.int64)
    status = used.clone()
    if values is None:
        infinity = torch.full_like(middle, float("inf"))
        values = (infinity, finite_or_infinity(f(middle, rows)), infinity)
        used = used + rows
    lower_value, middle_value, upper_value = values
    searching = rows
    while True:
        trial = _next_probe(lower, middle, upper, fraction, probe)
        # The published rule evaluates a trial that coincides with the middle; the tie then ends the search.
        stuck = ((trial == middle) | (trial <= lower) | (trial >= upper)) & (probe == "golden")
        for reason, stop in (
            (SearchStatus.BUDGET, used >= evaluations),
            (SearchStatus.WIDTH, (upper - lower) * scale < tolerance),
            (SearchStatus.DIFFERENCE, (lower_value - upper_value).abs() < difference),
            (SearchStatus.RESOLUTION, stuck),
        ):
            status = torch.where(searching & stop, int(reason), status)
            searching = searching & ~stop
        if not bool(searching.any()):
            return GoldenSectionResult(middle, middle_value, lower, upper, used, status)
        value = finite_or_infinity(f(trial, searching))
        used = used + searching
        if probe == "published":
            tie = searching & (value == middle_value)
            status = torch.where(tie, int(SearchStatus.TIE), status)
            searching = searching & ~tie
        falls, left = searching & (value < middle_value), trial < middle
        rises = searching & ~falls
        # A lower trial becomes the middle and the old middle an end; a higher one becomes an end itself.
        to_upper, to_lower = falls & left, falls & ~left
        upper = torch.where(to_upper, middle, torch.where(rises & ~left, trial, upper))
        upper_value = torch.where(to_upper, middle_value, torch.where(rises & ~left, value, upper_value))
        lower = torch.where(to_lower, middle, torch.where(rises & left, trial, lower))
        lower_value = torch.where(to_lower, middle_value, torch.where(rises & left, value, lower_value))
        middle, middle_value = torch.where(falls, trial, middle), torch.where(falls, value, middle_value)
