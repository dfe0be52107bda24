"""The page about committees: order parameters over time, bad minima, and how many starts end in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from lossatlas.report.bibliography_theory import THEORY_WORKS
from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Line, Mark, Points
from lossatlas.report.theory.method import method_section
from lossatlas.report.write_page import write_page
from lossatlas.theory.committee import CommitteeStudy, minima_table

__all__ = ["CommitteeResult", "committee_sections", "write_committee"]

_WORKS = ("saad1995", "safran2018", "goldt2019", "huang2026")
_TIME = Axis("Time", "steps per input dimension")
_DRAWN = 6


@dataclass(frozen=True)
class CommitteeResult:
    """What a page about a committee shows.

    Args:
        study: what was found.
        settings: of the run, by name.
        command: that makes the page; empty if none does.
    """

    study: CommitteeStudy
    settings: Mapping[str, object] = field(default_factory=dict)
    command: str = ""


def committee_sections(found: CommitteeResult) -> tuple[Section, ...]:
    """Build the page: findings first, then dynamics, minima and how it was made.

    Example:
        >>> from lossatlas.theory.committee import study_committee
        >>> study = study_committee(2, 2, time=1.0, dim=50, replicas=2, starts=3)
        >>> [section.title for section in committee_sections(CommitteeResult(study))]
        ['Summary', 'Learning over time', 'Bad minima', 'How it was made']
    """
    minima: list[Block] = [_fractions(found.study)]
    table = minima_table(found.study.minima)
    minima.append(table if table.rows else Prose("No start of this search ended in a bad minimum."))
    return (
        Section("summary", "Summary", tuple(_findings(found.study))),
        Section("dynamics", "Learning over time", (_losses(found.study), _overlaps(found.study))),
        Section("minima", "Bad minima", tuple(minima)),
        method_section(found.settings, found.command, tuple(THEORY_WORKS[key] for key in _WORKS)),
    )


def write_committee(found: CommitteeResult, folder: str | Path) -> Path:
    """Write ``report.html``, ``tables/*.csv`` and ``figures/*.{png,svg,csv}``.

    Returns:
        The path of ``report.html``.

    Raises:
        StorageError: the folder cannot be written.
    """
    k, m = found.study.course.r.shape[1:]
    subtitle = f"A student of {k} ReLU units learns a teacher of {m}: equations beside SGD, and where it gets stuck."
    return write_page(folder, "Teacher and student", subtitle, committee_sections(found))


# ---------------------------------------------------------------------- inside
def _findings(study: CommitteeStudy) -> list[Block]:
    k, m = study.course.r.shape[1:]
    mean, error = study.simulation.mean()
    own = study.minima.bad_fraction()
    blocks: list[Block] = [
        Prose(
            f"At time {float(study.course.times[-1]):g} the equations say a population loss of "
            f"{float(study.course.loss[-1]):.4g}; {study.simulation.loss.shape[1]} replicas of one-pass SGD in "
            f"{study.simulation.dim} dimensions are at {float(mean[-1]):.4g} ± {float(error[-1]):.1g} (standard "
            "error). The equations are exact for infinitely many dimensions; in "
            "fewer, chance tells students apart sooner, so SGD leaves a plateau earlier."
        ),
        Prose(
            f"Of {own.total} random starts with {k} students and {m} teachers, {own.count} end in a bad minimum: "
            f"{100 * own.estimate:.1f} % (95 % interval {100 * own.low:.1f} to {100 * own.high:.1f} %). "
            f"Different ones that were found: {len(study.minima.distinct())}. "
            f"{int((~study.minima.converged).sum())} starts stopped before their gradient vanished."
        ),
    ]
    return blocks


def _losses(study: CommitteeStudy) -> Figure:
    times, mean, error = _array(study.simulation.times), *map(_array, study.simulation.mean())
    marks: list[Mark] = [Line(_array(study.course.times), _positive(study.course.loss), "equations", "series 0")]
    marks += _bars(times, mean, error, "SGD", "series 1", positive=True)
    panel = Panel("", _TIME, Axis("Population loss", "", "log"), tuple(marks))
    caption = (
        "Line: the equations of one-pass SGD. Points: mean over replicas of SGD that start with the same overlaps, "
        "with one standard error. A plateau is where students have not yet chosen their teachers."
    )
    return Figure("losses", "Population loss", caption, (panel,))


def _overlaps(study: CommitteeStudy) -> Figure:
    times = _array(study.simulation.times)
    panels = []
    for name, title, label in (("q", "Students with themselves", "Q"), ("r", "Students with teachers", "R")):
        values, (mean, error) = getattr(study.course, name), study.simulation.mean(name)
        marks: list[Mark] = []
        for j in range(min(_DRAWN, values.shape[1])):
            at = (slice(None), j, j) if name == "q" else (slice(None), j, int(values[-1, j].argmax()))
            text = f"student {j + 1}"
            marks.append(Line(_array(study.course.times), _array(values[at]), text, f"series {j}"))
            marks += _bars(times, _array(mean[at]), _array(error[at]), f"{text}, SGD", f"series {j}")
        panels.append(Panel(title, _TIME, Axis(f"Overlap {label}", ""), tuple(marks)))
    caption = (
        "Lines: equations; points: SGD with one standard error. Left: squared length of each student's weights. Right: "
        "overlap of each student with the teacher that the equations bring it closest to."
        + (f" The first {_DRAWN} students are drawn." if study.course.q.shape[1] > _DRAWN else "")
    )
    return Figure("overlaps", "Order parameters", caption, tuple(panels), columns=2)


def _fractions(study: CommitteeStudy) -> Figure:
    units = [bad.units for bad in study.bad]
    marks: list[Mark] = [Points(units, [bad.fraction.estimate for bad in study.bad], "here", "series 0")]
    marks += [
        Line([bad.units] * 2, [bad.fraction.low, bad.fraction.high], "95 % interval", "series 0", faint=True)
        for bad in study.bad
    ]
    known = [(bad.units, bad.published) for bad in study.bad if bad.published is not None]
    if known:
        x, y = zip(*known, strict=True)
        marks.append(Points(x, y, "published", "series 1", marker="diamond"))
    panel = Panel(
        "", Axis("Units k of student and teacher", ""), Axis("Share that ends badly", "", zero=True), tuple(marks)
    )
    caption = (
        f"Share of {study.bad[0].fraction.total} random starts that end above a loss of 1e-3, with its 95 % interval, "
        "beside the runs of Safran & Shamir (2018). Below six units there are no bad minima."
    )
    return Figure("bad-starts", "How many starts end in a bad minimum", caption, (panel,))


def _bars(
    times: np.ndarray, mean: np.ndarray, error: np.ndarray, label: str, role: str, *, positive: bool = False
) -> list[Mark]:
    marks: list[Mark] = [Points(times, mean, label, role)]
    for t, middle, half in zip(times, mean, error, strict=True):
        low = max(middle - half, middle / 100) if positive else middle - half
        marks.append(Line([t, t], [low, middle + half], label, role, faint=True))
    return marks


def _positive(values: Tensor) -> np.ndarray:
    found = _array(values)
    return np.where(found > 0, found, np.nan)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
