"""What every form of the report shares: the text of cells, and the numbers of figures and tables."""

from __future__ import annotations

from collections.abc import Sequence

from lossatlas.core.table import Table
from lossatlas.report.blocks import Block, Groups, Section
from lossatlas.report.figure import Figure
from lossatlas.report.wording import cell_name, typeset

__all__ = ["cell_text", "labels_of"]


def cell_text(table: Table, row: int, column: int) -> str:
    """The text of one cell for people."""
    value = table.rows[row][column]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return cell_name(table.columns[column].key, value) if isinstance(value, str) else typeset(table.shown(row, column))


def labels_of(sections: Sequence[Section]) -> dict[int, str]:
    """Number figures and tables as they come, keyed by identity."""
    counts = {"Figure": 0, "Table": 0}
    labels: dict[int, str] = {}
    blocks: list[Block] = [block for section in sections for block in section.blocks]
    for block in blocks:
        if isinstance(block, Figure | Groups | Table):
            word = "Figure" if isinstance(block, Figure) else "Table"
            counts[word] += 1
            labels[id(block)] = f"{word} {counts[word]}"
    return labels
