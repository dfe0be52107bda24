"""Figures on paper: PNG, SVG and PDF by matplotlib."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Contour, Heatmap, Histogram, Line, Mark, Points, ScaleBar, VerticalLine
from lossatlas.report.matplotlib_space import draw_space
from lossatlas.report.palette import NEUTRAL, colour_of

__all__ = ["draw", "render", "render_all"]

_MARKERS = {"circle": "o", "diamond": "D", "square": "s", "triangle": "^", "tick": "|", "cross": "x"}
_DASHES = (0, (4, 2))
# Any: matplotlib types the keys of its settings as one literal of several hundred names.
_STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5b6168",
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e5e8",
    "grid.linewidth": 0.6,
    "xtick.color": "#5b6168",
    "ytick.color": "#5b6168",
    "legend.frameon": False,
    # Fixed salt, and no date below: the same figure gives the same bytes.
    "svg.hashsalt": "lossatlas",
    "svg.fonttype": "path",
}


def _draw_mark(axes: Axes, mark: Mark, canvas: Canvas) -> None:
    if isinstance(mark, Line):
        axes.plot(
            np.asarray(mark.x),
            np.asarray(mark.y),
            color=colour_of(mark.role),
            linestyle=_DASHES if mark.dashed else "-",
            linewidth=0.9 if mark.faint else 1.5,
            alpha=0.6 if mark.faint else 1.0,
            label=mark.label,
        )
    elif isinstance(mark, Points):
        thin = mark.marker in ("tick", "cross")
        axes.plot(
            np.asarray(mark.x),
            np.asarray(mark.y),
            linestyle="none",
            marker=_MARKERS[mark.marker],
            color=colour_of(mark.role),
            markersize={"tick": 12, "cross": 3}.get(mark.marker, 5),
            markeredgecolor=colour_of(mark.role) if thin else "white",
            markeredgewidth={"tick": 2.0, "cross": 0.9}.get(mark.marker, 0.6),
            label=mark.label,
            zorder=3,
        )
        _write_names(axes, mark)
    elif isinstance(mark, Histogram):
        colour = colour_of(mark.role)
        axes.fill(mark.x, mark.y, color=colour, alpha=0.06 if mark.dashed else 0.14, linewidth=0)
        axes.plot(
            mark.x, mark.y, color=colour, linestyle=_DASHES if mark.dashed else "-", linewidth=1.5, label=mark.label
        )
    elif isinstance(mark, VerticalLine):
        style = ":" if mark.dotted else _DASHES
        axes.axvline(mark.at, color=colour_of(mark.role), linestyle=style, linewidth=1.6, label=mark.label)
    elif isinstance(mark, Contour):
        drawn = axes.contour(
            np.asarray(mark.x),
            np.asarray(mark.y),
            mark.shown,
            levels=mark.levels,
            cmap="viridis",
            linewidths=0.8,
            alpha=0.7,
        )
        canvas.colorbar(drawn, ax=axes, label=mark.text, shrink=0.9)
    elif isinstance(mark, ScaleBar):
        _draw_scale_bar(axes, mark)
    elif isinstance(mark, Heatmap):
        _draw_heatmap(axes, mark, canvas)


def _draw_scale_bar(axes: Axes, bar: ScaleBar) -> None:
    axes.plot(bar.x, bar.y, color=NEUTRAL, linewidth=2.5, solid_joinstyle="miter", label=f"_{bar.label}", zorder=4)
    text = axes.annotate(bar.text, bar.corner, xytext=(4, 4), textcoords="offset points", color=NEUTRAL, zorder=5)
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _write_names(axes: Axes, points: Points) -> None:
    if not points.named:
        return
    for x, y, name in zip(np.asarray(points.x), np.asarray(points.y), points.members, strict=True):
        text = axes.annotate(
            name, (x, y), xytext=(5, 5), textcoords="offset points", fontweight="bold", zorder=4, annotation_clip=True
        )
        # Readable on top of lines.
        text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _draw_heatmap(axes: Axes, mark: Heatmap, canvas: Canvas) -> None:
    drawn = axes.pcolormesh(np.asarray(mark.x), np.asarray(mark.y), mark.shown, shading="nearest", cmap="viridis")
    drawn.set_rasterized(True)
    canvas.colorbar(drawn, ax=axes, label=mark.text)


def _set_axis(axes: Axes, which: Literal["x", "y"], axis: Axis) -> None:
    if axis.categories:
        named = [(position, name) for position, name in enumerate(axis.categories) if name]
        axes.set(**{f"{which}ticks": [k for k, _ in named], f"{which}ticklabels": [name for _, name in named]})
        axes.set(**{f"{which}lim": (-0.6, len(axis.categories) - 0.4)})
        if which == "y":
            axes.invert_yaxis()
    axes.set(**{f"{which}label": axis.text})
    if axis.scale == "log":
        axes.set(**{f"{which}scale": "log"})
    elif not axis.categories:
        # Long numbers side by side need room.
        axes.locator_params(axis=which, nbins=6 if which == "x" else 8)
    if axis.zero:
        axes.set(**{f"{which}lim": (0, None)})


def _draw_panel(axes: Axes, panel: Panel, canvas: Canvas) -> None:
    axes.set_title(panel.title, loc="left")
    if panel.z is not None:
        draw_space(axes, panel, canvas)
        return
    for mark in panel.marks:
        _draw_mark(axes, mark, canvas)
    _set_axis(axes, "x", panel.x)
    _set_axis(axes, "y", panel.y)
    if any(isinstance(mark, Histogram) for mark in panel.marks):
        # There are no halves of counts.
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if panel.equal:
        axes.set_aspect("equal", adjustable="box")


def draw(figure: Figure) -> Canvas:
    """Draw a figure on a canvas of its own: neither pyplot nor the global style is touched.

    Args:
        figure: any figure.

    Returns:
        A matplotlib figure.
    """
    columns = min(figure.columns, len(figure.panels))
    rows = math.ceil(len(figure.panels) / columns)
    with mpl.rc_context(_STYLE):
        height = 4.4 if any(panel.equal or panel.z is not None for panel in figure.panels) else 2.9
        canvas = Canvas(figsize=(max(4.6 * columns, 5.2), height * rows + 0.7), dpi=150, layout="constrained")
        FigureCanvasAgg(canvas)
        for place, panel in enumerate(figure.panels, 1):
            axes = canvas.add_subplot(rows, columns, place, projection=None if panel.z is None else "3d")
            _draw_panel(axes, panel, canvas)
        canvas.suptitle(figure.title, fontsize=11)
        if figure.legend:
            handles = {
                text: handle
                for axes in canvas.axes
                for handle, text in reversed(list(zip(*axes.get_legend_handles_labels(), strict=True)))
            }
            labels = [entry.label for entry in figure.legend]
            longest = max(len(label) for label in labels)
            fit = max(1, int(14 * 4.6 * columns / (longest + 6) / 1.1))
            canvas.legend(
                [handles[label] for label in labels], labels, loc="outside lower center", ncols=min(fit, len(labels))
            )
    return canvas


def render(figure: Figure, suffix: str) -> bytes:
    """Draw a figure as a file; see :func:`render_all`."""
    return render_all(figure, (suffix,))[suffix]


def render_all(figure: Figure, suffixes: Sequence[str]) -> dict[str, bytes]:
    """Draw a figure once and write it in several formats.

    Args:
        figure: any figure.
        suffixes: some of ``"png"``, ``"svg"`` and ``"pdf"``.

    Returns:
        The bytes of each file by suffix; the same figure gives the same bytes.
    """
    metadata: dict[str, dict[str, str | None]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None, "Title": figure.title},
        "pdf": {"CreationDate": None, "Title": figure.title},
    }
    files = {}
    with mpl.rc_context(_STYLE):
        canvas = draw(figure)
        # Finding room for all labels takes longer than drawing: once is enough.
        canvas.draw_without_rendering()
        canvas.set_layout_engine("none")
        for suffix in suffixes:
            stream = io.BytesIO()
            canvas.savefig(stream, format=suffix, metadata=metadata[suffix], facecolor="white")
            files[suffix] = stream.getvalue()
    return files
