"""Tables of a surface: its directions, the points marked on it, and the runs beside it."""

from __future__ import annotations

import math

from lossatlas.core.table import Column, Table
from lossatlas.study.slicing import Slicing

__all__ = ["slicing_tables"]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _directions(found: Slicing) -> Table:
    plane = found.surface.plane
    unit = "|w|" if plane.weight_norm else ""
    explained, null = plane.details.get("explained"), plane.details.get("null")
    cosines = plane.gram / (plane.lengths[:, None] * plane.lengths)
    rows = []
    for k, name in enumerate(plane.names):
        low, high = found.surface.window[k]
        others = [abs(float(cosines[k, j])) for j in range(plane.count) if j != k]
        variance = [] if explained is None or null is None else [100 * explained[k], 100 * null[k]]
        scale = found.surface.scale[k]
        rows.append((name, low, high, scale, (high - low) * scale, max(others, default=None), *variance))
    by_chance = " Variance explained of the run, beside that of a random walk of as many points." if explained else ""
    return Table(
        "directions",
        "The directions",
        "Lengths are in units of |w|, the length of the weights at the origin, or absolute where those are zero. "
        f"Cosine: of the angle to the nearest other direction.{by_chance}",
        (
            Column("direction", "Direction"),
            Column("low", "From", "", ".4g"),
            Column("high", "To", "", ".4g"),
            Column("unit", "Length of 1", unit, ".4g"),
            Column("width", "Width", unit, ".4g"),
            Column("cosine", "Cosine", "", ".2g"),
            *(
                (Column("explained", "Variance explained", "%", ".1f"), Column("null", "Random walk", "%", ".1f"))
                if explained
                else ()
            ),
        ),
        tuple(rows),
    )


def _points(found: Slicing) -> Table:
    axes = tuple(
        Column(f"coordinate_{k + 1}", f"Coordinate {k + 1}", "", ".4g") for k in range(found.surface.plane.count)
    )
    rows = tuple(
        (name, *seen.coordinates.tolist(), float(seen.residuals), float(seen.outside), loss)
        for (name, seen), loss in zip(found.points.items(), found.losses, strict=True)
    )
    return Table(
        "points",
        "The points",
        "Where the plane shows them, how far from it they are, and the loss at the points themselves.",
        (
            Column("point", "Point"),
            *axes,
            Column("residual", "Distance from the plane", "", ".3g"),
            Column("outside", "Part off the plane", "", ".3f"),
            Column("loss", "Value", found.unit, ".6g"),
        ),
        rows,
    )


def _runs(found: Slicing) -> Table:
    rows = tuple(
        (
            each.name,
            len(each.losses),
            _finite(float(each.losses[0])),
            _finite(float(each.losses[-1])),
            float(each.projection.residuals.max()),
            each.outside,
            _finite(float(each.error.abs().max())),
        )
        for each in found.traces
    )
    return Table(
        "runs",
        "The runs",
        "Losses at the points of each run; how far it leaves the plane, also as a part of its largest distance from "
        "the origin; and by how much the loss of the plane differs from that of the run at the worst point.",
        (
            Column("run", "Run"),
            Column("points", "Points", "", "d"),
            Column("start", "First loss", found.unit, ".4g"),
            Column("end", "Last loss", found.unit, ".4g"),
            Column("residual", "Largest distance from the plane", "", ".3g"),
            Column("outside", "Part off the plane", "", ".3f"),
            Column("error", "Largest error of the loss", found.unit, ".3g"),
        ),
        rows,
    )


def slicing_tables(found: Slicing) -> tuple[Table, ...]:
    """All tables of a surface that have rows."""
    return tuple(table for table in (_directions(found), _points(found), _runs(found)) if table.rows)
