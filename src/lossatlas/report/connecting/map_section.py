"""The map: contours of a landscape of two coordinates with the paths drawn on them."""

from __future__ import annotations

from lossatlas.report.blocks import Section
from lossatlas.report.connecting.words import pair_name
from lossatlas.report.figure import Figure
from lossatlas.report.marks import Mark, Points
from lossatlas.report.routes import course, map_panel, named_points
from lossatlas.study.connection import Connection
from lossatlas.study.connection_tables import path_words

__all__ = ["build"]


def build(connection: Connection) -> Section | None:
    """Draw the paths on the landscape; None where it has not two coordinates."""
    if connection.surface is None or connection.points is None:
        return None
    marks: list[Mark] = []
    heights: list[float] = []
    tops: dict[str, tuple[float, float]] = {}
    # Lines of one name lie side by side in the list, so that they become one trace.
    for name in ("straight", "found"):
        for route in connection.routes:
            path = route.paths.get(name)
            if path is None or path.points is None:
                continue
            line = course(path, path_words(name, path), name, pair_name(connection, route))
            if line is not None:
                marks.append(line)
            heights.append(path.height)
            if path.saddle is not None and path.saddle.converged and path.saddle.index == 1:
                x, y = path.saddle.x.tolist()
                tops[f"{pair_name(connection, route)}: {path.saddle.value:.9g}"] = (x, y)
    marks.append(named_points(dict(zip(connection.labels, connection.points, strict=True)), "given points"))
    if tops:
        x, y = zip(*tops.values(), strict=True)
        marks.append(Points(x, y, "stationary point of index 1", "pass", "diamond", tuple(tops)))
    word = connection.quantity
    panel = map_panel(connection.surface, marks, heights, title=connection.name, quantity=word, unit=connection.unit)
    caption = (
        f"Contours of the {word.lower()} with the paths drawn on them; dashed: straight lines. Contours end a little "
        "above the highest path."
    )
    if tops:
        caption += " Diamonds: stationary points of index 1 found from the highest points of paths."
    return Section("map", "Map", (Figure("map", "Paths on the landscape", caption, (panel,)),))
