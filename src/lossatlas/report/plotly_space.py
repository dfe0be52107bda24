"""Panels with three axes as Plotly draws them."""

from __future__ import annotations

import plotly.graph_objects as go

from lossatlas.report.figure import Axis, Panel
from lossatlas.report.marks import Relief, SpaceLine
from lossatlas.report.palette import colour_of

__all__ = ["scene", "space_trace"]

_INK = "#30353a"


def space_trace(mark: Relief | SpaceLine, panel: Panel) -> go.Surface | go.Scatter3d:
    """One mark of a panel in space."""
    axes = (("x", panel.x), ("y", panel.y), ("z", panel.z))
    where = [f"{axis.label}: %{{{letter}:.4g}} {axis.unit}".rstrip() for letter, axis in axes if axis is not None]
    if isinstance(mark, Relief):
        return go.Surface(
            x=mark.x,
            y=mark.y,
            z=mark.z,
            name=mark.label,
            colorscale="Viridis",
            colorbar={"title": {"text": mark.text, "side": "right"}, "thickness": 12, "len": 0.8},
            hovertemplate="<br>".join(where) + "<extra></extra>",
            connectgaps=False,
            opacity=0.92,
        )
    colour = colour_of(mark.role)
    name = f"{mark.label}, %{{text}}" if mark.members else mark.label
    return go.Scatter3d(
        x=mark.x,
        y=mark.y,
        z=mark.z,
        mode="lines+markers",
        name=mark.label,
        legendgroup=mark.label,
        line={"color": colour, "width": 5},
        marker={"color": colour, "size": 2.5},
        text=list(mark.members) or None,
        hovertemplate="<br>".join([name, *where]) + "<extra></extra>",
    )


def scene(panel: Panel) -> dict[str, object]:
    """Axes of a panel in space, as wide as high, seen from above a corner."""

    def side(axis: Axis | None) -> dict[str, object]:
        if axis is None:  # panels in space have all three; this is for the type checker
            raise AssertionError
        return {
            "title": {"text": axis.text},
            "type": axis.scale,
            "color": _INK,
            "gridcolor": "rgba(128,134,140,0.35)",
            "backgroundcolor": "rgba(0,0,0,0)",
            "zeroline": False,
            "exponentformat": "power",
            "nticks": 6,
        }

    return {
        "xaxis": side(panel.x),
        "yaxis": side(panel.y),
        "zaxis": side(panel.z),
        "aspectmode": "manual",
        "aspectratio": {"x": 1.0, "y": 1.0, "z": 0.75},
        "camera": {"eye": {"x": 1.25, "y": -1.45, "z": 1.0}},
        # The page's own way of dragging draws boxes.
        "dragmode": "turntable",
    }
