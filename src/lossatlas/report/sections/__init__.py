"""Sections of the report: one file each, in the order in which they are listed here."""

from __future__ import annotations

from collections.abc import Callable

from lossatlas.report.blocks import Section
from lossatlas.report.sections import (
    barriers,
    beside,
    claims,
    curves,
    distances,
    flatness,
    heights,
    holdout,
    kernels,
    losses,
    maps,
    method,
    others,
    passes,
    references,
    runs,
    summary,
    topography,
    workflow,
)
from lossatlas.study.results import StudyResults

__all__ = ["SECTIONS"]

SECTIONS: list[Callable[[StudyResults], Section | None]] = [
    summary.build,
    workflow.build,
    claims.build,
    losses.build,
    beside.build,
    curves.build,
    holdout.build,
    barriers.build,
    passes.build,
    heights.build,
    distances.build,
    kernels.build,
    topography.build,
    flatness.build,
    maps.build,
    others.build,
    runs.build,
    method.build,
    references.build,
]
"""Each builds a section from stored results, or None where the study has nothing for it."""
