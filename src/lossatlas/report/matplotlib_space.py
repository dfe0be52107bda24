"""Panels with three axes as matplotlib draws them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from mpl_toolkits.mplot3d.axes3d import Axes3D

from lossatlas.report.figure import Panel
from lossatlas.report.marks import Relief, SpaceLine
from lossatlas.report.palette import colour_of

__all__ = ["draw_space"]

# As Plotly's camera looks at them.
_ELEVATION, _AZIMUTH = 32.0, -52.0


def draw_space(axes: Axes, panel: Panel, canvas: Canvas) -> None:
    """Draw the marks of a panel in space and name its axes.

    Args:
        axes: made with ``projection="3d"``.
        panel: with a third axis.
        canvas: gets the colour bar.
    """
    if not isinstance(axes, Axes3D) or panel.z is None:  # the caller makes both; this is for the type checker
        raise AssertionError
    for mark in panel.marks:
        if isinstance(mark, Relief):
            x, y = np.meshgrid(np.asarray(mark.x), np.asarray(mark.y))
            z = np.asarray(mark.z)
            low, high = float(np.nanmin(z)), float(np.nanmax(z))
            drawn = axes.plot_surface(
                x,
                y,
                z,
                cmap="viridis",
                vmin=low,
                vmax=high,
                rcount=z.shape[0],
                ccount=z.shape[1],
                linewidth=0,
                alpha=0.9,
            )
            drawn.set_rasterized(True)
            canvas.colorbar(drawn, ax=axes, label=mark.text, shrink=0.6, pad=0.12)
        elif isinstance(mark, SpaceLine):
            axes.plot(
                np.asarray(mark.x),
                np.asarray(mark.y),
                np.asarray(mark.z),
                color=colour_of(mark.role),
                linewidth=1.6,
                marker=".",
                markersize=3,
                label=mark.label,
                zorder=10,
            )
    axes.set(xlabel=panel.x.text, ylabel=panel.y.text, zlabel=panel.z.text)
    axes.set_box_aspect((1, 1, 0.75))
    axes.view_init(elev=_ELEVATION, azim=_AZIMUTH)
    for axis in ("x", "y", "z"):
        axes.locator_params(axis=axis, nbins=5)
