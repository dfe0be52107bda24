"""The page about deep linear networks: from saddle to saddle, prediction over SGD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from lossatlas.core.table import Column, Table
from lossatlas.report.bibliography_theory import THEORY_WORKS
from lossatlas.report.blocks import Block, Notice, Prose, Section
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Array, Line, Mark, Points, VerticalLine
from lossatlas.report.theory.method import method_section
from lossatlas.report.write_page import write_page
from lossatlas.theory.linear import ModeAtRest, ModeDiffusion, ModeSDE, SaddleToSaddle, half_learning_time

__all__ = ["LinearResult", "linear_sections", "write_linear"]

_TIME = Axis("Time", "step length × steps")
_MARKS = 24  # moments at which networks are drawn
_ROWS = 8  # and those in the table
_BARS = 1.96
_BINS, _WIDE = 24, 4.0


@dataclass(frozen=True)
class LinearResult:
    """What a page about deep linear networks shows.

    Args:
        found: predictions and simulations.
        settings: of the run, by name.
        command: that makes the page; empty if none does.
    """

    found: SaddleToSaddle
    settings: Mapping[str, object] = field(default_factory=dict)
    command: str = ""


def linear_sections(result: LinearResult) -> tuple[Section, ...]:
    """Build the page: findings first, then modes, saddles, diffusion and the law at rest.

    Example:
        >>> from lossatlas.theory.linear import LinearTask, saddle_to_saddle
        >>> task = LinearTask(torch.diag(torch.tensor([3.0, 1.0])), rate=0.02, batch=16, noise=0.2)
        >>> result = LinearResult(saddle_to_saddle(task, replicas=5, paths=20))
        >>> [section.title for section in linear_sections(result)][1:-1]
        ['Modes against time', 'From saddle to saddle', 'Diffusion along a mode', 'At rest under label noise']
    """
    found = result.found
    works = ("saxe2014", "kawaguchi2016", "corlouer2026", "risken1989")
    at_rest: tuple[Block, ...] = (Prose("Without label noise each mode comes to rest exactly at its target."),)
    if found.rest:
        at_rest = (_laws(found.rest), _variances(found.rest))
    return (
        Section("summary", "Summary", tuple(_findings(found))),
        Section("modes", "Modes against time", (_modes(found), _mode_table(found))),
        Section("saddles", "From saddle to saddle", (_loss(found), _saddles(found))),
        Section("diffusion", "Diffusion along a mode", (_diffusion(found), _peaks(found))),
        Section("rest", "At rest under label noise", at_rest),
        method_section(result.settings, result.command, tuple(THEORY_WORKS[key] for key in works)),
    )


def write_linear(result: LinearResult, folder: str | Path) -> Path:
    """Write ``report.html``, ``tables/*.csv`` and ``figures/*.{png,svg,csv}``.

    Returns:
        The path of ``report.html``.

    Raises:
        StorageError: the folder cannot be written.
    """
    task = result.found.task
    subtitle = (
        f"A linear network of {task.depth} layers learns {_count(task.modes, 'mode')}"
        f"{'' if task.modes == 1 else ', one after the other'}: exact predictions over SGD of full networks."
    )
    return write_page(folder, "Deep linear networks", subtitle, linear_sections(result))


# --------------------------------------------------------------------- summary
def _findings(found: SaddleToSaddle) -> list[Block]:
    task, run = found.task, found.beside.run
    halves = [half_learning_time(task.depth, goal, found.start) for goal in task.targets.tolist()]
    measured = _half_times(found)
    learned = "; ".join(
        f"{_name(goal)} at {exact:.2f} (SGD: {'never' if seen is None else f'{seen:.2f}'})"
        for goal, exact, seen in zip(task.targets.tolist(), halves, measured, strict=True)
    )
    blocks: list[Block] = [
        Prose(
            f"From strength {found.start:g}, {_count(task.modes, 'mode')} {'is' if task.modes == 1 else 'are'} half "
            f"learned{'' if task.modes == 1 else ' one after the other'}: {learned}. The times in front are "
            f"exact, those of SGD are of the mean of {run.strengths.shape[1]} full networks."
        )
    ]
    visited = [
        f"{_saddle(found, p.learned)}: loss {_level(found, p.learned):.3g}, index {p.predicted_index} by the formula, "
        f"{p.index} measured"
        for p in found.plateaus
        if p.converged
    ]
    agree = all(p.converged and p.index == p.predicted_index for p in found.plateaus)
    if visited:
        outcome = "Formula and Hessian agree at all of them." if agree else "Formula and Hessian differ: see the table."
        if task.depth > 2:
            outcome += " Beyond 2 layers the index is 0: the Hessian does not see the way out."
        blocks.append(Notice(f"Gradient flow visits {_count(len(visited), 'saddle')}. {outcome}", tuple(visited)))
    peaks = [
        f"{q.peak / q.sde.target:.3f} for {_name(q.sde.target)}"
        + (f" (SGD: {q.measured_peak / q.sde.target:.3f})" if np.isfinite(q.measured_peak) else "")
        for q in found.noisy or found.quiet
        if np.isfinite(q.peak)
    ]
    if peaks:
        noise = f"With label noise {task.noise:g}" if found.noisy else "Without label noise"
        blocks.append(
            Prose(
                f"{noise}, diffusion along a mode is largest before the mode is learned, at s/s* = {'; '.join(peaks)}."
            )
        )
    if found.rest:
        expected = [rest.stepped / rest.formula for rest in found.rest]
        ratios = [rest.variance("networks")[0] / rest.formula for rest in found.rest]
        blocks.append(
            Prose(
                f"At rest, the variance of a mode under SGD is {min(ratios):.2f} to {max(ratios):.2f} times (η/B) σ² L "
                f"s*^(2−2/L) / 2. From the zero-flux law and steps of η, {min(expected):.2f} to {max(expected):.2f} "
                "are expected."
            )
        )
    z = _z(found)
    apart = float((found.beside.difference.abs() / task.targets).max())
    blocks.append(
        Prose(
            f"The equation of a single mode is at most {np.nanmax(np.abs(z)):.1f} standard errors from the full "
            f"networks, and at most {100 * apart:.1f} % of a target. It leaves out what modes do to each other, which "
            "moves the weaker ones most while the stronger are learned."
        )
    )
    return blocks


def _half_times(found: SaddleToSaddle) -> list[float | None]:
    """When the mean strength of the networks first exceeds half of the target."""
    run = found.beside.run
    over = run.strengths.mean(1) > found.task.targets / 2
    return [float(run.time[column.nonzero()[0, 0]]) if bool(column.any()) else None for column in over.T]


def _z(found: SaddleToSaddle) -> Array:
    """``(T, r)``, networks less the equation of a mode in standard errors; NaN where all are still equal."""
    difference, error = found.beside.difference, found.beside.standard_error
    z: Array = torch.where(error > 0, difference / error, torch.nan).numpy()
    return z


# ----------------------------------------------------------------------- modes
def _modes(found: SaddleToSaddle) -> Figure:
    run, flow = found.beside.run, found.beside.flow
    at = _spread(len(run.time), _MARKS)
    marks: list[Mark] = []
    for number, goal in enumerate(found.task.targets.tolist()):
        name, role = _name(goal), _role(number)
        mean, error = _mean(found, number)
        marks.append(Line(run.time.numpy(), flow[:, number].numpy(), f"{name}, gradient flow", role))
        marks.append(Points(run.time[at].numpy(), mean[at], f"{name}, SGD", role))
        for i in at:
            span = [mean[i] - _BARS * error[i], mean[i] + _BARS * error[i]]
            marks.append(Line([float(run.time[i])] * 2, span, f"{name}, SGD", role, faint=True))
    panel = Panel("", _TIME, Axis("Strength of the mode", "", zero=True), tuple(marks))
    caption = (
        "Lines: gradient flow of each mode, exact. Points: mean over full networks trained by SGD from the same "
        "aligned start, with 95 % intervals, which are often smaller than the points."
    )
    return Figure("modes", "Strength of the modes", caption, (panel,))


def _mode_table(found: SaddleToSaddle) -> Table:
    run, z = found.beside.run, _z(found)
    columns = (
        Column("target", "Target s*", "", "g"),
        Column("time", "Time", "", ".3f"),
        Column("flow", "Gradient flow", "", ".5f"),
        Column("sgd", "SGD", "", ".5f"),
        Column("error", "Standard error", "", ".1e"),
        Column("equation", "Equation of the mode", "", ".5f"),
        Column("z", "z", "", "+.2f"),
    )
    rows = []
    for number, goal in enumerate(found.task.targets.tolist()):
        mean, error = _mean(found, number)
        predicted = found.beside.predicted[:, :, number].nanmean(1)
        rows += [
            (
                goal,
                float(run.time[i]),
                float(found.beside.flow[i, number]),
                float(mean[i]),
                float(error[i]),
                float(predicted[i]),
                None if np.isnan(z[i, number]) else float(z[i, number]),
            )
            for i in _spread(len(run.time), _ROWS)
        ]
    caption = (
        "SGD: mean over the networks. Equation of the mode: mean over as many of its paths; it has the noise of SGD, "
        "gradient flow has none. z: difference of these two means in standard errors."
    )
    return Table("modes", "Strength of the modes", caption, columns, tuple(rows))


def _mean(found: SaddleToSaddle, number: int) -> tuple[Array, Array]:
    """Mean of the networks and its standard error, ``(T,)`` each."""
    strengths = found.beside.run.strengths[:, :, number]
    return strengths.mean(1).numpy(), (strengths.std(1) / strengths.shape[1] ** 0.5).numpy()


# --------------------------------------------------------------------- saddles
def _loss(found: SaddleToSaddle) -> Figure:
    flow, run = found.flow, found.beside.run
    time, at = flow.time.numpy(), _spread(len(run.time), _MARKS)
    losses: list[Mark] = [
        Line(time, flow.loss.numpy(), "gradient flow", "neutral"),
        Points(run.time[at].numpy(), run.loss[at].mean(1).numpy(), "SGD, mean", "neutral"),
    ]
    slopes: list[Mark] = [Line(time, _positive(flow.gradient_norm.numpy()), "gradient flow", "neutral")]
    for number, p in enumerate(found.plateaus):
        label = f"{_saddle(found, p.learned)}, index {p.index}"
        level = float(p.classification.value)
        losses.append(Line([p.since, p.until], [level, level], label, _role(number), dashed=True))
        nearest = int((flow.time - p.time).abs().argmin())
        height = float(flow.gradient_norm[nearest])
        if height > 0:
            slopes.append(Points([p.time], [height], label, _role(number)))
    panels = (
        Panel("Loss", _TIME, Axis("Population loss", "", zero=True), tuple(losses)),
        Panel("Gradient", _TIME, Axis("Norm of the gradient", "", "log"), tuple(slopes)),
    )
    caption = (
        "Dashed: loss of the saddle that a search from each plateau ends at, over the time of that plateau. Right: the "
        "gradient is smallest there. A loss of 0 is the minimum."
    )
    return Figure("loss", "Loss along gradient flow", caption, panels, columns=2)


def _saddles(found: SaddleToSaddle) -> Table:
    columns = (
        Column("saddle", "Saddle"),
        Column("time", "Nearest at", "", ".3f"),
        Column("since", "From", "", ".3f"),
        Column("until", "To", "", ".3f"),
        Column("level", "Loss, by formula", "", ".4f"),
        Column("loss", "Loss, measured", "", ".4f"),
        Column("predicted_index", "Index, by formula", "", "d"),
        Column("index", "Index, measured", "", "d"),
        Column("kind", "Kind by the Hessian"),
        Column("distance", "Distance of the flow", "", ".2g"),
    )
    rows = tuple(
        (
            _saddle(found, p.learned),
            p.time,
            p.since,
            p.until,
            _level(found, p.learned),
            float(p.classification.value) if p.converged else None,
            p.predicted_index,
            p.index if p.converged else None,
            p.classification.kinds[0] if p.converged else "search did not end",
            p.distance,
        )
        for p in found.plateaus
    )
    caption = (
        "Index: negative eigenvalues of the Hessian, counted at the point where a search from the plateau ends; by "
        "formula (r − k)(width − k) for 2 layers with k of r modes learned. "
        + (
            "Loss by formula: half the sum of squares of the modes not learned."
            if found.task.depth == 2
            else "Beyond 2 layers the index is 0: the Hessian does not see the way out of these saddles, and a "
            "classification by eigenvalues calls them minima or plateaus. Loss by formula: half the sum of squares of "
            "the modes not learned."
        )
    )
    return Table("saddles", "Saddles that gradient flow visits", caption, columns, rows)


def _level(found: SaddleToSaddle, learned: Sequence[int]) -> float:
    missing = [number for number in range(found.task.modes) if number not in learned]
    return float(found.task.targets[missing].square().sum()) / 2


def _saddle(found: SaddleToSaddle, learned: Sequence[int]) -> str:
    """Which modes are learned there, by their targets."""
    if not learned:
        return "nothing learned"
    return f"s* = {', '.join(f'{found.task.targets[number]:g}' for number in learned)} learned"


# ------------------------------------------------------------------- diffusion
def _diffusion(found: SaddleToSaddle) -> Figure:
    kinds = [("Without label noise", found.quiet)]
    if found.noisy:
        kinds.append((f"With label noise σ = {found.task.noise:g}", found.noisy))
    x = np.linspace(0, 1.2, 241)
    panels = []
    for title, modes in kinds:
        marks: list[Mark] = []
        for number, q in enumerate(modes):
            name, role, scale = _name(q.sde.target), _role(number), _scale(q.sde)
            # Without label noise all modes share one curve.
            own = q.sde.noise > 0
            what, line_role = (f"{name}, ", role) if own else ("", "neutral")
            if own or number == 0:
                line = q.sde.diffusion(torch.from_numpy(x * q.sde.target), "s").square().numpy() / scale
                marks.append(Line(x, line, f"{what}equation", line_role))
                if np.isfinite(q.peak):
                    marks.append(VerticalLine(q.peak / q.sde.target, f"{what}peak", line_role, dotted=True))
            if q.profile is not None:
                part, squared = q.profile.s.numpy() / q.sde.target, q.profile.squared.numpy() / scale
                marks.append(Points(part, squared, f"{name}, SGD", role))
        across, upwards = Axis("Strength s / s*", ""), Axis("Squared diffusion, scaled", "", zero=True)
        panels.append(Panel(title, across, upwards, tuple(marks)))
    caption = (
        "How strongly the noise of SGD moves a mode, over (η/B) L² s*^(6−4/L), against how much of it is learned. "
        "Lines: the equation. Points: "
        "variance of the steps of full networks while they learn. Dotted: the maximum by formula, before the mode is "
        "learned at 1. Label noise keeps diffusion alive at the target, the more so for weak modes."
    )
    return Figure("diffusion", "Diffusion along the modes", caption, tuple(panels), columns=2)


def _scale(sde: ModeSDE) -> float:
    """Unit of squared diffusion in which modes without label noise share a curve."""
    return sde.temperature * sde.depth**2 * float(sde.target ** (6 - 4 / sde.depth))


def _peaks(found: SaddleToSaddle) -> Table:
    columns = (
        Column("target", "Target s*", "", "g"),
        Column("noise", "Label noise σ", "", "g"),
        Column("peak", "Peak s/s*, by formula", "", ".4f"),
        Column("measured", "Peak s/s*, measured", "", ".4f"),
    )

    def part(value: float, q: ModeDiffusion) -> float | None:
        return value / q.sde.target if np.isfinite(value) else None

    rows = tuple(
        (q.sde.target, q.sde.noise, part(q.peak, q), part(q.measured_peak, q)) for q in (*found.quiet, *found.noisy)
    )
    caption = (
        "Measured: maximum of a cubic through the logarithm of the variance of steps near the peak. Empty: the noise "
        "is so strong that diffusion has no maximum before the target, or there were fewer than 100 steps in a bin."
    )
    return Table("peaks", "Where diffusion is largest", caption, columns, rows)


# --------------------------------------------------------------------- at rest
def _laws(rests: Sequence[ModeAtRest]) -> Figure:
    panels = []
    for rest in rests:
        width = rest.law.variance**0.5
        low, high = rest.law.mean - _WIDE * width, rest.law.mean + _WIDE * width
        near = (rest.law.s > low) & (rest.law.s < high)
        marks: list[Mark] = [
            Line(rest.law.s[near].numpy(), rest.law.density[near].numpy(), "zero-flux density", "neutral")
        ]
        for label, samples, role in (("equation", rest.paths, "series 0"), ("SGD", rest.networks, "series 1")):
            heights, edges = np.histogram(samples.numpy().ravel(), _BINS, (low, high))
            heights = heights / (samples.numel() * (edges[1] - edges[0]))
            marks.append(Points((edges[1:] + edges[:-1]) / 2, heights, label, role))
        panels.append(Panel(_name(rest.sde.target), Axis("Strength", ""), Axis("Density", "", zero=True), tuple(marks)))
    caption = (
        "Line: law with zero flux of probability. Points: histograms of paths of the equation and of full networks "
        "under SGD, after they forgot where they began."
    )
    return Figure("stationary", "Stationary laws", caption, tuple(panels), columns=min(3, len(panels)))


def _variances(rests: Sequence[ModeAtRest]) -> Table:
    columns = (
        Column("target", "Target s*", "", "g"),
        Column("formula", "Formula", "", ".3e"),
        Column("law", "Zero-flux law", "", ".3e"),
        Column("equation", "Equation", "", ".3e"),
        Column("equation_error", "Standard error", "", ".1e"),
        Column("stepped", "Law, steps of η", "", ".3e"),
        Column("sgd", "SGD", "", ".3e"),
        Column("sgd_error", "Standard error", "", ".1e"),
    )
    rows = tuple(
        (
            rest.sde.target,
            rest.formula,
            rest.law.variance,
            *rest.variance("paths"),
            rest.stepped,
            *rest.variance("networks"),
        )
        for rest in rests
    )
    caption = (
        "Formula: (η/B) σ² L s*^(2−2/L) / 2, for small η/B. Compare the equation with the law, and SGD with the law "
        "over 1 − ηλ/2, λ = L s*^(2−2/L): what steps of length η add to continuous time."
    )
    return Table("stationary", "Variance at rest", caption, columns, rows)


# ---------------------------------------------------------------------- shared
def _name(goal: float) -> str:
    return f"s* = {goal:g}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _role(number: int) -> str:
    return f"series {number % 6}"


def _spread(length: int, count: int) -> list[int]:
    """So many places from the first to the last."""
    return [int(i) for i in np.unique(np.linspace(0, length - 1, count).round())]


def _positive(values: Array) -> Array:
    return np.where(values > 0, values, np.nan)
