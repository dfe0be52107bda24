"""How far minima of two optimizers lie from their common origin, as in Figs. 5 and S3 of the paper."""

from __future__ import annotations

from collections.abc import Iterator

from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.comparisons import KINDS, Compared, compared, set_label
from lossatlas.report.distributions import Sample, distribution_panel
from lossatlas.report.figure import Figure, Panel
from lossatlas.report.marks import VerticalLine
from lossatlas.report.wording import listing, number
from lossatlas.study.results import StudyResults

__all__ = ["build"]


def _samples(one: Compared) -> Iterator[Sample]:
    for side, distances in zip(one.sides, one.pair.origin.distances, strict=True):
        values = tuple(distances.tolist())
        yield Sample(
            set_label(side, one.kind),
            set_label(side, one.kind).replace(", ", "\n"),
            side.optimizer,
            values,
            side.members or ("",) * len(values),
        )


def _panel(one: Compared) -> Panel | None:
    origin = one.pair.origin
    lines = (
        VerticalLine(origin.null_distance, "centroids, expected without preferred direction", "neutral"),
        VerticalLine(origin.centroid_distance, "centroids", "pass", dotted=True),
    )
    return distribution_panel(
        one.title, tuple(_samples(one)), "|w − w̄|", "units of the weights", counted="Minima", lines=lines, zero=True
    )


def _ratio(one: Compared) -> str:
    test = one.pair.origin.test
    return f"{one.title}: ratio {number(test.ratio, 3)}, p = {number(test.p_value)}"


def _figure(kind: str, members: list[Compared]) -> Figure | None:
    panels = tuple(panel for panel in map(_panel, members) if panel is not None)
    if not panels:
        return None
    caption = (
        "Distance |w − w̄| of every minimum from the mean w̄ of the two centroids. Dotted: distance of either centroid "
        "from w̄. Dashed: what that distance would be without a preferred direction, since centroids of finitely many "
        "vectors never coincide. Minima far to the right of both lines scatter about one origin instead of two. "
        "Dotted over dashed, and the probability of so large a ratio if the two sets had one mean: "
        f"{listing([_ratio(one) for one in members])}."
    )
    title = f"Distances from the common origin, {KINDS[kind]}"
    return Figure(f"distances-{kind}", title, caption, panels, columns=2)


def build(results: StudyResults) -> Section | None:
    """Draw the distances for each kind of comparison, and show their table."""
    groups = compared(results)
    figures = [_figure(kind, members) for kind, members in groups.items()]
    blocks: list[Block] = [figure for figure in figures if figure is not None]
    if not blocks:
        return None
    intro = Prose(
        "Do two optimizers end in different regions of weight space, or in shells of different radius about one "
        "origin? If neither prefers a direction, the two centroids are as close as their numbers of minima allow."
    )
    table = results.tables.get("distances")
    shown = (table,) if table is not None and table.rows else ()
    return Section("distances", "Distances in weight space", (intro, *blocks, *shown))
