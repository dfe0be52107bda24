"""Write a study's report: the page, and beside it every figure and table as files."""

from __future__ import annotations

from pathlib import Path

from lossatlas.core.files import write_atomic
from lossatlas.report.blocks import Section
from lossatlas.report.figure_files import write_figures
from lossatlas.report.markdown import render_markdown
from lossatlas.report.page import render_page
from lossatlas.report.sections import SECTIONS
from lossatlas.report.wording import listing
from lossatlas.study.results import StudyResults

__all__ = ["write"]


def build_sections(results: StudyResults) -> tuple[Section, ...]:
    """Build every section for which the study has results."""
    built = [build(results) for build in SECTIONS]
    return tuple(section for section in built if section is not None)


def subtitle(results: StudyResults) -> str:
    """What the study holds, in one line."""
    pairs = [pair for each in results.experiments for found in each.pairs.values() for pair in found]
    holds = {
        "how deep they ended": bool(results.experiments),
        "how high the straight lines between them rise": any(pair.plain for pair in pairs),
        "how low other paths pass": not all(pair.plain for pair in pairs) or bool(results.atlases),
        "how their weights differ": bool(results.weights),
        "what becomes of the paper's claims": "claims" in results.tables,
    }
    told = [words for words, held in holds.items() if held]
    if not told:
        return "Paths on landscapes of two coordinates." if results.maps else "Nothing has been computed yet."
    return f"Trained replicas: {listing(told)}."


def write(results: StudyResults, folder: Path | None = None, *, markdown: bool = False) -> Path:
    """Write ``report.html``, ``tables/*.csv`` and ``figures/*.{png,svg,csv}``.

    Args:
        results: what the study has stored; it may be incomplete.
        folder: where to write; None is the study's own folder.
        markdown: write ``report.md`` too, with the same sections.

    Returns:
        The path of ``report.html``. It is written last, so it never links to a file that is not there yet.

    Raises:
        StorageError: the folder cannot be written.
    """
    target = results.folder if folder is None else folder
    sections = build_sections(results)
    for table in results.tables.values():
        write_atomic(target / "tables" / f"{table.name}.csv", table.to_csv())
    write_figures(target, (figure for section in sections for figure in section.figures))
    title, below = f"Loss landscapes: {results.name}", subtitle(results)
    if markdown:
        write_atomic(target / "report.md", render_markdown(title, below, sections))
    page = target / "report.html"
    write_atomic(page, render_page(title, below, sections))
    return page
