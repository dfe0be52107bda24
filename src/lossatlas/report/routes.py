"""Paths as lines of a figure: where along them one stands, their highest points, and their course on a map."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.path import Path
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Contour, Line, Mark, Points
from lossatlas.report.wording import number
from lossatlas.study.surface import Surface

__all__ = [
    "arc_axis",
    "course",
    "highest_point",
    "map_figure",
    "map_panel",
    "named_points",
    "position",
    "profile_line",
]

# Contour lines end this far above the highest path, in units of (height - lowest value shown).
_HEADROOM = 0.25


def arc_axis() -> Axis:
    """Distance walked along a path."""
    return Axis("Arc length", "units of the coordinates")


def position(path: Path) -> Tensor:
    """Where the samples of a path are: its arc length, or t where that is not known, ``-> (m,)``."""
    return path.t if path.arc is None else path.arc


def highest_point(path: Path) -> tuple[float, float]:
    """Position and loss of the highest point, refined where that is known.

    Example:
        >>> import torch
        >>> line = Path("linear", torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 4.0, 2.0]), 3.0, 3.0, {},
        ...             arc=torch.tensor([0.0, 1.5, 3.0]), refined_height=4.5, refined_t=0.75)
        >>> highest_point(line)
        (2.25, 4.5)
    """
    along = position(path)
    if path.refined_height is not None and path.refined_t is not None:
        return float(np.interp(path.refined_t, path.t.cpu().double(), along.cpu().double())), path.refined_height
    top = int(path.loss.nan_to_num(nan=-math.inf, posinf=-math.inf).argmax())
    return float(along[top]), float(path.loss[top])


def profile_line(path: Path, label: str, role: str, member: str = "") -> Line:
    """Loss along a path; losses that are not finite are gaps, straight lines are dashed.

    Raises:
        InputError: no loss is finite.
    """
    loss = path.loss.where(path.loss.isfinite(), math.nan)
    return Line(position(path), loss, label, role, member, dashed=path.method.startswith("linear"))


def course(path: Path, label: str, role: str, member: str = "") -> Line | None:
    """A path of two coordinates as a line on a map; straight ones are dashed. None where nothing of it is finite.

    Raises:
        InputError: a path without points in two coordinates.
    """
    if path.points is None or path.points.shape[-1] != 2:
        raise InputError(f"expected a path with points in two coordinates to draw on a map, got '{label}' without")
    keep = path.points.isfinite().all(1)
    if not bool(keep.any()):
        return None
    x, y = path.points[keep].unbind(1)
    return Line(x, y, label, role, member, dashed=path.method == "linear")


def map_panel(
    surface: Surface,
    marks: Sequence[Mark],
    heights: Sequence[float] = (),
    *,
    title: str,
    quantity: str = "Energy",
    unit: str = "",
) -> Panel:
    """Contours of a landscape of two coordinates with marks drawn on them.

    Args:
        surface: the landscape on a grid.
        marks: what is drawn on top, such as paths and minima.
        heights: of the paths; contours end a little above the highest, so that walls do not take all lines.
        title: heading of the panel.
        quantity: what the contours show.
        unit: its unit.
    """
    low, high = float(np.nanmin(surface.z)), float(np.nanmax(surface.z))
    top = max((height for height in heights if math.isfinite(height)), default=high)
    high = min(high, top + _HEADROOM * (top - low))
    span = (low, high) if low < high else None
    contour = Contour(surface.x, surface.y, surface.z, quantity, unit, span=span)
    return Panel(title, Axis("x", ""), Axis("y", ""), (contour, *marks), equal=True)


def named_points(points: Mapping[str, Sequence[float] | Tensor], label: str) -> Points:
    """Points of a map with their names beside them."""
    x, y = (np.array([float(at[k]) for at in points.values()]) for k in range(2))
    return Points(x, y, label, "neutral", members=tuple(points), named=True)


def map_figure(
    surface: Surface,
    paths: Mapping[str, Path],
    points: Mapping[str, Sequence[float] | Tensor] | None = None,
    *,
    title: str = "Paths on the landscape",
    name: str = "map",
    point_label: str = "given points",
    quantity: str = "Energy",
    unit: str = "",
) -> Figure:
    """Draw several named paths on the contours of a landscape and the loss along each, as in Fig. 3 of the paper.

    Args:
        surface: the landscape on a grid, see :func:`lossatlas.study.surface`.
        paths: by name, such as ``{"λ = 10": path, "straight line": line}``.
        points: by name, ``(2,)`` each, such as minima; written beside a dot.
        title: heading.
        name: file name without suffix.
        point_label: what the points are called in the legend.
        quantity: what the landscape is.
        unit: its unit.

    Returns:
        A figure of two panels: the map, and the profiles with the highest point of each marked.

    Raises:
        InputError: no paths, or a path without points in two coordinates.

    Reference:
        Yu & Morozov 2026, arXiv 2602.21276, Fig. 3.

    Example:
        >>> import lossatlas as la
        >>> toy = la.landscape.get("paper-toy")
        >>> line = la.paths.find(toy, *toy.ends, method="linear", points=21)
        >>> figure = map_figure(la.study.surface(toy, toy.bounds, 31), {"straight line": line})
        >>> [panel.title for panel in figure.panels]
        ['Landscape', 'Along the paths']
    """
    if not paths:
        raise InputError("expected at least one path to draw on a map, got none")
    lines: list[Mark] = []
    profile: list[Mark] = []
    for k, (label, path) in enumerate(paths.items()):
        role = f"series {k % 6}"
        line = course(path, label, role)
        lines += [] if line is None else [line]
        profile.append(profile_line(path, label, role))
        at, height = highest_point(path)
        profile.append(Points([at], [height], "highest point", role, "diamond", (label,)))
    lines += [named_points(points, point_label)] if points else []
    heights = [path.height for path in paths.values()]
    listed = "; ".join(f"{label}: {number(height, 4)}" for label, height in zip(paths, heights, strict=True))
    caption = f"Paths drawn on contours of the landscape, and its value along each. Highest points: {listed}."
    panels = (
        map_panel(surface, lines, heights, title="Landscape", quantity=quantity, unit=unit),
        Panel("Along the paths", arc_axis(), Axis(quantity, unit), tuple(profile)),
    )
    return Figure(name, title, caption, panels, columns=2)
