"""The numbers of a figure as CSV, so that nobody has to read them off a picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from lossatlas.report.figure import Figure
from lossatlas.report.marks import Heatmap, Histogram, Mark, Points, Relief, ScaleBar, SpaceLine, VerticalLine

__all__ = ["figure_csv"]

_Row: TypeAlias = tuple[str, dict[str, float]]


def _rows(mark: Mark) -> Iterator[_Row]:
    """Yield the series and the numbers by column of everything in a mark."""
    if isinstance(mark, Heatmap | Relief):
        yield from _grid(mark)
    elif isinstance(mark, Histogram):
        yield from _histogram(mark)
    elif isinstance(mark, VerticalLine):
        yield mark.label, {"x": mark.at}
    elif isinstance(mark, SpaceLine):
        names = mark.members or ("",) * np.size(mark.x)
        for *place, member in zip(*(np.asarray(v).tolist() for v in (mark.x, mark.y, mark.z)), names, strict=True):
            yield f"{mark.label}: {member}" if member else mark.label, dict(zip("xyz", place, strict=True))
    elif isinstance(mark, ScaleBar):
        for a, b in zip(mark.x.tolist(), mark.y.tolist(), strict=True):
            yield mark.label, {"x": a, "y": b}
    else:
        x, y = np.asarray(mark.x), np.asarray(mark.y)
        members = mark.members or ("",) * x.size if isinstance(mark, Points) else (mark.member,) * x.size
        for a, b, member in zip(x.tolist(), y.tolist(), members, strict=True):
            yield f"{mark.label}: {member}" if member else mark.label, {"x": a, "y": b}


def _grid(mark: Heatmap | Relief) -> Iterator[_Row]:
    for y, row in zip(np.asarray(mark.y).tolist(), np.asarray(mark.z).tolist(), strict=True):
        for x, z in zip(np.asarray(mark.x).tolist(), row, strict=True):
            yield mark.label, {"x": x, "y": y, "z": z}


def _histogram(mark: Histogram) -> Iterator[_Row]:
    edges, values = np.asarray(mark.edges).tolist(), np.asarray(mark.values).tolist()
    for low, high, count in zip(edges[:-1], edges[1:], mark.counts.tolist(), strict=True):
        yield mark.label, {"x": low, "x_end": high, "y": count}
    for value, member in zip(values, mark.members or ("one value",) * len(values), strict=True):
        yield f"{mark.label}: {member}", {"x": value}


def figure_csv(figure: Figure) -> str:
    """Write every number that a figure shows, one per line.

    Args:
        figure: any figure.

    Returns:
        CSV with the columns panel, series, x, y, and z where a panel shows a grid or has three axes. A scale bar
        gives its three corners. A histogram gives a line for every
        bin, from x to x_end with the count in y, then one for every value, with it in x. Floats are the shortest text
        that reads back to the same bits; NaN (a gap) is an empty cell.
    """
    marks = [mark for panel in figure.panels for mark in panel.marks]
    columns = ["x", "y"]
    columns += ["z"] if any(isinstance(mark, Heatmap | Relief | SpaceLine) for mark in marks) else []
    columns += ["x_end"] if any(isinstance(mark, Histogram) for mark in marks) else []
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["panel", "series", *columns])
    for panel in figure.panels:
        for mark in panel.marks:
            for series, numbers in _rows(mark):
                cells = [numbers.get(column, math.nan) for column in columns]
                writer.writerow([panel.title, series, *("" if math.isnan(cell) else cell for cell in cells)])
    return stream.getvalue()
