"""Runs beside the plane: what it leaves out of them, and the losses that it shows in place of theirs."""

from __future__ import annotations

from torch import nan

from lossatlas.report.blocks import Prose, Section
from lossatlas.report.figure import Axis, Figure, Panel, Scale
from lossatlas.report.marks import Line, Mark
from lossatlas.report.surface_parts import quantity_of, role_of
from lossatlas.study.slicing import Slicing
from lossatlas.study.slicing_tables import slicing_tables

__all__ = ["build"]

_DECADES = 100.0


def build(found: Slicing) -> Section | None:
    """Draw losses and residuals of every run; None where there is none."""
    if not found.traces:
        return None
    losses: list[Mark] = []
    outside: list[Mark] = []
    every: list[float] = []
    for k, each in enumerate(found.traces):
        steps, role = range(len(each.losses)), role_of(each.name, k)
        pairs = (("of the run", each.losses, False), ("on the plane", each.projected, True))
        for words, values, dashed in pairs:
            shown = values.where(values.isfinite(), nan)
            if bool(shown.isfinite().any()):
                losses.append(Line(list(steps), shown, f"{each.name}, {words}", role, dashed=dashed))
                every += shown[shown.isfinite()].tolist()
        for words, far, dashed in (
            ("from the plane", each.projection.residuals, False),
            ("from its origin", each.projection.distances, True),
        ):
            outside.append(Line(list(steps), far, f"{each.name}, {words}", role, dashed=dashed))
    scale: Scale = "log" if every and min(every) > 0 and max(every) > _DECADES * min(every) else "linear"
    time = Axis("Point of the run", "")
    panels = [Panel("Distances", time, Axis("Distance", "units of the coordinates", zero=True), tuple(outside))]
    if losses:
        panels.insert(0, Panel("Losses", time, Axis(quantity_of(found.surface), found.unit, scale), tuple(losses)))
    caption = (
        "Losses, solid: at the points of a run; dashed: at their projections, which is what the surface shows there. "
        "Distances, solid: from the plane; dashed: from its origin. Where they meet, the plane shows nothing of a run."
    )
    figure = Figure("runs", "Runs beside the plane", caption, tuple(panels), columns=2)
    intro = Prose("A surface shows a run only as far as the run lies on its plane.")
    tables = [table for table in slicing_tables(found) if table.name == "runs"]
    return Section("runs", "Runs", (intro, figure, *tables))
