"""Paths on landscapes of two coordinates, where everything can be seen, as in Fig. 3 of the paper."""

from __future__ import annotations

from dataclasses import replace

import torch

from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.distributions import spread
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Mark, Points, VerticalLine
from lossatlas.report.routes import map_figure
from lossatlas.report.wording import listing, number, slugs
from lossatlas.study.results import Map, StudyResults

__all__ = ["build"]

# As many roles as the palette has for things without a meaning of their own.
_SERIES = 6
_DIGITS = 4


def _heights(one: Map, name: str) -> Figure | None:
    """Heights of all repetitions beside the exact pass."""
    marks: list[Mark] = []
    rows: list[str] = []
    for k, (finder, heights) in enumerate(one.heights.items()):
        finite = heights[heights.isfinite()]
        if len(finite):
            members = tuple(f"search {i}" for i in heights.isfinite().nonzero().flatten().tolist())
            at = spread(len(finite), len(rows))
            marks.append(Points(finite, at, finder, f"series {k % _SERIES}", members=members))
            rows.append(finder)
    if max((len(heights) for heights in one.heights.values()), default=0) < 2 or not marks:
        return None
    caption = (
        "Height of every search: the same finder with other random numbers. Points are spread vertically only to keep "
        "them apart. How far they scatter says how much one search can be trusted"
    )
    if one.exact is not None:
        marks.insert(0, VerticalLine(one.exact, "exact pass", "neutral"))
        caption += "; no path can stay below the exact pass, and the distance to it is what a search leaves undone"
    panel = Panel("Heights", Axis("Height", ""), Axis("Finder", "", categories=tuple(rows)), tuple(marks))
    return Figure(f"{name}-heights", f"Heights of repeated searches on {one.landscape}", f"{caption}.", (panel,))


def _sentence(one: Map) -> str:
    """Median and range of the heights of each finder, beside the exact pass."""
    parts = []
    for finder, heights in one.heights.items():
        finite = heights[heights.isfinite()]
        if not len(finite):
            parts.append(f"{finder}: not finite")
            continue
        low, high = (number(float(end), _DIGITS) for end in (finite.min(), finite.max()))
        # The mean of the two middle ones where their number is even.
        middle = number(float(torch.quantile(finite, 0.5)), _DIGITS)
        parts.append(f"{finder}: {middle}" + (f" ({low} to {high})" if low != high else ""))
    exact = "" if one.exact is None else f" The exact pass between the two ends is at {number(one.exact, _DIGITS)}."
    count = max(len(heights) for heights in one.heights.values())
    words = f"Median (and range) of the heights in {count} searches each" if count > 1 else "Heights of the paths"
    return f"{words} on {one.landscape}: {'; '.join(parts)}.{exact}"


def _drawn(one: Map, name: str) -> Figure | None:
    drawable = {
        finder: path
        for finder, path in one.paths.items()
        if path.points is not None and path.points.shape[-1] == 2 and bool(path.loss.isfinite().any())
    }
    if not drawable:
        return None
    points = next(iter(drawable.values())).points
    assert points is not None
    ends = {"start": points[0], "end": points[-1]}
    title = f"Paths on {one.landscape}, and the loss along each"
    figure = map_figure(one.surface, drawable, ends, title=title, name=name, point_label="ends", quantity="Loss")
    return replace(figure, caption=f"{figure.caption} The lower its highest point, the lower the pass a path takes.")


def build(results: StudyResults) -> Section | None:
    """Draw every map with its paths, and the heights of repeated searches."""
    blocks: list[Block] = []
    names = slugs([one.stage for one in results.maps])
    for one in results.maps:
        name = f"map-{names[one.stage]}"
        found = [figure for figure in (_drawn(one, name), _heights(one, name)) if figure is not None]
        if found:
            blocks += [Prose(_sentence(one)), *found]
    if not blocks:
        return None
    landscapes = listing(list(dict.fromkeys(one.landscape for one in results.maps)))
    intro = Prose(
        f"What the path finders do can be seen where a landscape has two coordinates ({landscapes}): the paths lie on "
        "its contours, and the lowest pass is known exactly."
    )
    return Section("maps", "Paths on a landscape that can be seen", (intro, *blocks))
