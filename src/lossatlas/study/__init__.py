"""Studies: typed recipes, a content-addressed store, resume."""

from __future__ import annotations

from lossatlas.study.config import StudyConfig
from lossatlas.study.connecting import connect
from lossatlas.study.connection import Connection, Route
from lossatlas.study.connection_store import load_connection
from lossatlas.study.diagnosed import Diagnosed, load_diagnosis
from lossatlas.study.diagnosing import diagnose
from lossatlas.study.executors import EXECUTORS, Executor, Observer
from lossatlas.study.load import load_config, recipe_names, recipe_summary
from lossatlas.study.plan import PlannedPiece, plan
from lossatlas.study.results import (
    Atlas,
    Experiment,
    Holdout,
    Map,
    Pair,
    SetComparison,
    StudyResults,
    WeightAnalysis,
)
from lossatlas.study.slicing import Slicing, load_slicing, slice_landscape
from lossatlas.study.spectra import PointSpectrum, Spectra
from lossatlas.study.spectra_store import load_spectra
from lossatlas.study.spectrum import spectrum
from lossatlas.study.store import Piece
from lossatlas.study.study import PieceStatus, Study
from lossatlas.study.surface import Surface, surface

__all__ = [
    "EXECUTORS",
    "Atlas",
    "Connection",
    "Diagnosed",
    "Executor",
    "Experiment",
    "Holdout",
    "Map",
    "Observer",
    "Pair",
    "Piece",
    "PieceStatus",
    "PlannedPiece",
    "PointSpectrum",
    "Route",
    "SetComparison",
    "Slicing",
    "Spectra",
    "Study",
    "StudyConfig",
    "StudyResults",
    "Surface",
    "WeightAnalysis",
    "connect",
    "diagnose",
    "load_config",
    "load_connection",
    "load_diagnosis",
    "load_slicing",
    "load_spectra",
    "plan",
    "recipe_names",
    "recipe_summary",
    "slice_landscape",
    "spectrum",
    "surface",
]
