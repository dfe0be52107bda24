"""Figures on a screen: interactive, by Plotly."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Array, Contour, Heatmap, Line, Mark, Points
from lossatlas.report.palette import colour_of
from lossatlas.report.wording import number

__all__ = ["draw", "panel_json", "standalone_html"]

_MARKERS = {"circle": "circle", "diamond": "diamond", "square": "square", "triangle": "triangle-up", "tick": "line-ns"}
# Without the second, a button would offer to send the data to a company's server.
_CONFIG = {"displaylogo": False, "showSendToCloud": False, "responsive": True}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
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
    tick = points.marker == "tick"
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
            "size": 18 if tick else 8,
            "line": {"width": 2.5 if tick else 1, "color": colour if tick else "white"},
        },
        # The page gives outlines the colour of its paper, light or dark.
        meta=None if tick else "outlined",
        text=list(points.members) or None,
        hovertemplate=_hover(points.label, panel, named=bool(points.members)),
    )


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


def _traces(panel: Panel) -> Iterator[go.Scatter | go.Contour | go.Heatmap]:
    named = sum(np.size(mark.x) for mark in panel.marks) <= _NAMED_POINTS
    for run in _runs(panel.marks):
        lines = [mark for mark in run if isinstance(mark, Line)]
        mark = run[0]
        if lines:
            yield _lines(lines, panel, named)
        elif isinstance(mark, Points):
            yield _points(mark, panel)
        elif isinstance(mark, Heatmap):
            yield _grid(mark, panel)


def _log_ticks(values: list[Array]) -> dict[str, object]:
    """Labels of a logarithmic axis: left alone, Plotly crowds them, or writes 5 where it means 0.005."""
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    low, high = float(finite.min()), float(finite.max())
    decades = math.log10(high / low)
    if decades > 2.2:
        return {"tickmode": "linear", "tick0": 0, "dtick": math.ceil(decades / 6)}
    if decades < 0.3:
        return {}
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5, 7), (1, 2, 5)):
        ticks = [digit * 10.0**power for power in powers for digit in digits]
        ticks = [tick for tick in ticks if 0.9 * low <= tick <= 1.1 * high]
        if len(ticks) <= 6:
            break
    return {"tickmode": "array", "tickvals": ticks, "ticktext": [number(tick, 2) for tick in ticks]}


def _axis(axis: Axis, letter: str, panel: Panel) -> dict[str, object]:
    values = [np.asarray(getattr(mark, letter)) for mark in panel.marks]
    layout: dict[str, object] = {
        "title": {"text": axis.text, "standoff": 8},
        "type": axis.scale,
        "automargin": True,
        "zeroline": False,
        "showline": True,
        "linecolor": "#8b929a",
        "gridcolor": "rgba(128,134,140,0.22)",
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": "#8b929a",
        "exponentformat": "power",
    }
    if axis.scale == "log":
        layout |= _log_ticks(values)
    if axis.categories:
        span = [-0.6, len(axis.categories) - 0.4]
        named = [(position, name) for position, name in enumerate(axis.categories) if name]
        layout |= {
            "tickvals": [position for position, _ in named],
            "ticktext": [name.replace("\n", "<br>") for _, name in named],
            "range": span[::-1] if letter == "y" else span,
            "showgrid": False,
        }
    return layout


def _equalize(canvas: go.Figure, row: int, column: int) -> None:
    """Give a unit one length on both axes of a panel; the panel shrinks rather than show more than there is."""
    across = next(canvas.select_xaxes(row=row, col=column)).plotly_name.replace("axis", "")
    canvas.update_xaxes(constrain="domain", constraintoward="left", row=row, col=column)
    canvas.update_yaxes(scaleanchor=across, scaleratio=1, constrain="domain", row=row, col=column)


def draw(figure: Figure, *, only: int | None = None) -> go.Figure:
    """Draw a figure with Plotly.

    Args:
        figure: any figure.
        only: draw this panel alone, without titles: the page lays panels out by itself.

    Returns:
        A Plotly figure; one legend entry per label, switching all panels together.
    """
    panels = figure.panels if only is None else (figure.panels[only],)
    columns = min(figure.columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    titles = [panel.title for panel in panels] if only is None else None
    canvas = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=titles,
        vertical_spacing=min(0.1, 0.32 / rows),
        horizontal_spacing=0.16 if columns > 1 else 0.0,
    )
    seen: set[str] = set()
    for index, panel in enumerate(panels):
        row, column = index // columns + 1, index % columns + 1
        for trace in _traces(panel):
            if isinstance(trace, go.Scatter):
                trace.showlegend = trace.name not in seen
                seen.add(trace.name)
            canvas.add_trace(trace, row=row, col=column)
        canvas.update_xaxes(_axis(panel.x, "x", panel), row=row, col=column)
        canvas.update_yaxes(_axis(panel.y, "y", panel), row=row, col=column)
        if panel.equal:
            _equalize(canvas, row, column)
    canvas.update_layout(
        template="none",
        font={"family": _FONT, "size": 12, "color": "#30353a"},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hovermode="closest",
        margin={"l": 8, "r": 12, "t": 10, "b": 8},
    )
    if only is None:
        canvas.update_layout(
            title={"text": figure.title, "x": 0.5},
            height=(480 if any(panel.equal for panel in figure.panels) else 320) * rows + 160,
            margin={"l": 60, "r": 20, "t": 80, "b": 90},
            legend={
                "orientation": "h",
                "yref": "container",
                "y": 0,
                "yanchor": "bottom",
                "x": 0.5,
                "xanchor": "center",
            },
        )
    return canvas


def _compact(values: object) -> object:
    """Store numbers in as few bytes as a screen can tell apart."""
    if not isinstance(values, np.ndarray) or values.dtype != np.float64:
        return values
    whole = np.isfinite(values).all() and (values == np.round(values)).all() and np.abs(values).max() < 2**15
    return values.astype(np.int16) if whole else values.astype(np.float32)


def panel_json(figure: Figure, index: int) -> str:
    """One panel as the JSON that Plotly's script draws.

    Args:
        figure: any figure.
        index: which panel.

    Returns:
        ``{"data": [...], "layout": {...}}``, arrays in single precision, without a legend: the page has its own.
    """
    canvas = draw(figure, only=index)
    for trace in canvas.data:
        for name in sorted({"x", "y", "z"} & set(trace)):
            values = trace[name]
            # Plotly keeps what it has when the new values are equal, whatever their type.
            trace[name] = None
            trace[name] = _compact(values)
    canvas.update_layout(showlegend=False, template=None)
    text: str = canvas.to_json()
    return text


def standalone_html(figure: Figure) -> str:
    """An interactive page of one figure that needs no network."""
    page: str = draw(figure).to_html(include_plotlyjs=True, config=_CONFIG)
    return page
