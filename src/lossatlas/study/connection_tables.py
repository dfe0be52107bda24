"""Tables of a connection: the points, the paths, and the averages."""

from __future__ import annotations

import math

from lossatlas.core.path import Path
from lossatlas.core.table import Cell, Column, Table
from lossatlas.paths.refreshed import Score
from lossatlas.study.connection import Connection, PathName

__all__ = ["averaging_table", "connection_tables", "path_table", "path_words", "point_table"]

# Points of more coordinates than these are not shown by them.
_COORDINATES = 3
_METHODS = {"neb": "NEB", "autoneb": "AutoNEB", "bezier": "Bézier", "fourier": "Fourier", "string": "string"}


def path_words(name: PathName, path: Path) -> str:
    """What a path is called.

    Example:
        >>> import torch
        >>> line = Path("linear", torch.zeros(1), torch.zeros(1), 0.0, 0.0, {})
        >>> path_words("straight aligned", line)
        'straight line, aligned'
    """
    straight = name.startswith("straight")
    words = "straight line" if straight else f"{_METHODS.get(path.method, path.method)} path"
    return f"{words}, aligned" if name.endswith("aligned") else words


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def point_table(connection: Connection) -> Table:
    """One row per point: its loss and other figures, its nearest point, the lowest pass to any other."""
    heights = connection.tree.minimax.clone()
    heights.fill_diagonal_(math.inf)
    distances = connection.distances.clone()
    distances.fill_diagonal_(math.inf)
    points = connection.points
    shown = points if points is not None and points.shape[1] <= _COORDINATES else None
    axes = () if shown is None else ("x", "y", "z")[: shown.shape[1]]
    rows: list[tuple[Cell, ...]] = []
    for i, label in enumerate(connection.labels):
        at = [] if shown is None else shown[i].tolist()
        lowest = float(heights[i].min())
        metrics = [float(values[i]) for values in connection.metrics.values()]
        energy = float(connection.energies[i])
        rows.append(
            (label, *at, energy, *metrics, float(distances[i].min()), _finite(lowest), _finite(lowest - energy))
        )
    return Table(
        "points",
        "The points",
        f"{connection.quantity} in float64. The lowest pass is over all chains of known paths, to whichever other "
        "point is reached first; as any path found, it is an upper bound.",
        (
            Column("point", "Point"),
            *(Column(axis, axis, "", ".6g") for axis in axes),
            Column("loss", connection.quantity, connection.unit, ".6g"),
            *(Column(name, name.replace("_", " ").capitalize(), "", ".4f") for name in connection.metrics),
            Column("nearest", "Distance of the nearest", "", ".4g"),
            Column("lowest_pass", "Lowest pass", connection.unit, ".6g"),
            Column("escape", "Above the point", connection.unit, ".4g"),
        ),
        tuple(rows),
    )


_SADDLE = (
    Column("saddle", "Stationary point", "", ".9g"),
    Column("index", "Index", "", "d"),
    Column("connects", "Reaches both ends"),
)


def _saddle_cells(path: Path) -> tuple[Cell, ...]:
    found = path.saddle
    return (None, None, None) if found is None or not found.converged else (found.value, found.index, found.connects)


def path_table(connection: Connection) -> Table:
    """One row per path: its height, its barriers, how sure they are, and what it cost."""
    rows: list[tuple[Cell, ...]] = []
    followed = any(path.saddle is not None for route in connection.routes for path in route.paths.values())
    for route in connection.routes:
        start, end = connection.labels[route.first], connection.labels[route.second]
        for name, path in route.paths.items():
            rows.append(
                (
                    start,
                    end,
                    path_words(name, path),
                    _finite(path.height),
                    _finite(path.barrier),
                    _finite(path.forward_barrier),
                    _finite(path.reverse_barrier),
                    path.refined,
                    path.status,
                    path.distance,
                    path.stretch,
                    path.evaluations.get("gradients", 0),
                    path.evaluations.get("values", 0),
                    *(_saddle_cells(path) if followed else ()),
                )
            )
    return Table(
        "paths",
        "Paths between the points",
        f"Height: highest {connection.quantity.lower()} on the path, refined between the samples where that converged. "
        "Barrier: above the higher end; forward: above the start; reverse: above the end. Stretch: length over "
        "straight distance. Gradients and values: evaluations spent on the search, in units of the whole data set."
        + (" Stationary point: where minimum-mode following from the highest point ended." if followed else ""),
        (
            Column("start", "Start"),
            Column("end", "End"),
            Column("path", "Path"),
            Column("height", "Height", connection.unit, ".6g"),
            Column("barrier", "Barrier", connection.unit, ".4g"),
            Column("forward_barrier", "Forward", connection.unit, ".4g"),
            Column("reverse_barrier", "Reverse", connection.unit, ".4g"),
            Column("refined", "Refined"),
            Column("status", "Search"),
            Column("distance", "Distance", "", ".4g"),
            Column("stretch", "Stretch", "", ".3f"),
            Column("gradients", "Gradients", "", ".0f"),
            Column("values", "Values", "", ".0f"),
            *(_SADDLE if followed else ()),
        ),
        tuple(rows),
    )


def averaging_table(connection: Connection) -> Table | None:
    """One row per pair of networks: losses of both and of their means; None where nothing was averaged."""
    answers = [(route, route.averaging) for route in connection.routes if route.averaging is not None]
    if not answers:
        return None
    means = list(dict.fromkeys(name for _, answer in answers for name in answer.midpoints))
    metrics = list(answers[0][1].raw.metrics)

    def cells(score: Score | None) -> list[Cell]:
        if score is None:
            return [None] * (1 + len(metrics))
        return [_finite(score.loss), *(_finite(score.metrics.get(metric)) for metric in metrics)]

    rows: list[tuple[Cell, ...]] = []
    for route, answer in answers:
        row: list[Cell] = [connection.labels[route.first], connection.labels[route.second], answer.verdict]
        for score in (answer.start, answer.end, *(answer.midpoints.get(name) for name in means)):
            row.extend(cells(score))
        row.append(answer.tolerance)
        rows.append(tuple(row))
    columns = [Column("start", "Start"), Column("end", "End"), Column("verdict", "May they be averaged?")]
    for key, words in (("start", "start"), ("end", "end"), *((name, f"mean, {name}") for name in means)):
        prefix = key.replace(" ", "_")
        columns.append(Column(f"{prefix}_loss", f"Loss, {words}", connection.unit, ".4g"))
        columns.extend(Column(f"{prefix}_{metric}", f"{metric}, {words}".capitalize(), "", ".4f") for metric in metrics)
    columns.append(Column("tolerance", "Tolerance", connection.unit, ".2g"))
    return Table(
        "averaging",
        "Means of two networks",
        "Losses of both networks and of the mean of their weights: as they are (raw), with the second network's hidden "
        "units in the order of the first's (aligned), with normalisation statistics recomputed (refreshed). Yes if the "
        "mean is above the worse of the two by no more than the tolerance: 1 % of the loss of the network with all "
        "weights zero, which is what it has before it learns anything.",
        tuple(columns),
        tuple(rows),
    )


def connection_tables(connection: Connection) -> tuple[Table, ...]:
    """All tables of a connection that have rows."""
    found = (point_table(connection), path_table(connection), averaging_table(connection))
    return tuple(table for table in found if table is not None and table.rows)
