"""The page about a surface: what it looks like, what was measured on it, and what it does not show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lossatlas.core.files import write_atomic
from lossatlas.report.blocks import Section
from lossatlas.report.matplotlib_backend import render_all
from lossatlas.report.page import render_page
from lossatlas.report.slicing import method, metrics, runs, summary, surface
from lossatlas.report.surface_parts import quantity_of
from lossatlas.study.slicing import Slicing

__all__ = ["build_surface", "write_surface"]

_SECTIONS: list[Callable[[Slicing], Section | None]] = [
    summary.build,
    surface.build,
    metrics.build,
    runs.build,
    method.build,
]


def build_surface(found: Slicing) -> tuple[Section, ...]:
    """Build every section for which there is something."""
    built = [build(found) for build in _SECTIONS]
    return tuple(section for section in built if section is not None)


def write_surface(found: Slicing, folder: str | Path) -> Path:
    """Write ``report.html``, ``tables/*.csv`` and ``figures/*.{png,svg,csv}``.

    Args:
        found: the surface.
        folder: where to write.

    Returns:
        The path of ``report.html``, which is written last.

    Raises:
        StorageError: the folder cannot be written.
    """
    target = Path(folder).expanduser().absolute()
    sections = build_surface(found)
    for section in sections:
        for table in section.tables:
            write_atomic(target / "tables" / f"{table.name}.csv", table.to_csv())
        for figure in section.figures:
            for suffix, content in render_all(figure, ("png", "svg")).items():
                write_atomic(target / "figures" / f"{figure.name}.{suffix}", content)
            write_atomic(target / "figures" / f"{figure.name}.csv", figure.to_csv())
    subtitle = f"The landscape {found.name} on {summary.plane_words(found)}."
    write_atomic(target / "report.html", render_page(f"{quantity_of(found.surface)} surface", subtitle, sections))
    return target / "report.html"
