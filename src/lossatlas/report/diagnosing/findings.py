"""A section for each finding: the sentence, the advice beside the evidence, and the pictures."""

from __future__ import annotations

import math
import re

import numpy as np

from lossatlas.analysis.diagnosis import KINDS, Evidence, Finding, Picture, Series
from lossatlas.core.table import Column, Table
from lossatlas.report.blocks import Block, Notice, Prose, Section
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Line, Mark, Points, VerticalLine
from lossatlas.study.diagnosed import Diagnosed

__all__ = ["evidence_table", "finding_sections", "picture_figure"]


def finding_sections(found: Diagnosed) -> tuple[Section, ...]:
    """One section for each finding; a picture that several share is shown at the first."""
    shown: set[str] = set()
    sections = []
    for finding in found.diagnosis.findings:
        fresh = [picture for picture in finding.pictures if picture.name not in shown]
        shown.update(picture.name for picture in fresh)
        sections.append(_section(found, finding, fresh))
    return tuple(sections)


def _section(found: Diagnosed, finding: Finding, pictures: list[Picture]) -> Section:
    name = _slug(finding.kind)
    blocks: list[Block] = [
        Prose(finding.sentence),
        Notice("What to do:", finding.advice),
        evidence_table(f"evidence-{name}", f"Evidence: {finding.kind}", finding.evidence),
    ]
    for picture in pictures:
        figure = picture_figure(picture, found.unit if picture.y == "Loss" else "")
        blocks += [] if figure is None else [figure]
    return Section(name, finding.kind.capitalize(), tuple(blocks))


def evidence_table(name: str, title: str, evidence: tuple[Evidence, ...]) -> Table:
    """The numbers behind a finding, each beside what it was compared with."""
    rows = tuple(
        (each.name, _finite(each.value), each.unit, _finite(each.limit), each.note)
        for each in evidence
        if math.isfinite(each.value) or each.limit is not None
    )
    kind = title.partition(": ")[2]
    words = f" Looked for: {KINDS[kind]}." if kind in KINDS and kind != "healthy" else ""  # type: ignore[index]
    return Table(
        name,
        title,
        f"Limit: what the number was compared with, a rule of thumb.{words}",
        (
            Column("what", "What"),
            Column("value", "Value", "", ".4g"),
            Column("unit", "Unit"),
            Column("limit", "Limit", "", ".4g"),
            Column("note", "How"),
        ),
        rows,
    )


def picture_figure(picture: Picture, unit: str = "") -> Figure | None:
    """A picture as a figure; None where nothing can be drawn on its axes."""
    marks = [mark for i, series in enumerate(picture.series) if (mark := _mark(picture, series, i)) is not None]
    if all(isinstance(mark, VerticalLine) for mark in marks):
        return None
    x = Axis(picture.x, "", "log" if picture.log_x else "linear", picture.categories)
    y = Axis(picture.y, unit, "log" if picture.log_y else "linear")
    return Figure(picture.name, picture.title, picture.caption, (Panel(picture.title, x, y, tuple(marks)),))


def _mark(picture: Picture, series: Series, i: int) -> Mark | None:
    role = f"series {i % 6}"
    x, y = series.x.double().cpu().numpy(), series.y.double().cpu().numpy()
    if series.kind == "level":
        at = float(x[0])
        return VerticalLine(at, series.label, role) if math.isfinite(at) and (at > 0 or not picture.log_x) else None
    y = np.where(np.isfinite(y) & ((y > 0) | (not picture.log_y)), y, np.nan)
    keep = np.isfinite(x) & ((x > 0) | (not picture.log_x))
    x, y = x[keep], y[keep]
    if not np.isfinite(y).any():
        return None
    return Points(x, y, series.label, role) if series.kind == "points" else Line(x, y, series.label, role)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
