"""The page about a diagnosis: what is wrong at a point, why we think so, and what to do."""

from __future__ import annotations

from pathlib import Path

from lossatlas.report.blocks import Section
from lossatlas.report.diagnosing.findings import finding_sections
from lossatlas.report.diagnosing.summary import layers, measured, method, summary
from lossatlas.report.write_page import write_page
from lossatlas.study.diagnosed import Diagnosed

__all__ = ["build_diagnosis", "write_diagnosis"]


def build_diagnosis(found: Diagnosed) -> tuple[Section, ...]:
    """Build every section: the answer, a section for each finding, the layers, all measurements, the method."""
    sections = [summary(found), *finding_sections(found), layers(found), measured(found), method(found)]
    return tuple(section for section in sections if section is not None)


def write_diagnosis(found: Diagnosed, folder: str | Path) -> Path:
    """Write ``report.html``, ``tables/*.csv`` and ``figures/*.{png,svg,csv}``.

    Args:
        found: the diagnosis.
        folder: where to write.

    Returns:
        The path of ``report.html``, which is written last.

    Raises:
        StorageError: the folder cannot be written.
    """
    subtitle = f"What is wrong at {found.label} on the landscape {found.name}, if anything."
    return write_page(folder, f"Diagnosis of {found.label}", subtitle, build_diagnosis(found))
