"""How far to go along a direction: bracketing by growing or shrinking trials, then golden section."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lossatlas.core.errors import ConfigurationError
from lossatlas.optimize.golden_section import (
    GOLDEN,
    GoldenSectionResult,
    Probe,
    RowFunction,
    SearchStatus,
    check_probe,
    finite_or_infinity,
    golden_section,
)

__all__ = [
    "GOLDEN",
    "GoldenSectionLineSearch",
    "GoldenSectionResult",
    "LineSearchResult",
    "RowFunction",
    "SearchStatus",
    "golden_section",
]


# Steps are numbers of the landscape's own type, and growing ones must stay below the largest of float32.
_LONGEST = 1e30


@dataclass(frozen=True)
class LineSearchResult:
    """Where each row's line search ended; all tensors are ``(n,)``.

    Args:
        step: displacement u in units of the direction's length: the point is w + u·d.
        value: loss there; it can be above the start (see :class:`GoldenSectionLineSearch`).
        evaluations: int64, losses evaluated.
        status: int64, codes of :class:`SearchStatus`.
    """

    step: Tensor
    value: Tensor
    evaluations: Tensor
    status: Tensor


@dataclass(frozen=True)
class _Bracket:
    """Three points and their losses for each row, and which rows already have their answer."""

    lower: Tensor
    middle: Tensor
    upper: Tensor
    values: tuple[Tensor, Tensor, Tensor]
    used: Tensor
    falling: Tensor
    shrinking: Tensor
    bracketed: Tensor
    status: Tensor


@dataclass(frozen=True)
class GoldenSectionLineSearch:
    """The line search of L-BFGS-GSS: values only, never a gradient.

    Trials are at w + u·d. The first is at u = 0.2. If the loss falls there, the exponent is raised twice, then once
    at a time: 0.8, 1.6, 3.2, ..., while the loss falls strictly; the last three points are a bracket. If the first
    trial does not improve, u shrinks by 0.382 until one does: (0, u, previous u) is a bracket. Golden section then
    refines it. Everything together takes at most ``evaluations`` losses, L(w) not counted.

    While shrinking and while refining, the search ends when the bracket's width times |d|, or the difference of the
    losses at its ends, is below ``tolerance``, looked at before each trial; while growing only the budget counts.
    A search that ends while shrinking returns its last trial **even though it is above the start**: compare
    ``value`` with the start. Trials that are not finite count as infinitely high.

    Args:
        first_step: first trial u.
        growth: factor between growing trials; squared the first time.
        shrink: factor between shrinking trials.
        section: fraction of golden section.
        evaluations: losses allowed.
        shrinking_evaluations: losses allowed as long as no trial was below the start; None: ``evaluations``.
            Whatever is found beyond ``evaluations`` is returned unrefined.
        tolerance: on |u·d| and on the loss.
        probe: ``"golden"``: refine in the larger part of the bracket; ties count as not falling.
            ``"published"``: as in the authors' notebook: the trial at L + φ(U − L) or U − φ(U − L) of a bracket
            (L, m, U) can fall into the smaller part, and after a shrink coincides with m, so that the search ends
            with one evaluation wasted; a tie ends the search, and a tie while growing evaluates (if the budget
            allows) and returns the midpoint of its bracket.

    Raises:
        ConfigurationError: a constant is out of range.

    Example:
        >>> search = GoldenSectionLineSearch()
        >>> found = search.search(lambda u, rows: (u - 1) ** 2, torch.tensor([1.0]), torch.tensor([1.0]))
        >>> found.evaluations.item(), round(found.step.item(), 4), found.value.item() < 0.01
        (6, 0.9889, True)

    Reference:
        Yu & Morozov (2026), arXiv:2602.21276, Algorithm 1.
    """

    first_step: float = 0.2
    growth: float = 2.0
    shrink: float = 0.382
    section: float = 0.382
    evaluations: int = 6
    shrinking_evaluations: int | None = None
    tolerance: float = 1e-4
    probe: Probe = "golden"

    def __post_init__(self) -> None:
        check_probe(self.probe)
        fewest = self.evaluations if self.shrinking_evaluations is None else self.shrinking_evaluations
        for name, wanted, good in (
            ("first_step", f"a positive number up to {_LONGEST:g}", 0 < self.first_step <= _LONGEST),
            ("growth", "a number above 1", 1 < self.growth < float("inf")),
            ("shrink", "a number between 0 and 1", 0 < self.shrink < 1),
            ("section", "a number above 0 and at most 0.5", 0 < self.section <= 0.5),
            ("evaluations", "at least 1", self.evaluations >= 1),
            ("shrinking_evaluations", "at least `evaluations`", fewest >= self.evaluations),
            ("tolerance", "a number >= 0", 0 <= self.tolerance < float("inf")),
        ):
            if not good:
                raise ConfigurationError(f"expected {name} to be {wanted}, got {getattr(self, name)}")

    def search(self, f: RowFunction, start: Tensor, length: Tensor, rows: Tensor | None = None) -> LineSearchResult:
        """Search along one direction for every row.

        Args:
            f: ``f(u, rows) -> (n,)``, the loss at w + u·d.
            start: the loss at w, ``(n,)``.
            length: |d|, ``(n,)``.
            rows: ``(n,)`` bool, rows to search; None: all. The others get step 0 and the loss at w.

        Returns:
            A step for each row.
        """
        rows = torch.ones_like(start, dtype=torch.bool) if rows is None else rows
        found = self._bracket(f, start, length, rows)
        refined = golden_section(
            f,
            found.lower,
            found.middle,
            found.upper,
            values=found.values,
            evaluations=self.evaluations - found.used,
            tolerance=self.tolerance,
            difference=self.tolerance,
            scale=length,
            rows=found.bracketed,
            fraction=self.section,
            probe=self.probe,
        )
        step = torch.where(found.shrinking, found.upper, refined.argmin)
        value = torch.where(found.shrinking, found.values[2], refined.value)
        return LineSearchResult(
            step=torch.where(rows, step, torch.zeros_like(step)),
            value=torch.where(rows, value, start),
            evaluations=found.used + refined.evaluations,
            status=torch.where(found.bracketed, refined.status, found.status),
        )

    def _bracket(self, f: RowFunction, start: Tensor, length: Tensor, rows: Tensor) -> _Bracket:
        """Grow or shrink trials until three points bracket a minimum, or the search has to end."""
        most_shrinks = self.evaluations if self.shrinking_evaluations is None else self.shrinking_evaluations
        lower, lower_value = torch.zeros_like(start), start
        middle = torch.full_like(start, self.first_step)
        middle_value = finite_or_infinity(f(middle, rows))
        upper, upper_value = middle, middle_value
        used = rows.to(torch.int64)
        status = torch.zeros_like(used)
        falling = rows & (middle_value < start)
        shrinking = rows & ~falling
        bracketed = torch.zeros_like(rows)
        factor = self.growth**2
        while True:
            narrow = upper * length < self.tolerance
            flat = (lower_value - upper_value).abs() < self.tolerance
            grow = falling & (used < self.evaluations)
            shrink = shrinking & (used < most_shrinks) & ~narrow & ~flat
            trying = grow | shrink
            if not bool(trying.any()):
                break
            trial = torch.where(grow, middle * factor, upper * self.shrink)
            value = finite_or_infinity(f(trial, trying))
            used = used + trying
            factor = self.growth

            falls = grow & (value < middle_value)
            improves = shrink & (value < start)
            ends = (trying & ~falls) & ~improves
            lower, lower_value = torch.where(falls, middle, lower), torch.where(falls, middle_value, lower_value)
            if self.probe == "published":
                tie = ends & grow & (value == middle_value)
                status = torch.where(tie, int(SearchStatus.TIE), status)
            middle = torch.where(falls | improves, trial, middle)
            middle_value = torch.where(falls | improves, value, middle_value)
            upper, upper_value = torch.where(ends, trial, upper), torch.where(ends, value, upper_value)
            bracketed = bracketed | improves | (ends & grow)
            falling = falling & ~(ends & grow)
            shrinking = shrinking & ~improves

        stopped = torch.where(narrow, int(SearchStatus.WIDTH), int(SearchStatus.DIFFERENCE))
        stopped = torch.where(shrinking & (narrow | flat), stopped, int(SearchStatus.BUDGET))
        status = torch.where(falling | shrinking, stopped, status)
        found = _Bracket(
            lower, middle, upper, (lower_value, middle_value, upper_value), used, falling, shrinking, bracketed, status
        )
        return self._end_ties(f, found) if self.probe == "published" else found

    def _end_ties(self, f: RowFunction, found: _Bracket) -> _Bracket:
        """Give rows whose growing trials tied the midpoint of their bracket, as the notebook does."""
        tie = found.status == int(SearchStatus.TIE)
        affordable = tie & (found.used < self.evaluations)
        lower_value, middle_value, upper_value = found.values
        middle = torch.where(affordable, (found.lower + found.upper) / 2, found.middle)
        if bool(affordable.any()):
            middle_value = torch.where(affordable, finite_or_infinity(f(middle, affordable)), middle_value)
        return replace(
            found,
            middle=middle,
            values=(lower_value, middle_value, upper_value),
            used=found.used + affordable,
            bracketed=found.bracketed & ~tie,
        )
