"""What computing a piece of a study may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lossatlas.problems import Problem
from lossatlas.study.config import StudyConfig
from lossatlas.study.results import Gathered
from lossatlas.study.store import Piece, Store

__all__ = ["Context", "Update"]

Update: TypeAlias = Callable[[float, str], None]
"""Called with the fraction done and a short text."""


@dataclass(frozen=True)
class Context:
    """What computing a piece may use.

    Args:
        config: the study's configuration.
        problems: by network, numerics fixed.
        store: where results of other pieces are.
        gather: reads the stored results of some pieces together.
        checkpoint_seconds: least time between two checkpoints of a piece.
    """

    config: StudyConfig
    problems: Mapping[str, Problem]
    store: Store
    gather: Callable[[Sequence[Piece]], Gathered]
    checkpoint_seconds: float = 30.0
