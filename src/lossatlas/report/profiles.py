"""Loss along paths, and how high the passes between minima are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lossatlas.core.path import Path
from lossatlas.core.table import Table
from lossatlas.report.curves import loss_unit
from lossatlas.report.distributions import spread
from lossatlas.report.figure import Axis, Panel
from lossatlas.report.marks import Line, Mark, Points, Values
from lossatlas.report.palette import marker_of
from lossatlas.report.records import means
from lossatlas.report.wording import optimizer_name
from lossatlas.study.results import Experiment, Pair

__all__ = [
    "DRAWN_PAIRS",
    "SET_NAMES",
    "barrier_panel",
    "bound_on_passes",
    "comparison_panel",
    "drawn_note",
    "linear_pairs",
    "loss_axis",
    "pair_name",
    "path_axis",
    "profile_panel",
    "searched",
    "share",
]

SET_NAMES: Mapping[str, str] = {"train": "training set", "test": "early-stopped set"}
"""What the weight sets are called in figures."""

DRAWN_PAIRS = 12
"""Paths drawn of one set; more are a blot in which nothing can be seen, and make the page heavy."""

# More solid lines than these hide each other.
_BOLD = 8


def path_axis() -> Axis:
    """Position along a path, from 0 at the start to 1 at the end."""
    return Axis("Position on the path, t", "0 start, 1 end")


def linear_pairs(experiment: Experiment, weight_set: str) -> tuple[Pair, ...]:
    """Pairs of one weight set joined by straight lines, as the minima are, on which every training loss is finite."""
    return tuple(pair for pair in _finite(experiment, weight_set) if pair.plain)


def searched(experiment: Experiment, weight_set: str) -> dict[str, tuple[Pair, ...]]:
    """Pairs of one weight set joined by paths that were searched for, by stage, on which every loss is finite."""
    found: dict[str, tuple[Pair, ...]] = {}
    for pair in _finite(experiment, weight_set):
        if pair.path.method != "linear" and pair.landscape == "train":
            found[pair.stage] = (*found.get(pair.stage, ()), pair)
    return found


def _finite(experiment: Experiment, weight_set: str) -> list[Pair]:
    return [pair for pair in experiment.pairs.get(weight_set, ()) if bool(pair.path.loss.isfinite().all())]


def _drawn(pairs: Sequence[Pair]) -> list[Pair]:
    """All pairs, or evenly spaced ones: which is nobody's choice."""
    if len(pairs) <= DRAWN_PAIRS:
        return list(pairs)
    return [pairs[int(k)] for k in np.linspace(0, len(pairs) - 1, DRAWN_PAIRS).round()]


def drawn_note(sizes: Iterable[int]) -> str:
    """What a caption says where some sets have more pairs than are drawn; empty where none has."""
    most = max(sizes, default=0)
    return f" Of sets with more, {DRAWN_PAIRS} pairs are drawn (the largest has {most})." if most > DRAWN_PAIRS else ""


def pair_name(experiment: Experiment, pair: Pair) -> str:
    """Name of a pair of minima by the replicas they come from."""
    kept = experiment.ensemble.kept
    first, second = (kept[i].index if i < len(kept) else i for i in (pair.first, pair.second))
    return f"replicas {first} and {second}"


def loss_axis(paths: Iterable[Path], unit: str) -> Axis:
    """Loss along paths: logarithmic where every loss is positive."""
    positive = all(bool((path.loss[path.loss.isfinite()] > 0).all()) for path in paths)
    return Axis("Loss", unit, "log" if positive else "linear")


def profile_panel(experiments: Sequence[Experiment], weight_set: str, title: str) -> Panel | None:
    """Loss against position for every straight line between minima of one network.

    Args:
        experiments: one per optimizer.
        weight_set: ``"train"`` or ``"test"``.
        title: heading of the panel.

    Returns:
        The panel; None where there are no such paths.
    """
    marks: list[Mark] = []
    paths: list[Path] = []
    for experiment in experiments:
        for pair in _drawn(linear_pairs(experiment, weight_set)):
            paths.append(pair.path)
            name = optimizer_name(experiment.optimizer)
            member = pair_name(experiment, pair)
            marks.append(Line(pair.path.t, pair.path.loss, name, experiment.optimizer, member=member, faint=True))
    if not marks:
        return None
    return Panel(title, path_axis(), loss_axis(paths, loss_unit(experiments[0].ensemble)), tuple(marks))


def comparison_panel(experiments: Sequence[Experiment], weight_set: str, stage: str, title: str) -> Panel | None:
    """Loss along the paths of a stage, over the straight lines between the same minima.

    Args:
        experiments: one per optimizer.
        weight_set: ``"train"`` or ``"test"``.
        stage: of the configuration.
        title: heading of the panel.

    Returns:
        The panel, in shares of each path's length; None where there are no such paths.
    """
    marks: list[Mark] = []
    drawn: list[Path] = []
    for experiment in experiments:
        role, name = experiment.optimizer, optimizer_name(experiment.optimizer)
        straight = {(pair.first, pair.second): pair for pair in linear_pairs(experiment, weight_set)}
        chosen = _drawn(searched(experiment, weight_set).get(stage, ()))
        faint = len(chosen) > _BOLD
        found: list[Mark] = []
        for pair in chosen:
            member = pair_name(experiment, pair)
            found.append(Line(share(pair.path), pair.path.loss, name, role, member=member, faint=faint))
            drawn.append(pair.path)
            line = straight.get((pair.first, pair.second))
            if line is not None:
                label = f"{name}, straight line"
                marks.append(
                    Line(share(line.path), line.path.loss, label, role, member=member, dashed=True, faint=True)
                )
                drawn.append(line.path)
        # Lines of one label side by side become one trace, and those found lie in front.
        marks += found
    if not marks:
        return None
    axis = Axis("Share of the path's length", "0 start, 1 end")
    return Panel(title, axis, loss_axis(drawn, loss_unit(experiments[0].ensemble)), tuple(marks))


def share(path: Path) -> Values:
    """Arc length as a share of the whole, ``(m,)``; t where it is not known."""
    if path.arc is None or not float(path.arc[-1]) > 0:
        return path.t
    return path.arc / path.arc[-1]


def barrier_panel(experiments: Sequence[Experiment], title: str, table: Table | None = None) -> Panel | None:
    """Barriers of all straight lines of one network, a row of points per optimizer and weight set.

    Args:
        experiments: one per optimizer.
        title: heading of the panel.
        table: the stored table of barriers, for the means.

    Returns:
        The panel; None where there are no such paths.
    """
    points: list[Mark] = []
    ticks: list[tuple[float, int]] = []
    categories: list[str] = []
    for weight_set, words in SET_NAMES.items():
        for experiment in experiments:
            pairs = linear_pairs(experiment, weight_set)
            if not pairs:
                continue
            name, row = optimizer_name(experiment.optimizer), len(categories)
            categories.append(f"{name}\n{words.removesuffix(' set')}")
            barriers = [pair.path.barrier for pair in pairs]
            members = tuple(pair_name(experiment, pair) for pair in pairs)
            marker = marker_of(experiment.optimizer)
            points.append(Points(barriers, spread(len(barriers), row), name, experiment.optimizer, marker, members))
            stored = means(table, "barrier_mean", weight_set=weight_set, method="linear")
            mean = stored.get(experiment.network, {}).get(experiment.optimizer)
            if mean is not None:
                ticks.append((mean, row))
    if not points:
        return None
    if ticks:
        points.append(Points([mean for mean, _ in ticks], [row for _, row in ticks], "mean", "neutral", "tick"))
    values = np.concatenate([np.asarray(mark.x) for mark in points])
    wide = values.min() > 0 and values.max() / values.min() > 100
    x = Axis("Barrier", loss_unit(experiments[0].ensemble), "log" if wide else "linear")
    return Panel(title, x, Axis("Weight set", "", categories=tuple(categories)), tuple(points))


def bound_on_passes(stages: Iterable[Mapping[str, Any]]) -> str:
    """What a height says of the pass, in a sentence.

    Args:
        stages: how paths were searched, as in the configuration. A tolerance of 0 takes heights at the points alone.

    Example:
        >>> bound_on_passes([{"method": "fourier"}])
        'A height is an upper bound on the pass: a longer search can only lower it.'
    """
    pointwise = [how.get("options", {}).get("tolerance") == 0 for how in stages]
    if not any(pointwise):
        return "A height is an upper bound on the pass: a longer search can only lower it."
    which = "" if all(pointwise) else " of a stage with a tolerance of 0"
    return (
        f"A height{which} is the highest loss at the points of the path, above which it may rise between them; a "
        "longer search can lower it."
    )
