"""A page of sections in a folder: the report, and beside it every table and figure as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lossatlas.core.files import check_folder_for, write_atomic
from lossatlas.report.blocks import Section
from lossatlas.report.figure_files import write_figures
from lossatlas.report.page import render_page

__all__ = ["check_page_folder", "write_page"]

_WRITTEN = {"report.html", "tables", "figures"}


def check_page_folder(folder: str | Path) -> None:
    """Refuse a folder that holds something else than a page, before anything is computed.

    Raises:
        StorageError: it does, or it is no folder.
    """
    check_folder_for("a page", Path(folder).expanduser().absolute(), _WRITTEN)


def write_page(folder: str | Path, title: str, subtitle: str, sections: Sequence[Section]) -> Path:
    """Write ``report.html``, ``tables/*.csv`` and ``figures/*.{png,svg,csv}``.

    Args:
        folder: where to write.
        title: heading of the page.
        subtitle: what it is about, in a sentence.
        sections: from top to bottom.

    Returns:
        The path of ``report.html``. It is written last, so it never links to a file that is not there yet.

    Raises:
        StorageError: the folder cannot be written.
    """
    target = Path(folder).expanduser().absolute()
    for section in sections:
        for table in section.tables:
            write_atomic(target / "tables" / f"{table.name}.csv", table.to_csv())
    write_figures(target, (figure for section in sections for figure in section.figures))
    page = target / "report.html"
    write_atomic(page, render_page(title, subtitle, tuple(sections)))
    return page
