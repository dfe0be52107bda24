"""Surfaces as figures: curves, contours and reliefs, with runs on them and bars that say how long anything is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lossatlas.report.figure import Axis, Figure, Panel, Scale
from lossatlas.report.marks import Contour, Heatmap, Line, Mark, Points, Relief, SpaceLine
from lossatlas.report.surface_parts import (
    caption_of,
    ceiling,
    gaps,
    logarithmic,
    missing,
    named,
    quantity_of,
    role_of,
    scale_bar,
    slice_axis,
)
from lossatlas.report.wording import number
from lossatlas.slices import Surface, Trace

__all__ = ["curve_panels", "map_of", "relief_of", "surface_figure", "volume_panels"]

# Sides of a map may differ by so much before it is stretched.
_STRETCH = 2.5
# Planes shown of a volume.
_LAYERS = 6


def map_of(
    surface: Surface,
    name: str = "loss",
    traces: Sequence[Trace] = (),
    points: Mapping[str, Sequence[float]] | None = None,
    *,
    title: str | None = None,
    levels: tuple[float, float] | None = None,
    within: Surface | None = None,
) -> Panel:
    """Contours of a surface of two directions with runs, points, a scale bar, and what is not finite marked.

    Args:
        surface: of two directions.
        name: ``"loss"`` or a metric.
        traces: runs on the same plane.
        points: by name, their coordinates on the plane.
        title: heading of the panel; None: what is shown.
        levels: lowest and highest contour, in logarithms where those are shown; None: those of the values, without
            walls far above the rest.
        within: what the surface is a layer of; its lengths are shown.

    Raises:
        InputError: no finite value, or an unknown name.
    """
    values = gaps(surface.named(name)).T
    label, unit = named(surface, name)
    finite = values[values.isfinite()]
    x, y = surface.axes
    whole = within or surface
    log = logarithmic(whole.named(name))
    shown = values.log10() if log else values
    top = ceiling(shown)
    if levels is None and top is not None:
        levels = float(shown[shown.isfinite()].min()), top
    grid: Heatmap
    if len(finite) and float(finite.min()) == float(finite.max()):
        grid = Heatmap(x, y, values, label, unit)
    else:
        grid = Contour(x, y, values, label, unit, log=log, span=levels)
    marks: list[Mark] = [grid, *missing(surface, name)]
    for k, each in enumerate(traces):
        a, b = each.projection.coordinates.unbind(-1)
        marks += [Line(a, b, each.name, role_of(each.name, k)), _end(each, k)]
    if points:
        at = torch.tensor(list(points.values()), dtype=torch.float64)
        marks.append(Points(at[:, 0], at[:, 1], "given points", "neutral", members=tuple(points), named=True))
    marks.append(scale_bar(whole))
    sides = [high - low for low, high in surface.window]
    lengths = [side * size for side, size in zip(sides, whole.scale, strict=False)]
    equal = max(sides) < _STRETCH * min(sides) and max(lengths) < _STRETCH * min(lengths)
    return Panel(title or label, slice_axis(whole, 0), slice_axis(whole, 1), tuple(marks), equal=equal)


def _end(each: Trace, k: int) -> Points:
    last = each.projection.coordinates[-1].tolist()
    return Points([last[0]], [last[1]], "ends of runs", role_of(each.name, k), "diamond", (each.name,))


def relief_of(surface: Surface, name: str = "loss", traces: Sequence[Trace] = (), *, title: str | None = None) -> Panel:
    """A surface of two directions in space; runs are drawn at their own losses, above or below what the plane shows.

    Args:
        surface: of two directions.
        name: ``"loss"`` or a metric; runs are drawn with the loss alone.
        traces: runs on the same plane.
        title: heading of the panel; None: what is shown.

    Raises:
        InputError: no finite value, or an unknown name.
    """
    values = gaps(surface.named(name)).T
    label, unit = named(surface, name)
    log = logarithmic(values)
    if log:
        label, values = f"log₁₀ of {label.lower()}", values.log10()
    top = ceiling(values)
    if top is not None:
        values = values.where(values <= top, torch.nan)
    marks: list[Mark] = [Relief(surface.axes[0], surface.axes[1], values, label, unit)]
    for k, each in enumerate(traces if name == "loss" else ()):
        a, b = each.projection.coordinates.unbind(-1)
        heights = gaps(each.losses)
        heights = heights.where(heights > 0, torch.nan).log10() if log else heights
        if bool(heights.isfinite().any()):
            names = tuple(f"point {i}" for i in range(len(a)))
            marks.append(SpaceLine(a, b, heights, each.name, role_of(each.name, k), names))
    up = Axis(label, unit)
    across, along = (slice_axis(surface, k, short=True) for k in range(2))
    return Panel(title or label, across, along, tuple(marks), z=up)


def curve_panels(surface: Surface, points: Mapping[str, Sequence[float]] | None = None) -> tuple[Panel, ...]:
    """Loss and metrics along one direction; NaN and infinity are gaps, marked at the foot of the panel."""
    panels = []
    (x,) = surface.axes
    for name in ("loss", *surface.metrics):
        values = surface.named(name)
        label, unit = named(surface, name)
        shown = gaps(values)
        marks: list[Mark] = [Line(x, shown, label, "path" if name == "loss" else "series 2")]
        wrong = ~values.isfinite()
        foot = float(np.nanmin(shown))
        if bool(wrong.any()):
            absent = f"not finite: {int(wrong.sum())} of {len(x)} points"
            marks.append(Points(x[wrong], torch.full_like(x[wrong], foot), absent, "neutral", "cross"))
        for k, (point, at) in enumerate((points or {}).items()):
            height = np.interp(at[0], x, shown)
            marks.append(Points([at[0]], [height], point, f"series {(k + 3) % 6}", "diamond", (point,)))
        scale: Scale = "log" if logarithmic(values) else "linear"
        panels.append(Panel(label, slice_axis(surface, 0), Axis(label, unit, scale), tuple(marks)))
    return tuple(panels)


def volume_panels(surface: Surface, name: str = "loss") -> tuple[Panel, ...]:
    """Planes of a volume along its third direction, all with the same contours."""
    values = surface.named(name)
    finite = values[values.isfinite()]
    shown = finite.log10() if logarithmic(values) else finite
    levels = (
        (float(shown.min()), float(shown.max())) if len(shown) and float(shown.min()) < float(shown.max()) else None
    )
    count = len(surface.axes[2])
    layers = sorted({round(i) for i in np.linspace(0, count - 1, min(count, _LAYERS))})
    panels = []
    for layer in layers:
        flat = _layer(surface, layer)
        if bool(flat.named(name).isfinite().any()):
            at = float(surface.axes[2][layer])
            panels.append(
                map_of(flat, name, title=f"{surface.plane.names[2]} at {number(at, 3)}", levels=levels, within=surface)
            )
    return tuple(panels)


def _layer(surface: Surface, layer: int) -> Surface:
    plane = surface.plane
    at = plane.rows(torch.tensor([0.0, 0.0, float(surface.axes[2][layer])], dtype=torch.float64)).dense()
    flat = type(plane)(at, plane.directions[:2], plane.kind, plane.names[:2], None, plane.spec)
    metrics = {name: values[..., layer] for name, values in surface.metrics.items()}
    return Surface(flat, surface.axes[:2], surface.values[..., layer], metrics, surface.unit, surface.details)


def surface_figure(
    surface: Surface,
    traces: Sequence[Trace] = (),
    points: Mapping[str, Sequence[float]] | None = None,
    *,
    name: str = "surface",
    title: str | None = None,
) -> Figure:
    """Draw a surface: a curve, contours beside a relief that can be turned, or the layers of a volume.

    Args:
        surface: of one to three directions.
        traces: runs on the same plane, such as several optimizers'.
        points: by name, their coordinates on the plane.
        name: file name without suffix.
        title: heading; None: what is shown.

    Returns:
        A figure; its caption tells the steps of the grid, what is not finite, and how far runs leave the plane.

    Raises:
        InputError: no finite value.

    Example:
        >>> import lossatlas as la
        >>> toy = la.landscape.get("paper-toy")
        >>> found = la.slices.surface(toy, toy.ends[0], "coordinates", points=9, span=1.0)
        >>> [panel.title for panel in surface_figure(found).panels]
        ['Energy', 'Energy, in space']
    """
    if len(surface.axes) == 1:
        panels = curve_panels(surface, points)
    elif len(surface.axes) == 2:
        panels = (
            map_of(surface, "loss", traces, points),
            relief_of(surface, "loss", traces, title=f"{quantity_of(surface)}, in space"),
        )
    else:
        panels = volume_panels(surface)
    heading = title or f"{quantity_of(surface)} surface"
    return Figure(name, heading, caption_of(surface, traces), panels, columns=min(2, len(panels)))
