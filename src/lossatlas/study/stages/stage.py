"""Stage: one kind of computation of a study, from its pieces to its results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lossatlas.core.files import Tree
from lossatlas.study.config import StudyConfig
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.numerics import StudyNumerics
from lossatlas.study.results import Gathered
from lossatlas.study.store import Piece, Store

__all__ = ["Planning", "Stage", "of_kind"]


@dataclass(frozen=True)
class Planning:
    """What listing the pieces of a study may use.

    Args:
        config: the study's configuration.
        details: of each network's data and model, by network.
        numerics: of the study.
    """

    config: StudyConfig
    details: Mapping[str, Mapping[str, Any]]
    numerics: StudyNumerics


class Stage(ABC):
    """One kind of piece: which there are, how each is computed, what it costs and what it adds to the results.

    A stage is added by one file in this package and one line in its list.
    """

    kind: ClassVar[str]
    """Name of the kind, the first word of each piece."""

    version: ClassVar[int]
    """Raised when a change of the code changes results, so that old ones are not taken for new."""

    @abstractmethod
    def pieces(self, planning: Planning, earlier: Sequence[Piece]) -> list[Piece]:
        """List the pieces.

        Args:
            planning: configuration, details of the problems and numerics.
            earlier: pieces of the stages before this one.
        """

    def begin(self, piece: Piece, store: Store) -> None:
        """Make what an earlier piece left the checkpoint of this one; most kinds leave nothing."""
        del piece, store

    @abstractmethod
    def compute(self, piece: Piece, context: Context, update: Update) -> Tree:
        """Compute a piece, as it is stored."""

    @abstractmethod
    def cost(self, piece: Piece, costs: Costs) -> Cost:
        """Predict what a piece needs."""

    @abstractmethod
    def read(self, piece: Piece, result: Tree, seconds: float, gathered: Gathered) -> None:
        """Add a stored piece to the results."""


def of_kind(pieces: Sequence[Piece], kind: str) -> list[Piece]:
    """The pieces of one kind."""
    return [piece for piece in pieces if piece.kind == kind]
