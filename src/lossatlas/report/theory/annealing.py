"""The page about annealing: how often walkers end in the right basin, against schedule and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lossatlas.core.errors import InputError
from lossatlas.core.proportion import Proportion
from lossatlas.core.table import Column, Table
from lossatlas.report.bibliography_theory import THEORY_WORKS
from lossatlas.report.blocks import Block, Notice, Prose, Section
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Line, Mark, Points
from lossatlas.report.theory.method import method_section
from lossatlas.report.write_page import write_page
from lossatlas.theory.annealing import CriticalDepth, Logarithmic, SuccessCurve, equipartition

__all__ = ["AnnealingResult", "annealing_sections", "write_annealing"]

_TIME = Axis("Time", "1/energy gradient", "log")


@dataclass(frozen=True)
class AnnealingResult:
    """What a page about annealing shows.

    Args:
        energy: what is annealed, in words.
        curves: by name of the schedule.
        depth: critical depth of the energy; None where it is not known.
        settings: of the run, by name.
        command: that makes the page; empty if none does.
        rising: directions in which the energy rises from its lowest minimum; None where they were not counted.
        falls: how many uniform starts steepest descent takes to the global minimum; None where it was not tried.
    """

    energy: str
    curves: Mapping[str, SuccessCurve]
    depth: CriticalDepth | None
    settings: Mapping[str, object] = field(default_factory=dict)
    command: str = ""
    rising: int | None = None
    falls: Proportion | None = None

    def __post_init__(self) -> None:
        if not self.curves:
            raise InputError("expected at least one schedule on a page about annealing, got none")


def annealing_sections(found: AnnealingResult) -> tuple[Section, ...]:
    """Build the page: findings first, then curves, schedules and the numbers.

    Example:
        >>> from lossatlas.theory.annealing import CircleToy, Logarithmic, circle_depth, success_curve
        >>> curve = success_curve(CircleToy(), Logarithmic(0.5), [1.0, 2.0], step=0.1, walkers=20)
        >>> found = AnnealingResult("the circle", {"c = 0.5": curve}, circle_depth(CircleToy()))
        >>> [section.title for section in annealing_sections(found)]
        ['Summary', 'Failures against time', 'How it was made']
    """
    works = ("hajek1988", "holley1989", "hsu2002", "wilson1927")
    return (
        Section("summary", "Summary", tuple(_findings(found))),
        Section(
            "failures",
            "Failures against time",
            (_failures(found), *_energies(found), *_schedules(found), _table(found)),
        ),
        method_section(found.settings, found.command, tuple(THEORY_WORKS[key] for key in works)),
    )


def write_annealing(found: AnnealingResult, folder: str | Path) -> Path:
    """Write ``report.html``, ``tables/*.csv`` and ``figures/*.{png,svg,csv}``.

    Returns:
        The path of ``report.html``.

    Raises:
        StorageError: the folder cannot be written.
    """
    subtitle = f"Langevin walkers on {found.energy} get colder: which schedules find the global minimum."
    return write_page(folder, "Annealing", subtitle, annealing_sections(found))


# ---------------------------------------------------------------------- inside
def _findings(found: AnnealingResult) -> list[Block]:
    last = {name: curve.proportions[-1] for name, curve in found.curves.items()}
    best = max(last, key=lambda name: last[name].estimate)
    worst = min(last, key=lambda name: last[name].estimate)
    end = next(iter(found.curves.values())).times[-1]
    blocks: list[Block] = [
        Prose(
            f"After time {end:g}, {_share(last[best])} of the walkers are in the basin of the global minimum under "
            f"'{best}'" + (f", and {_share(last[worst])} under '{worst}'." if worst != best else ".")
        )
    ]
    if found.depth is not None and np.isfinite(found.depth.value):
        blocks.append(
            Prose(
                f"The critical depth is d* = {found.depth.value:.4f}: the most that must be climbed from a minimum "
                f"that is not global. β = c log(e + t) finds the global minimum in the end if and only if c < 1/d* = "
                f"{found.depth.critical_rate:.4f}. At a finite time a slow schedule is still hot, so it may be behind."
            )
        )
        judged = [
            f"{name}: {found.depth.verdict(curve.schedule.c).message}"
            for name, curve in found.curves.items()
            if isinstance(curve.schedule, Logarithmic)
        ]
        if judged:
            blocks.append(Notice("What the theorem says of the logarithmic schedules.", tuple(judged)))
    if found.falls is not None:
        blocks.append(Prose(_traps(found.falls)))
    distances = [abs(z) for curve in found.curves.values() for z in curve.z or ()]
    if distances:
        blocks.append(
            Prose(
                f"The Fokker–Planck equation gives the exact probabilities. The walkers are at most "
                f"{max(distances):.1f} standard errors from them, over {len(distances)} comparisons."
            )
        )
    return blocks


def _traps(falls: Proportion) -> str:
    missed = falls.total - falls.count
    if missed:
        return (
            f"Steepest descent ends above the global minimum from {missed} of {falls.total} uniform starts: there are "
            "traps. Paths between the places where it ends give the critical depth (lossatlas.paths, then "
            "theory.annealing.tree_depth)."
        )
    return (
        f"Steepest descent reaches the global minimum from all of {falls.total} uniform starts: no trap was found, and "
        f"traps catch at most {100 * (1 - falls.low):.1f} % of the starts. Without traps the critical depth is 0 and "
        "every logarithmic schedule converges; what walkers lose to 'a wrong basin' is then the time of their descent."
    )


def _share(share: object) -> str:
    low, middle, high = (getattr(share, name) for name in ("low", "estimate", "high"))
    return f"{100 * middle:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"


def _failures(found: AnnealingResult) -> Figure:
    marks: list[Mark] = []
    for number, (name, curve) in enumerate(found.curves.items()):
        times, role = np.array(curve.times), _role(number)
        if curve.exact is not None:
            marks.append(Line(times, 1 - np.array(curve.exact), f"{name}, exact", role))
        marks.append(Points(times, 1 - np.array([s.estimate for s in curve.proportions]), f"{name}, walkers", role))
        for at, share in zip(curve.times, curve.proportions, strict=True):
            marks.append(Line([at, at], [1 - share.high, 1 - share.low], f"{name}, walkers", role, faint=True))
    panel = Panel("", _TIME, Axis("Share in a wrong basin", "", zero=True), tuple(marks))
    exact = all(curve.exact is not None for curve in found.curves.values())
    caption = (
        "Points: share of walkers that are not in the basin of the global minimum, with 95 % intervals of Wilson. "
        + ("Lines: the same from the Fokker–Planck equation. " if exact else "")
        + "All walkers start from uniform places. A curve that has become flat is trapped: the noise died before the "
        "barrier was climbed."
    )
    return Figure("failures", "Walkers in a wrong basin", caption, (panel,))


def _energies(found: AnnealingResult) -> list[Figure]:
    marks: list[Mark] = []
    for number, (name, curve) in enumerate(found.curves.items()):
        if curve.excess is None:
            continue
        role, walkers = _role(number), f"{name}, walkers"
        means = _positive([mean for mean, _ in curve.excess])
        if np.isfinite(means).any():
            marks.append(Points(curve.times, means, walkers, role))
        for at, (mean, error) in zip(curve.times, curve.excess, strict=True):
            # On a logarithmic axis an interval that reaches zero ends a decade below its middle.
            ends = [max(mean / 10, mean - 2 * error), mean + 2 * error]
            marks += _line([at, at], ends, walkers, role, faint=True)
        if found.rising is not None:
            betas = [curve.schedule(t) for t in curve.times]
            promised = [equipartition(found.rising, beta) if beta > 0 else np.nan for beta in betas]
            marks += _line(curve.times, promised, f"{name}, m/2β", role, dashed=True)
    if not marks:
        return []
    caption = "Points: mean energy of all walkers above the global minimum, with two standard errors. "
    if found.rising is not None:
        caption += (
            f"Dashed: m/2β with m = {found.rising}, the directions in which the energy rises from its minimum: the law "
            "of equipartition, for walkers that are all in the global basin, in equilibrium, and cold. Points above it "
            "when it is cold are trapped or late; below it when it is hot, for there the energy is bounded."
        )
    panel = Panel("", _TIME, Axis("Energy above the minimum", "energy", "log"), tuple(marks))
    return [Figure("energy", "Energy of the walkers", caption, (panel,))]


def _schedules(found: AnnealingResult) -> list[Figure]:
    end = next(iter(found.curves.values())).times[-1]
    times = np.geomspace(1e-2 * max(end, 1.0) / 100, end, 200)
    marks: list[Mark] = []
    for number, (name, curve) in enumerate(found.curves.items()):
        marks += _line(times, [curve.schedule(float(t)) for t in times], name, _role(number))
    if not marks:
        return []
    panel = Panel("", _TIME, Axis("Inverse temperature β", "1/energy", "log"), tuple(marks))
    return [Figure("schedules", "Schedules", "How cold at what time; infinite and zero β are not drawn.", (panel,))]


def _line(
    x: Sequence[float] | NDArray[np.float64], y: list[float], label: str, role: str, *, faint: bool = False,
    dashed: bool = False,
) -> list[Line]:  # fmt: skip
    """A line on a logarithmic axis; none where no point can be drawn."""
    drawn = _positive(y)
    return [Line(x, drawn, label, role, faint=faint, dashed=dashed)] if np.isfinite(drawn).any() else []


def _role(number: int) -> str:
    return f"series {number % 6}"


def _positive(values: list[float]) -> list[float]:
    return [value if 0 < value < np.inf else np.nan for value in values]


def _table(found: AnnealingResult) -> Table:
    columns = (
        Column("schedule", "Schedule"),
        Column("time", "Time", "", "g"),
        Column("walkers", "Walkers", "", "d"),
        Column("wrong", "In a wrong basin", "", ".4f"),
        Column("low", "Low", "", ".4f"),
        Column("high", "High", "", ".4f"),
        Column("exact", "Exact", "", ".4f"),
        Column("z", "z", "", "+.2f"),
        Column("energy", "Energy above the minimum", "", ".3g"),
    )
    rows = tuple(
        (
            name,
            curve.times[i],
            share.total,
            1 - share.estimate,
            1 - share.high,
            1 - share.low,
            None if curve.exact is None else 1 - curve.exact[i],
            None if curve.z is None else curve.z[i],
            None if curve.excess is None else curve.excess[i][0],
        )
        for name, curve in found.curves.items()
        for i, share in enumerate(curve.proportions)
    )
    caption = "Low and high: Wilson's 95 % interval. z: distance from the exact probability in standard errors."
    return Table("failures", "Walkers in a wrong basin", caption, columns, rows)
