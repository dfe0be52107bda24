"""Straight lines between pairs of minima: how high the loss rises on them."""

from __future__ import annotations

from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.figure import Figure, Panel
from lossatlas.report.profiles import SET_NAMES, barrier_panel, drawn_note, linear_pairs, profile_panel
from lossatlas.report.records import by_network
from lossatlas.report.wording import network_name
from lossatlas.study.results import StudyResults

__all__ = ["build"]


def _distribution(results: StudyResults) -> Figure | None:
    table = results.tables.get("barriers")
    found = [barrier_panel(es, network_name(name), table) for name, es in by_network(results).items()]
    panels = tuple(panel for panel in found if panel is not None)
    caption = (
        "Each point is the straight line between two replicas: how far the training loss rises above the higher of its "
        "two ends. Points are spread vertically only to keep them apart"
    )
    means = any(mark.label == "mean" for panel in panels for mark in panel.marks)
    caption += "; ticks are means." if means else "."
    if not panels:
        return None
    return Figure("barriers", "Barriers on straight lines between minima", caption, panels, columns=2)


def _profiles(results: StudyResults) -> Figure | None:
    panels: list[Panel] = []
    for network, experiments in by_network(results).items():
        for weight_set, words in SET_NAMES.items():
            panel = profile_panel(experiments, weight_set, f"{network_name(network)}, {words}")
            if panel is not None:
                panels.append(panel)
    if not panels:
        return None
    caption = (
        "Training loss on every straight line w(t) = (1 − t)·a + t·b between two replicas a and b of one weight set. "
        "A flat line would join two points of one basin; a hump is a barrier between two."
    )
    caption += drawn_note(len(linear_pairs(e, weight_set)) for e in results.experiments for weight_set in SET_NAMES)
    return Figure("profiles", "Loss along straight lines between minima", caption, tuple(panels), columns=2)


def build(results: StudyResults) -> Section | None:
    """Show the table of barriers, their distribution, and the loss along the lines."""
    table = results.tables.get("barriers")
    drawn = [figure for figure in (_distribution(results), _profiles(results)) if figure is not None]
    if not drawn and (table is None or not table.rows):
        return None
    intro = Prose(
        "Two minima lie in one basin if some path between them climbs above neither. The straight line is the simplest "
        "path; its barrier is an upper bound, as a curved path may pass lower."
    )
    blocks: list[Block] = [intro]
    if table is not None and table.rows:
        blocks.append(table)
    return Section("barriers", "Straight lines between minima", (*blocks, *drawn))
