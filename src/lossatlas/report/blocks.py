"""Blocks: what a section of the report is made of, before it is typeset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from lossatlas.core.table import Table
from lossatlas.report.citations import Citation
from lossatlas.report.figure import Figure

__all__ = ["Block", "Definitions", "Group", "Groups", "Listing", "Notice", "Prose", "References", "Section"]


@dataclass(frozen=True)
class Prose:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Notice:
    """Something the reader must not overlook: a sentence, and the things it is about."""

    text: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Definitions:
    """Terms and their values under a heading."""

    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Listing:
    """Text for a computer, under a heading; ``folded`` hides it until asked for."""

    title: str
    text: str
    folded: bool = False


@dataclass(frozen=True)
class References:
    """Works to cite."""

    citations: tuple[Citation, ...]


@dataclass(frozen=True)
class Group:
    """Some rows of a long table.

    Args:
        title: what they have in common.
        remark: what they come to, in a few words, seen while they are folded.
        note: sentences above the rows.
        rows: cells as text.
        absent: what has no row, and why.
    """

    title: str
    remark: str
    note: str
    rows: tuple[tuple[str, ...], ...]
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Groups:
    """A table too long to be read at once, in groups that are folded until asked for.

    Args:
        table: the whole table, with its caption; it is what can be downloaded.
        headings: of the columns that are shown.
        groups: its rows.
    """

    table: Table
    headings: tuple[str, ...]
    groups: tuple[Group, ...]


Block: TypeAlias = Prose | Notice | Definitions | Listing | References | Groups | Table | Figure


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Args:
        anchor: its place in the page: small letters and hyphens.
        title: heading.
        blocks: content from top to bottom.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures among the blocks."""
        return tuple(block for block in self.blocks if isinstance(block, Figure))

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables among the blocks, those in groups too."""
        found = (block.table if isinstance(block, Groups) else block for block in self.blocks)
        return tuple(block for block in found if isinstance(block, Table))
