"""Loss along the paths of every pair."""

from __future__ import annotations

import math

from lossatlas.core.path import Path
from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.connecting.words import pair_name
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Mark, Points
from lossatlas.report.routes import arc_axis, highest_point, profile_line
from lossatlas.study.connection import Connection, Route
from lossatlas.study.connection_tables import path_table, path_words, point_table

__all__ = ["build"]

# More panels than these nobody reads; the table has all pairs.
_PANELS = 12
_DECADES = 100


def build(connection: Connection) -> Section | None:
    """Show the points, the loss along the paths, and the table of heights and barriers."""
    if not connection.routes:
        return None
    intro = Prose(
        "The height of a path is the highest value on it; its barrier is the height above the higher end. Two points "
        "lie in one basin if some path between them has no barrier."
    )
    figure = _figure(connection)
    blocks: list[Block] = [intro, point_table(connection)]
    blocks += [] if figure is None else [figure]
    return Section("paths", "Paths", (*blocks, path_table(connection)))


def _figure(connection: Connection) -> Figure | None:
    drawable = [route for route in connection.routes if _finite(route.paths["straight"]) or _finite(route.best)]
    chosen = sorted(drawable, key=lambda route: -_rank(route.best.height))[:_PANELS]
    if not chosen:
        return None
    panels = tuple(_panel(connection, route) for route in chosen)
    caption = f"{connection.quantity} along every path of a pair against the way walked"
    kinds = {name for route in chosen for name in route.paths}
    if "straight aligned" in kinds:
        caption += "; aligned: to the end with its hidden units in the order of the start's"
    caption += ". Diamonds mark the highest points, refined between the samples where that converged."
    if len(chosen) < len(connection.routes):
        caption += f" The {len(chosen)} highest of {len(connection.routes)} pairs are drawn."
    return Figure("profiles", f"{connection.quantity} along the paths", caption, panels, columns=min(2, len(panels)))


def _panel(connection: Connection, route: Route) -> Panel:
    lines: list[Mark] = []
    tops: list[Mark] = []
    paths = {name: path for name, path in route.paths.items() if _finite(path)}
    for name, path in paths.items():
        words = path_words(name, path)
        lines.append(profile_line(path, words, name))
        at, height = highest_point(path)
        if math.isfinite(height):
            tops.append(Points([at], [height], "highest point", name, "diamond", (words,)))
    return Panel(pair_name(connection, route), arc_axis(), _axis(connection, list(paths.values())), (*lines, *tops))


def _axis(connection: Connection, paths: list[Path]) -> Axis:
    values = [float(v) for path in paths for v in path.loss if math.isfinite(v)]
    values += [path.height for path in paths if math.isfinite(path.height)]
    wide = min(values) > 0 and max(values) > _DECADES * min(values)
    return Axis(connection.quantity, connection.unit, "log" if wide else "linear")


def _finite(path: Path) -> bool:
    return bool(path.loss.isfinite().any())


def _rank(height: float) -> float:
    return height if math.isfinite(height) else math.inf
