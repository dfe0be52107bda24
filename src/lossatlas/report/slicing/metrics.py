"""Whatever else was measured at the points of a surface."""

from __future__ import annotations

from lossatlas.report.blocks import Section
from lossatlas.report.figure import Figure, Panel
from lossatlas.report.surfaces import map_of, volume_panels
from lossatlas.report.wording import listing, slugs
from lossatlas.study.slicing import Slicing

__all__ = ["build"]


def build(found: Slicing) -> Section | None:
    """Draw one map per metric; None where nothing else was measured, or along a line, where the curves show it."""
    surface = found.surface
    drawable = [name for name, values in surface.metrics.items() if bool(values.isfinite().any())]
    if len(surface.axes) == 1 or not drawable:
        return None
    if len(surface.axes) == 2:
        panels: tuple[Panel, ...] = tuple(map_of(surface, name, found.traces, found.places) for name in drawable)
        caption = f"{listing([name.capitalize() for name in drawable])} at the points of the surface."
        figures = [Figure("metrics", "Other figures on the surface", caption, panels, columns=min(2, len(panels)))]
    else:
        names = slugs(drawable)
        figures = [
            Figure(f"metric-{names[name]}", name.capitalize(), f"{name.capitalize()} in the volume.", layers, columns=2)
            for name in drawable
            if (layers := volume_panels(surface, name))
        ]
    return Section("metrics", "Other figures", tuple(figures))
