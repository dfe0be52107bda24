"""Studies: typed recipes, a content-addressed store, resume."""

from __future__ import annotations

from lossatlas.study.config import StudyConfig, load_config, recipe_names, recipe_summary
from lossatlas.study.plan import PlannedPiece, plan
from lossatlas.study.results import Atlas, Experiment, Pair, StudyResults
from lossatlas.study.store import Piece
from lossatlas.study.study import Observer, PieceStatus, Study

__all__ = [
    "Atlas",
    "Experiment",
    "Observer",
    "Pair",
    "Piece",
    "PieceStatus",
    "PlannedPiece",
    "Study",
    "StudyConfig",
    "StudyResults",
    "load_config",
    "plan",
    "recipe_names",
    "recipe_summary",
]
