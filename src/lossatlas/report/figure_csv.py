"""The numbers of a figure as CSV, so that nobody has to read them off a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np

from lossatlas.report.figure import Figure
from lossatlas.report.marks import Heatmap, Line, Mark

__all__ = ["figure_csv"]


def _rows(mark: Mark) -> Iterator[tuple[str, float, float, float | None]]:
    """Yield series, x, y and z of every number in a mark."""
    x, y = np.asarray(mark.x), np.asarray(mark.y)
    if isinstance(mark, Heatmap):
        for value, row in zip(y.tolist(), np.asarray(mark.z).tolist(), strict=True):
            for position, z in zip(x.tolist(), row, strict=True):
                yield mark.label, position, value, z
        return
    members = (mark.member,) * x.size if isinstance(mark, Line) else mark.members or ("",) * x.size
    for a, b, member in zip(x.tolist(), y.tolist(), members, strict=True):
        yield f"{mark.label}: {member}" if member else mark.label, a, b, None


def figure_csv(figure: Figure) -> str:
    """Write every number that a figure shows, one per line.

    Args:
        figure: any figure.

    Returns:
        CSV with the columns panel, series, x, y, and z where a panel shows a grid. Floats are the shortest text
        that reads back to the same bits; NaN (a gap) is an empty cell.
    """
    grids = any(isinstance(mark, Heatmap) for panel in figure.panels for mark in panel.marks)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["panel", "series", "x", "y", "z"][: 5 if grids else 4])
    for panel in figure.panels:
        for mark in panel.marks:
            for series, *numbers in _rows(mark):
                cells = ["" if number is None or np.isnan(number) else number for number in numbers]
                writer.writerow([panel.title, series, *cells][: 5 if grids else 4])
    return stream.getvalue()
