"""Side by side: our numbers beside those of Yu & Morozov 2026."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lossatlas.analysis.published import PUBLISHED, PUBLISHED_SETTINGS, PublishedNumber
from lossatlas.analysis.scores import score_estimate
from lossatlas.analysis.uncertainty import Estimate, mean_of_runs
from lossatlas.analysis.weight_statistics import WeightStatistics
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.table import Cell, Column, Table

__all__ = ["CLOSE", "differs", "side_by_side_table"]

CLOSE = 1.1
"""Numbers within this factor of each other are told apart from those that are further."""

_ROUNDING = 0.005
"""Of numbers with three digits, at most."""

_SINGLE = 1
"""Searches behind a height of the paper's Fig. 3."""


def differs(ours: Estimate, paper: float, runs: int = PUBLISHED_SETTINGS.kept) -> bool | None:
    """Whether a mean of ours differs from a published one beyond the spread.

    |x̄ − p| > h √(1 + n/m) + r, with h half our 95 % interval over n runs. The paper gives no errors: its mean is over m
    runs, which are taken to vary as ours do, so that its error is ours times √(n/m). For n = m = 48 a difference of 3
    standard errors of ours is beyond the spread. r is 0.5 % of the published number, which has three digits.

    Args:
        ours: mean with its 95 % interval.
        paper: the published number, in the same units.
        runs: m.

    Returns:
        Whether they differ; None where a single run says nothing of the spread.

    Example:
        >>> ours = mean_of_runs([0.9, 1.0, 1.1])
        >>> differs(ours, 1.05), differs(ours, 2.0), differs(mean_of_runs([1.0]), 2.0)
        (False, True, None)
    """
    if not math.isfinite(ours.mean):
        return None
    half = (ours.high - ours.low) / 2
    beyond = half * math.sqrt(1 + ours.units / runs) + _ROUNDING * abs(paper)
    return abs(ours.mean - paper) > beyond if math.isfinite(beyond) else None


def side_by_side_table(
    ensembles: Mapping[tuple[str, str], Ensemble],
    statistics: Mapping[tuple[str, str, str], WeightStatistics],
    heights: Mapping[tuple[str, str], Sequence[float]],
) -> Table:
    """Every loss and component statistic of the paper's Tables 1 and S1, and height of Fig. 3, beside ours.

    Args:
        ensembles: by network and optimizer.
        statistics: of sets of weights, by network, optimizer and weight set.
        heights: of repeated searches on a landscape of two coordinates, by its name and ``"straight"`` or the
            penalty, such as ``"λ = 10"``; see :func:`published_heights`.

    Returns:
        One row per number that both have, in the order of the paper; none where nothing is common. Numbers of
        parameters are exact and need no row.

    Reference:
        Yu & Morozov 2026, arXiv 2602.21276, Tables 1 and S1, Fig. 3.

    Example:
        >>> table = side_by_side_table({}, {}, {("paper-toy", "straight"): [1.1023, 1.1023]})
        >>> table.column("paper"), table.column("differs")
        ([1.102], ['no'])
    """
    columns = (
        Column("network", "Network"),
        Column("quantity", "Quantity"),
        Column("optimizer", "Optimizer"),
        Column("weight_set", "Weight set"),
        Column("runs", "Runs", "", "d"),
        Column("ours", "Ours", "", ".3g"),
        Column("ours_error", "± s.e.", "", ".1g"),
        Column("paper", "Paper", "", ".3g"),
        Column("ratio", "Ours / paper", "", ".3g"),
        Column("differs", "Differs"),
        Column("source", "Source"),
    )
    rows = []
    for number in PUBLISHED:
        ours = _ours(number, ensembles, statistics, heights)
        if ours is not None:
            rows.append(_row(number, ours))
    return Table(
        "side_by_side",
        "Side by side with the paper",
        "Means over runs, or repeated searches, with standard errors; the paper gives no errors. Numbers are marked as "
        "different where the difference is beyond our 95 % interval, widened as if what the paper averages (its "
        f"{PUBLISHED_SETTINGS.kept} runs; one search for a height) varied as ours do, and as close where they are "
        f"within a factor of {CLOSE} of each other all the same. Weights are all components of all weight vectors of a "
        "set.",
        columns,
        tuple(rows),
    )


def _ours(
    number: PublishedNumber,
    ensembles: Mapping[tuple[str, str], Ensemble],
    statistics: Mapping[tuple[str, str, str], WeightStatistics],
    heights: Mapping[tuple[str, str], Sequence[float]],
) -> Estimate | None:
    if number.quantity == "path height":
        found = heights.get((number.subject, number.way))
        return mean_of_runs(found) if found else None
    if number.source == "Table S1":
        weights = statistics.get((number.subject, number.optimizer, number.weight_set))
        if weights is None:
            return None
        return weights.components.mean if number.quantity == "mean weight" else weights.components.deviation
    ensemble = ensembles.get((number.subject, number.optimizer))
    return None if ensemble is None else score_estimate(ensemble, number.weight_set, f"{number.weight_set}_loss")


def _row(number: PublishedNumber, ours: Estimate) -> tuple[Cell, ...]:
    paper = number.value
    apart = differs(ours, paper, _SINGLE if number.quantity == "path height" else PUBLISHED_SETTINGS.kept)
    near = ours.mean * paper > 0 and 1 / CLOSE <= ours.mean / paper <= CLOSE
    return (
        number.subject,
        f"{number.quantity}, {number.way}" if number.way else number.quantity,
        number.optimizer or None,
        number.weight_set or None,
        ours.units,
        _finite(ours.mean),
        _finite(ours.error),
        paper,
        # Of numbers of either sign, a ratio says nothing.
        _finite(ours.mean / paper) if ours.mean * paper > 0 else None,
        None if apart is None else "no" if not apart else "close" if near else "yes",
        number.source,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
