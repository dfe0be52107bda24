"""Table 1: losses and accuracies of the kept replicas."""

from __future__ import annotations

from lossatlas.report.blocks import Section
from lossatlas.study.results import StudyResults

__all__ = ["build"]


def build(results: StudyResults) -> Section | None:
    """Show Table 1, where it has been computed."""
    table = results.tables.get("table1")
    return Section("losses", "Losses and accuracies", (table,)) if table is not None and table.rows else None
