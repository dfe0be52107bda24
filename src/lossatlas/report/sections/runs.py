"""The runs: what happened to every replica; those left out are named."""

from __future__ import annotations

from lossatlas.report.blocks import Block, Notice, Prose, Section
from lossatlas.report.records import replica_label
from lossatlas.study.results import Experiment, StudyResults

__all__ = ["build"]


def _left_out(results: StudyResults, *, diverged: bool) -> tuple[str, ...]:
    def names(experiment: Experiment) -> list[str]:
        return [
            f"{replica_label(experiment, replica.index)}: {replica.reason or replica.status}"
            for replica in experiment.ensemble.replicas
            if not replica.kept and (replica.status == "diverged") == diverged
        ]

    return tuple(name for experiment in results.experiments for name in names(experiment))


def build(results: StudyResults) -> Section | None:
    """Name the runs that are not in the weight sets, and list all of them."""
    blocks: list[Block] = []
    if diverged := _left_out(results, diverged=True):
        count = "1 run" if len(diverged) == 1 else f"{len(diverged)} runs"
        blocks.append(Notice(f"{count} diverged and took no part in any number of this report.", diverged))
    if others := _left_out(results, diverged=False):
        count = "1 run was" if len(others) == 1 else f"{len(others)} runs were"
        blocks.append(Notice(f"{count} trained but not kept.", others))
    table = results.tables.get("replicas")
    if table is not None and table.rows:
        blocks.append(table)
    if not blocks:
        return None
    if not diverged and not others:
        blocks.insert(0, Prose("No run diverged, and every run was kept."))
    return Section("runs", "The runs", tuple(blocks))
