"""Figures on a screen: interactive, by Plotly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Array, Histogram
from lossatlas.report.plotly_space import scene
from lossatlas.report.plotly_traces import traces
from lossatlas.report.wording import number

__all__ = ["draw", "panel_json", "standalone_html"]

# Without the second, a button would offer to send the data to a company's server.
_CONFIG = {"displaylogo": False, "showSendToCloud": False, "responsive": True}
# Labels that a panel of half the page's width holds beside each other.
_TICKS = 6
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


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
    for digits in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3)):
        ticks = {digit * 10.0**power: digit for power in powers for digit in digits}
        ticks = {tick: digit for tick, digit in ticks.items() if 0.9 * low <= tick <= 1.1 * high}
        if len(ticks) <= _TICKS:
            break
    texts = [number(tick, 2 if 1.5 in ticks.values() else 1) for tick in ticks]
    return {"tickmode": "array", "tickvals": list(ticks), "ticktext": texts, "tickangle": 0}


def _roomy(values: list[Array], axis: Axis) -> list[float]:
    """Range of an axis with room at its ends: Plotly leaves none beside lines, and cuts the outline of a histogram."""
    every = np.concatenate(values)
    ends = np.array([0.0 if axis.zero else every.min(), every.max()])
    low, high = (np.log10(ends) if axis.scale == "log" else ends).tolist()
    room = 0.03 * (high - low)
    return [low if axis.zero else low - room, high + room]


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
    if axis.zero:
        layout["rangemode"] = "tozero"
    counts = [mark.counts.max() for mark in panel.marks if isinstance(mark, Histogram)]
    if counts and letter == "y" and max(counts) <= 5:
        # There are no halves of them.
        layout["dtick"] = 1
    elif counts and letter == "x":
        layout["range"] = _roomy(values, axis)
        # The zero of the counts stands at the corner, where a label of this axis may stand too.
        layout["ticklabelstandoff"] = 6
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


def _kinds(panels: Sequence[Panel], rows: int, columns: int) -> list[list[dict[str, str] | None]]:
    """Which cells of the grid are drawn in space; a cell without a panel has no axes."""
    cells: list[dict[str, str] | None] = [{"type": "xy" if panel.z is None else "scene"} for panel in panels]
    cells += [None] * (rows * columns - len(cells))
    return [cells[row * columns : (row + 1) * columns] for row in range(rows)]


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
        specs=_kinds(panels, rows, columns),
        vertical_spacing=min(0.1, 0.32 / rows),
        horizontal_spacing=0.16 if columns > 1 else 0.0,
    )
    seen: set[str] = set()
    for index, panel in enumerate(panels):
        row, column = index // columns + 1, index % columns + 1
        for trace in traces(panel):
            if isinstance(trace, go.Scatter | go.Scatter3d) and trace.meta != "scale bar":
                trace.showlegend = trace.name not in seen
                seen.add(trace.name)
            canvas.add_trace(trace, row=row, col=column)
        if panel.z is not None:
            canvas.update_scenes(scene(panel), row=row, col=column)
            continue
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
            height=(480 if any(panel.equal or panel.z is not None for panel in figure.panels) else 320) * rows + 160,
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


def _pack_names(trace: go.Scatter | go.Contour | go.Heatmap) -> None:
    """Store the name of a line once instead of at each of its points; the page's script unpacks it."""
    if isinstance(trace, go.Scatter) and trace.mode == "lines" and trace.text is not None:
        runs = [[name, len(list(points))] for name, points in groupby(trace.text)]
        trace.text, trace.customdata = None, runs


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
        _pack_names(trace)
    canvas.update_layout(showlegend=False, template=None)
    text: str = canvas.to_json()
    return text


def standalone_html(figure: Figure) -> str:
    """An interactive page of one figure that needs no network."""
    page: str = draw(figure).to_html(include_plotlyjs=True, config=_CONFIG)
    return page
