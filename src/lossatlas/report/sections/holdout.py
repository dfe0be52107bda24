"""Early stopping on the test set: how much better it makes the test loss look."""

from __future__ import annotations

import math

import numpy as np

from lossatlas.analysis import stopping
from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.curves import loss_unit, positive, thinned
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Line, Mark, Points
from lossatlas.report.wording import listing, network_name, number, optimizer_name
from lossatlas.study.results import Holdout, StudyResults

__all__ = ["build"]

_CURVES = {"train_loss": "training examples", "validation_loss": "held-out examples", "test_loss": "test examples"}


def build(results: StudyResults) -> Section | None:
    """Show the table, what it comes to, and the curves of one run of each optimizer."""
    if not results.holdouts:
        return None
    blocks: list[Block] = [
        Prose(
            "Stopping where the test loss is lowest chooses and scores on the same data. Here a part of the training "
            "examples chooses instead; how much higher the test loss is there is the optimism of the other way."
        )
    ]
    table = results.tables.get("early_stopping")
    if table is not None and table.rows:
        blocks += [Prose(_sentence(table.records())), table]
    figure = _figure(results)
    if figure is not None:
        blocks.append(figure)
    return Section("early-stopping", "Early stopping on the test set", tuple(blocks))


def _sentence(records: list[dict[str, object]]) -> str:
    """The relative optimism of every network and optimizer, and what qualifies it."""
    said = []
    for record in records:
        share = record["relative"]
        if isinstance(share, float):
            owner = f"{network_name(str(record['network']))} by {optimizer_name(str(record['optimizer']))}"
            said.append(f"{owner} {number(100 * share)} %")
    text = f"Relative to the lowest test loss the optimism is, in the mean over runs: {listing(said)}."
    unfinished, runs = (sum(int(str(r[key])) for r in records) for key in ("unfinished", "runs"))
    if unfinished:
        text += (
            f" In {unfinished} of the {runs} runs the held-out loss was lowest at the end: nothing stopped them early, "
            "so they say little."
        )
    return text


def _figure(results: StudyResults) -> Figure | None:
    network = results.holdouts[0].network
    units = [loss_unit(e.ensemble) for e in results.experiments if e.network == network]
    own = [each for each in results.holdouts if each.network == network and each.stage == results.holdouts[0].stage]
    panels = [panel for each in own if (panel := _panel(each, units[0] if units else "")) is not None]
    if not panels:
        return None
    caption = (
        f"One run of each optimizer on {network_name(network)}. Both markers are on the curve of the test examples: "
        "where the loss of the held-out examples is lowest, and where that of the test examples is. The height between "
        "them is the optimism of this run."
    )
    return Figure("early-stopping", "Where a run is stopped early", caption, tuple(panels), columns=2)


def _panel(holdout: Holdout, unit: str) -> Panel | None:
    found = stopping(holdout.curves)
    if not found.replicas:
        return None
    row = found.replicas[0]
    steps = holdout.curves.steps.cpu().double().numpy()
    marks: list[Mark] = []
    for number_, (name, label) in enumerate((n, w) for n, w in _CURVES.items() if n in holdout.curves.values):
        values = positive(holdout.curves.values[name][row].detach().cpu().double().numpy())
        drawn = thinned(len(steps))
        if np.isfinite(values[drawn]).any():
            marks.append(Line(steps[drawn], values[drawn], label, f"series {number_}", member=f"replica {row}"))
    chosen = (
        ("lowest loss of held-out examples", found.validated_step[0], found.validated_loss[0], "series 1", "diamond"),
        ("lowest loss of test examples", found.lowest_step[0], found.lowest_loss[0], "series 2", "circle"),
    )
    for label, step, loss, role, marker in chosen:
        if loss > 0 and math.isfinite(loss):
            marks.append(Points([float(step)], [loss], label, role, marker, (f"replica {row}",)))  # type: ignore[arg-type]
    title = f"{network_name(holdout.network)}, {optimizer_name(holdout.optimizer)}, replica {row}"
    return Panel(title, Axis("Training time", f"{found.unit}s"), Axis("Loss", unit, "log"), tuple(marks))
