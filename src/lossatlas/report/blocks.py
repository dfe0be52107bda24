"""Blocks: what a section of the report is made of, before it is typeset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from lossatlas.core.table import Table
from lossatlas.report.citations import Citation
from lossatlas.report.figure import Figure

__all__ = ["Block", "Definitions", "Listing", "Notice", "Prose", "References", "Section"]


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


Block: TypeAlias = Prose | Notice | Definitions | Listing | References | Table | Figure


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
        """The tables among the blocks."""
        return tuple(block for block in self.blocks if isinstance(block, Table))
