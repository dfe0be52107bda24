"""Stages: the kinds of computation of a study, each after what it needs."""

from __future__ import annotations

from lossatlas.study.stages.atlas import Atlases
from lossatlas.study.stages.claims import Claims
from lossatlas.study.stages.curvature import Curvatures
from lossatlas.study.stages.ensembles import Ensembles
from lossatlas.study.stages.holdout import Holdouts
from lossatlas.study.stages.maps import Maps
from lossatlas.study.stages.paths import Paths
from lossatlas.study.stages.stage import Planning, Stage
from lossatlas.study.stages.tables import Tables
from lossatlas.study.stages.weights import Weights
from lossatlas.study.store import Piece

__all__ = ["STAGES", "Planning", "Stage", "list_pieces", "stage_of"]

STAGES: tuple[Stage, ...] = (
    Ensembles(),
    Paths(),
    Atlases(),
    Weights(),
    Curvatures(),
    Holdouts(),
    Maps(),
    Claims(),
    Tables(),
)
"""In the order in which they are computed: a stage may need pieces of those before it."""

_BY_KIND = {stage.kind: stage for stage in STAGES}


def stage_of(piece: Piece) -> Stage:
    """The stage that a piece belongs to."""
    return _BY_KIND[piece.kind]


def list_pieces(planning: Planning) -> list[Piece]:
    """All pieces of a study, each after what it needs."""
    pieces: list[Piece] = []
    for stage in STAGES:
        pieces += stage.pieces(planning, pieces)
    return pieces
