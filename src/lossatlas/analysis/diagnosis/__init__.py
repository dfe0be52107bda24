"""Diagnosis: what is wrong at a point of a landscape, with evidence, pictures and advice."""

from __future__ import annotations

from lossatlas.analysis.diagnosis.examine import diagnose
from lossatlas.analysis.diagnosis.network_checks import FAULTLESS
from lossatlas.analysis.diagnosis.records import KINDS, Diagnosis, Evidence, Finding, Kind, Layer, Picture, Series
from lossatlas.analysis.diagnosis.run_facts import RunFacts, run_facts

__all__ = [
    "FAULTLESS",
    "KINDS",
    "Diagnosis",
    "Evidence",
    "Finding",
    "Kind",
    "Layer",
    "Picture",
    "RunFacts",
    "Series",
    "diagnose",
    "run_facts",
]
