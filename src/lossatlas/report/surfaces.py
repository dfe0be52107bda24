"""Surfaces as figures: curves, contours and reliefs, with runs on them and bars that say how long anything is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from lossatlas.report.figure import Axis, Figure, Panel, Scale
from lossatlas.report.marks import Contour, Heatmap, Line, Mark, Points, Relief, ScaleBar, SpaceLine
from lossatlas.report.wording import number
from lossatlas.slices import Surface, Trace

__all__ = [
    "curve_panels",
    "map_of",
    "quantity_of",
    "relief_of",
    "role_of",
    "slice_axis",
    "surface_figure",
    "volume_panels",
]

# A surface that spans more is shown in logarithms.
_DECADES = 100.0
# Sides of a map may differ by so much before it is stretched.
_STRETCH = 2.5
# Where the top tenth of a surface takes more than this part of its height, contours and reliefs end below it.
_TOP, _WALL = 0.9, 0.7
# Planes shown of a volume.
_LAYERS = 6
_OPTIMIZERS = ("lbfgs-gss", "lbfgs", "sgd", "adam", "adamw", "sam")


def slice_axis(surface: Surface, direction: int) -> Axis:
    """Axis along a direction; its unit says how long a step of 1 is."""
    name, scale = surface.plane.names[direction], surface.scale[direction]
    unit = "|w|" if surface.plane.weight_norm else "units of the coordinates"
    return Axis(name[:1].upper() + name[1:], "" if surface.plane.kind == "coordinates" else f"1 = {scale:.3g} {unit}")


def role_of(name: str, position: int) -> str:
    """Which colour a run has: its optimizer's, or that of its place."""
    return name.lower() if name.lower() in _OPTIMIZERS else f"series {position % 6}"


def _logarithmic(values: Tensor) -> bool:
    finite = values[values.isfinite()]
    return bool(len(finite)) and float(finite.min()) > 0 and float(finite.max()) > _DECADES * float(finite.min())


def _ceiling(shown: Tensor) -> float | None:
    """Where contours and reliefs end: walls far above everything of interest would else hide it. None: at the top."""
    finite = shown[shown.isfinite()]
    if not len(finite):
        return None
    low, high, top = float(finite.min()), float(finite.max()), float(finite.quantile(_TOP))
    return top if high - top > _WALL * (high - low) and top > low else None


def _gaps(values: Tensor) -> Tensor:
    return values.where(values.isfinite(), torch.nan)


def quantity_of(surface: Surface) -> str:
    """What a surface is of: ``"Loss"`` of a network, ``"Energy"`` of anything else."""
    return "Loss" if surface.plane.spec is not None or surface.details.get("samples") is not None else "Energy"


def _title(surface: Surface, name: str) -> tuple[str, str]:
    return (quantity_of(surface), surface.unit) if name == "loss" else (name[:1].upper() + name[1:], "")


def _missing(surface: Surface, name: str) -> list[Points]:
    """Points that are not finite, marked where they are."""
    wrong = ~surface.named(name).isfinite()
    count, total = int(wrong.sum()), wrong.numel()
    if not count:
        return []
    x, y = surface.coordinates[wrong].unbind(-1)
    return [Points(x, y, f"not finite: {count} of {total} points", "neutral", "cross")]


def scale_bar(surface: Surface) -> ScaleBar:
    """A bar of a round length in units of |w|, about a quarter of the narrower side."""
    extents = [(high - low) * size for (low, high), size in zip(surface.window[:2], surface.scale, strict=False)]
    rough = 0.25 * min(extents)
    power = 10.0 ** math.floor(math.log10(rough))
    length = max(nice * power for nice in (1, 2, 5) if nice * power <= rough * (1 + 1e-9))
    (x, right), (y, top) = surface.window[:2]
    corner = (x + 0.04 * (right - x), y + 0.04 * (top - y))
    text = f"{length:g} |w|" if surface.plane.weight_norm else f"length {length:g}"
    return ScaleBar(corner, length / surface.scale[0], length / surface.scale[1], text)


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
    values = _gaps(surface.named(name)).T
    label, unit = _title(surface, name)
    finite = values[values.isfinite()]
    x, y = surface.axes
    whole = within or surface
    log = _logarithmic(whole.named(name))
    shown = values.log10() if log else values
    top = _ceiling(shown)
    if levels is None and top is not None:
        levels = float(shown[shown.isfinite()].min()), top
    grid: Heatmap
    if len(finite) and float(finite.min()) == float(finite.max()):
        grid = Heatmap(x, y, values, label, unit)
    else:
        grid = Contour(x, y, values, label, unit, log=log, span=levels)
    marks: list[Mark] = [grid, *_missing(surface, name)]
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
    values = _gaps(surface.named(name)).T
    label, unit = _title(surface, name)
    log = _logarithmic(values)
    if log:
        label, values = f"log₁₀ of {label.lower()}", values.log10()
    top = _ceiling(values)
    if top is not None:
        values = values.where(values <= top, torch.nan)
    marks: list[Mark] = [Relief(surface.axes[0], surface.axes[1], values, label, unit)]
    for k, each in enumerate(traces if name == "loss" else ()):
        a, b = each.projection.coordinates.unbind(-1)
        heights = _gaps(each.losses)
        heights = heights.where(heights > 0, torch.nan).log10() if log else heights
        if bool(heights.isfinite().any()):
            names = tuple(f"point {i}" for i in range(len(a)))
            marks.append(SpaceLine(a, b, heights, each.name, role_of(each.name, k), names))
    up = Axis(label, unit)
    return Panel(title or label, slice_axis(surface, 0), slice_axis(surface, 1), tuple(marks), z=up)


def curve_panels(surface: Surface, points: Mapping[str, Sequence[float]] | None = None) -> tuple[Panel, ...]:
    """Loss and metrics along one direction; NaN and infinity are gaps, marked at the foot of the panel."""
    panels = []
    (x,) = surface.axes
    for name in ("loss", *surface.metrics):
        values = surface.named(name)
        label, unit = _title(surface, name)
        shown = _gaps(values)
        marks: list[Mark] = [Line(x, shown, label, "path" if name == "loss" else "series 2")]
        wrong = ~values.isfinite()
        foot = float(np.nanmin(shown))
        if bool(wrong.any()):
            missing = f"not finite: {int(wrong.sum())} of {len(x)} points"
            marks.append(Points(x[wrong], torch.full_like(x[wrong], foot), missing, "neutral", "cross"))
        for k, (point, at) in enumerate((points or {}).items()):
            height = np.interp(at[0], x, shown)
            marks.append(Points([at[0]], [height], point, f"series {(k + 3) % 6}", "diamond", (point,)))
        scale: Scale = "log" if _logarithmic(values) else "linear"
        panels.append(Panel(label, slice_axis(surface, 0), Axis(label, unit, scale), tuple(marks)))
    return tuple(panels)


def volume_panels(surface: Surface, name: str = "loss") -> tuple[Panel, ...]:
    """Planes of a volume along its third direction, all with the same contours."""
    values = surface.named(name)
    finite = values[values.isfinite()]
    shown = finite.log10() if _logarithmic(values) else finite
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


def caption_of(surface: Surface, traces: Sequence[Trace] = ()) -> str:
    """What a reader must know of a surface before believing it."""
    unit = "times the length |w| of the weights at the origin" if surface.plane.weight_norm else "long"
    size = surface.plane.weight_norm or 1.0
    steps = " and ".join(number(step / size, 2) for step in surface.steps)
    grid = " by ".join(str(n) for n in surface.shape)
    sentences = [f"{grid} points; neighbours are {steps} {unit} apart."]
    if surface.nonfinite:
        sentences.append(
            f"At {surface.nonfinite} of {surface.values.numel()} points the {quantity_of(surface).lower()} is NaN or "
            "infinite; they are left blank and marked."
        )
    shown = surface.values.log10() if _logarithmic(surface.values) else surface.values
    top = _ceiling(shown) if len(surface.axes) == 2 else None
    if top is not None:
        height = 10**top if _logarithmic(surface.values) else top
        sentences.append(f"Contours and relief end at {number(height, 3)}; a tenth of the points lies higher.")
    if traces:
        worst = max(float(each.projection.outside.max()) for each in traces)
        sentences.append(
            f"Runs are drawn at their projections; up to {100 * worst:.0f} % of their distance from the origin is off "
            "the plane. In space they are drawn at their own losses, not at those of the plane below them."
        )
    return " ".join(sentences)
