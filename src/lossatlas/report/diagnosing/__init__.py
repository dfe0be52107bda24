"""The page about a diagnosis: what is wrong at a point, why we think so, and what to do."""

from __future__ import annotations

from pathlib import Path

from lossatlas.core.files import write_atomic
from lossatlas.report.blocks import Section
from lossatlas.report.diagnosing.findings import finding_sections
from lossatlas.report.diagnosing.summary import layers, measured, method, summary
from lossatlas.report.matplotlib_backend import render_all
from lossatlas.report.page import render_page
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
    target = Path(folder).expanduser().absolute()
    sections = build_diagnosis(found)
    for section in sections:
        for table in section.tables:
            write_atomic(target / "tables" / f"{table.name}.csv", table.to_csv())
        for figure in section.figures:
            for suffix, content in render_all(figure, ("png", "svg")).items():
                write_atomic(target / "figures" / f"{figure.name}.{suffix}", content)
            write_atomic(target / "figures" / f"{figure.name}.csv", figure.to_csv())
    subtitle = f"What is wrong at {found.label} on the landscape {found.name}, if anything."
    write_atomic(target / "report.html", render_page(f"Diagnosis of {found.label}", subtitle, sections))
    return target / "report.html"
