"""Table: numbers with names, units and a caption; stored as CSV, shown in reports."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lossatlas.core.errors import InputError

__all__ = ["Column", "Table"]

# Below this, numbers are shown without powers of ten.
_PLAIN = 1e4

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        key: name in the CSV, such as ``"train_loss_mean"``.
        label: heading for people, such as ``"Training loss"``.
        unit: unit, or "" for a pure number or text.
        format: Python format specification for display, such as ``".2e"``; "" for text.
    """

    key: str
    label: str
    unit: str = ""
    format: str = ""


@dataclass(frozen=True)
class Table:
    """A table of results.

    Args:
        name: identifier, also the file name: ``"table1"``.
        title: heading.
        caption: what to see, and how the numbers were made.
        columns: the columns.
        rows: one tuple per row, as long as ``columns``; None is an empty cell.

    Raises:
        InputError: a row has the wrong length.

    Example:
        >>> columns = (Column("net", "Network"), Column("loss", "Loss", "nat", ".1e"))
        >>> table = Table("t", "Losses", "Mean over runs.", columns, (("fcp", 1.25e-8),))
        >>> print(table.to_csv(), end="")
        net,loss
        fcp,1.25e-08
        >>> table.shown(0, 1)
        '1.2e-08'
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InputError(f"expected rows of {len(self.columns)} cells in table '{self.name}', got {len(row)}")

    def column(self, key: str) -> list[Any]:
        """All cells of one column, top to bottom."""
        index = [column.key for column in self.columns].index(key)
        return [row[index] for row in self.rows]

    def records(self) -> list[dict[str, Any]]:
        """Rows as dictionaries keyed by column."""
        keys = [column.key for column in self.columns]
        return [dict(zip(keys, row, strict=True)) for row in self.rows]

    def shown(self, row: int, column: int) -> str:
        """The text of one cell as people should see it; an en dash where there is no number."""
        cell = self.rows[row][column]
        if cell is None:
            return "–"
        how = self.columns[column].format
        text = format(cell, how)
        # A general format of one digit writes 12 as 1e+01.
        plain = isinstance(cell, float) and how.endswith("g") and "e+" in text and abs(cell) < _PLAIN
        return f"{cell:.0f}" if plain else text

    def to_csv(self) -> str:
        """Full-precision CSV: floats as the shortest text that reads back to the same bits."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([column.key for column in self.columns])
        writer.writerows([["" if cell is None else cell for cell in row] for row in self.rows])
        return stream.getvalue()

    def to_tree(self) -> dict[str, Any]:
        """Return plain JSON-able content."""
        return asdict(self)

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Table:
        """Rebuild a table from :meth:`to_tree`."""
        columns = tuple(Column(**column) for column in tree["columns"])
        rows: Sequence[Sequence[Cell]] = tree["rows"]
        return cls(tree["name"], tree["title"], tree["caption"], columns, tuple(tuple(row) for row in rows))
