"""Paths that were searched for: how far the loss must rise between two minima, and how sure that is."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.figure import Figure, Panel
from lossatlas.report.methods.phrases import count
from lossatlas.report.profiles import SET_NAMES, bound_on_passes, comparison_panel, drawn_note, searched
from lossatlas.report.records import by_network
from lossatlas.report.wording import listing, network_name, number, spelled
from lossatlas.study.results import Experiment, Pair, StudyResults

__all__ = ["build"]


def _stages(experiments: tuple[Experiment, ...]) -> list[tuple[str, str]]:
    """Stages and weight sets with paths, in order."""
    return list(
        dict.fromkeys(
            (stage, weight_set) for weight_set in SET_NAMES for e in experiments for stage in searched(e, weight_set)
        )
    )


def _figure(results: StudyResults) -> Figure | None:
    panels: list[Panel] = []
    for network, experiments in by_network(results).items():
        for stage, weight_set in _stages(experiments):
            title = f"{network_name(network)}, {SET_NAMES[weight_set]}: {stage}"
            panel = comparison_panel(experiments, weight_set, stage, title)
            if panel is not None:
                panels.append(panel)
    if not panels:
        return None
    caption = (
        "Training loss along the paths found (solid) and along the straight lines between the same minima (dashed). "
        "Where the solid line stays near its ends while the dashed one rises, the two minima lie in one valley that is "
        "not straight."
    )
    caption += drawn_note(
        len(pairs)
        for experiment in results.experiments
        for weight_set in SET_NAMES
        for pairs in searched(experiment, weight_set).values()
    )
    return Figure("passes", "Loss along paths that were searched for", caption, tuple(panels), columns=2)


def _pairs(results: StudyResults) -> list[Pair]:
    return [
        pair
        for experiment in results.experiments
        for weight_set in SET_NAMES
        for pairs in searched(experiment, weight_set).values()
        for pair in pairs
    ]


def _extent(pairs: list[Pair], networks: list[str], configuration: Mapping[str, Any]) -> str:
    """What was searched, and how much of a search it was."""
    methods = listing(list(dict.fromkeys(pair.path.method for pair in pairs)))
    gradients = [pair.path.evaluations.get("gradients", 0) for pair in pairs]
    spent = f"{min(gradients):,.0f}" + (f" to {max(gradients):,.0f}" if max(gradients) > min(gradients) else "")
    converged = sum(pair.path.converged for pair in pairs)
    stages = [configuration.get("paths", {}).get(name, {}) for name in dict.fromkeys(pair.stage for pair in pairs)]
    return (
        f"{spelled(len(pairs)).capitalize()} paths on {listing([network_name(name) for name in networks])}, found by "
        f"{methods} with {spent} full-batch gradients each; {spelled(converged)} of them met the search's tolerance. "
        f"{bound_on_passes(stages)}"
    )


def _beside_lines(results: StudyResults) -> list[tuple[float, float]]:
    """Barriers of searched paths and of the straight lines between the same ends, aligned like them."""
    found = []
    for experiment in results.experiments:
        for weight_set in SET_NAMES:
            straight = {
                (p.first, p.second, p.aligned, p.landscape): p.path.barrier
                for p in experiment.pairs.get(weight_set, ())
                if p.path.method == "linear"
            }
            for pair in (p for own in searched(experiment, weight_set).values() for p in own):
                line = straight.get((pair.first, pair.second, pair.aligned, pair.landscape))
                if line is not None:
                    found.append((pair.path.barrier, line))
    return found


def _gain(results: StudyResults) -> str | None:
    """How much lower the paths are than the straight lines between the same ends."""
    both = _beside_lines(results)
    if not both:
        return None
    lower = sum(barrier < line for barrier, line in both)
    text = f"Of {count(len(both), 'barrier')} beside a straight line between the same ends, "
    text += f"{'all' if lower == len(both) else spelled(lower)} {'is' if lower == 1 else 'are'} lower"
    none = sum(barrier <= 0 for barrier, _ in both)
    if none:
        text += f"; {spelled(none)} of the paths {'has' if none == 1 else 'have'} no barrier at all"
    ratios = [line / barrier for barrier, line in both if barrier > 0 and line > 0]
    if ratios:
        text += f"; of the other {spelled(len(ratios))}" if none else ";"
        text += f" the line's is {number(statistics.median(ratios))} times as high in the median"
    return f"{text}."


def build(results: StudyResults) -> Section | None:
    """Show the table of searched paths and the loss along them."""
    pairs = _pairs(results)
    if not pairs:
        return None
    networks = [name for name, experiments in by_network(results).items() if _stages(experiments)]
    sentences = [_extent(pairs, networks, results.configuration), _gain(results)]
    blocks: list[Block] = [Prose(sentence) for sentence in sentences if sentence]
    table = results.tables.get("passes")
    if table is not None and table.rows:
        blocks.append(table)
    figure = _figure(results)
    if figure is not None:
        blocks.append(figure)
    return Section("passes", "Low paths between minima", tuple(blocks))
