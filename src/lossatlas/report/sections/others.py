"""Tables that no other section shows, so that nothing stored goes unseen."""

from __future__ import annotations

from lossatlas.report.blocks import Section
from lossatlas.study.results import StudyResults

__all__ = ["build"]

_SHOWN_ELSEWHERE = {
    "table1",
    "barriers",
    "passes",
    "replicas",
    "distances",
    "separation",
    "sharpness",
    "claims",
    "side_by_side",
    "early_stopping",
}


def build(results: StudyResults) -> Section | None:
    """Show the remaining tables."""
    tables = tuple(t for name, t in results.tables.items() if name not in _SHOWN_ELSEWHERE and t.rows)
    return Section("further-tables", "Further tables", tables) if tables else None
