"""Traces: marks as Plotly draws them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go

from lossatlas.report.figure import Panel
from lossatlas.report.marks import (
    Contour,
    Heatmap,
    Histogram,
    Line,
    Mark,
    Points,
    Relief,
    ScaleBar,
    SpaceLine,
    VerticalLine,
)
from lossatlas.report.palette import NEUTRAL, colour_of
from lossatlas.report.plotly_space import space_trace

__all__ = ["traces"]

_MARKERS = {
    "circle": "circle",
    "diamond": "diamond",
    "square": "square",
    "triangle": "triangle-up",
    "tick": "line-ns",
    "cross": "x-thin",
}
# Names of single lines are shown on hover; beyond this many numbers they would weigh more than the numbers.
_NAMED_POINTS = 20_000


def _runs(marks: tuple[Mark, ...]) -> Iterator[list[Mark]]:
    """Group neighbouring lines of one label: a trace per line would make a page of 75 replicas crawl."""
    run: list[Mark] = []
    for mark in marks:
        if run and isinstance(mark, Line) and isinstance(run[0], Line) and mark.label == run[0].label:
            run.append(mark)
            continue
        if run:
            yield run
        run = [mark]
    if run:
        yield run


def _lines(lines: list[Line], panel: Panel, named: bool) -> go.Scatter:
    # The gap between two lines is a NaN in y alone: whole numbers in x then stay whole, and small (see panel_json).
    x = np.concatenate([part for line in lines for part in (np.asarray(line.x), np.asarray(line.x)[-1:])][:-1])
    y = np.concatenate([part for line in lines for part in (np.asarray(line.y), [np.nan])][:-1])
    names = [line.member for line in lines for _ in range(np.size(line.x) + 1)][:-1]
    named = named and any(names)
    first = lines[0]
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        name=first.label,
        legendgroup=first.label,
        opacity=0.7 if first.faint else 1.0,
        line={
            "color": colour_of(first.role),
            "width": 1.2 if first.faint else 2,
            "dash": "dash" if first.dashed else "solid",
        },
        text=names if named else None,
        connectgaps=False,
        hovertemplate=_hover(first.label, panel, named=named),
    )


def _hover(label: str, panel: Panel, *, named: bool) -> str:
    name = f"{label}, %{{text}}" if named else label
    # A position on an axis of categories says nothing beyond the name of the point.
    lines = [
        f"{axis.label}: %{{{letter}:.4g}} {axis.unit}".rstrip()
        for letter, axis in (("x", panel.x), ("y", panel.y))
        if not axis.categories
    ]
    return "<br>".join([name, *lines]) + "<extra></extra>"


def _points(points: Points, panel: Panel) -> go.Scatter:
    thin = points.marker in ("tick", "cross")
    colour = colour_of(points.role)
    return go.Scatter(
        x=points.x,
        y=points.y,
        mode="markers+text" if points.named else "markers",
        textposition="top right",
        name=points.label,
        legendgroup=points.label,
        marker={
            "symbol": _MARKERS[points.marker],
            "color": colour,
            "size": {"tick": 18, "cross": 5}.get(points.marker, 8),
            "line": {
                "width": (2.5 if points.marker == "tick" else 1.5) if thin else 1,
                "color": colour if thin else "white",
            },
        },
        # The page gives outlines the colour of its paper, light or dark.
        meta=None if thin else "outlined",
        text=list(points.members) or None,
        hovertemplate=_hover(points.label, panel, named=bool(points.members)),
    )


def _histogram(mark: Histogram, panel: Panel) -> go.Scatter:
    colour = colour_of(mark.role)
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return go.Scatter(
        x=mark.x,
        y=mark.y,
        mode="lines",
        name=mark.label,
        legendgroup=mark.label,
        line={"color": colour, "width": 2, "dash": "dash" if mark.dashed else "solid"},
        fill="tozeroy",
        # So faint that the sets behind are seen.
        fillcolor=f"rgba({red},{green},{blue},{0.06 if mark.dashed else 0.14})",
        hovertemplate=_hover(mark.label, panel, named=False),
    )


def _vertical(mark: VerticalLine, panel: Panel) -> go.Scatter:
    low, high = _extent(panel)
    # Between its ends too, so that a pointer finds it anywhere.
    y = np.geomspace(low, high, 9) if panel.y.scale == "log" else np.linspace(low, high, 9)
    return go.Scatter(
        x=np.full(9, mark.at),
        y=y,
        mode="lines",
        name=mark.label,
        legendgroup=mark.label,
        line={"color": colour_of(mark.role), "width": 2, "dash": "dot" if mark.dotted else "dash"},
        hovertemplate=f"{mark.label}<br>{panel.x.label}: %{{x:.4g}} {panel.x.unit}".rstrip() + "<extra></extra>",
    )


def _extent(panel: Panel) -> tuple[float, float]:
    """Heights between which a vertical line runs: those of everything else in the panel."""
    if panel.y.categories:
        return -0.5, len(panel.y.categories) - 0.5
    values = np.concatenate([np.asarray(mark.y, dtype=np.float64) for mark in panel.marks])
    values = values[np.isfinite(values)]
    if not values.size or values.min() == values.max():
        return (1.0, 10.0) if panel.y.scale == "log" else (0.0, 1.0)
    return float(values.min()), float(values.max())


def _grid(mark: Heatmap, panel: Panel) -> go.Contour | go.Heatmap:
    shared = {
        "x": mark.x,
        "y": mark.y,
        "z": mark.shown,
        "name": mark.label,
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": mark.text, "side": "right"}, "thickness": 12},
        "hovertemplate": f"{panel.x.label}: %{{x:.4g}}<br>{panel.y.label}: %{{y:.4g}}<br>{mark.text}: %{{z:.4g}}"
        "<extra></extra>",
    }
    if isinstance(mark, Contour):
        low, high = float(mark.levels[0]), float(mark.levels[-1])
        contours = {"coloring": "lines", "start": low, "end": high, "size": float(mark.levels[1]) - low}
        return go.Contour(
            **shared, zmin=low, zmax=high, autocontour=False, contours=contours, line={"width": 1.1}, opacity=0.7
        )
    return go.Heatmap(**shared)


def _scale_bar(bar: ScaleBar) -> go.Scatter:
    return go.Scatter(
        x=bar.x,
        y=bar.y,
        mode="lines+text",
        name=bar.label,
        showlegend=False,
        meta="scale bar",
        line={"color": NEUTRAL, "width": 4},
        text=["", bar.text, ""],
        textposition="top right",
        textfont={"color": NEUTRAL, "size": 13},
        hovertemplate=f"{bar.text}<extra></extra>",
    )


def traces(panel: Panel) -> Iterator[go.Scatter | go.Contour | go.Heatmap | go.Surface | go.Scatter3d]:
    """Draw the marks of a panel, back to front; neighbouring lines of one label become one trace."""
    named = sum(np.size(mark.x) for mark in panel.marks) <= _NAMED_POINTS
    for run in _runs(panel.marks):
        lines = [mark for mark in run if isinstance(mark, Line)]
        mark = run[0]
        if lines:
            yield _lines(lines, panel, named)
        elif isinstance(mark, Points):
            yield _points(mark, panel)
        elif isinstance(mark, Histogram):
            yield _histogram(mark, panel)
        elif isinstance(mark, VerticalLine):
            yield _vertical(mark, panel)
        elif isinstance(mark, Heatmap):
            yield _grid(mark, panel)
        elif isinstance(mark, Relief | SpaceLine):
            yield space_trace(mark, panel)
        elif isinstance(mark, ScaleBar):
            yield _scale_bar(mark)
