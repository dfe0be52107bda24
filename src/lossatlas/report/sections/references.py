"""The works that the study's methods, networks and data come from."""

from __future__ import annotations

from lossatlas.report.blocks import Prose, References, Section
from lossatlas.report.citations import citations_for
from lossatlas.study.results import StudyResults

__all__ = ["build"]


def build(results: StudyResults) -> Section:
    """List what to cite when these results are used."""
    intro = Prose("The methods, networks and data used here come from these works.")
    return Section("references", "References", (intro, References(citations_for(results))))
