"""The page about a surface: what it looks like, what was measured on it, and what it does not show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lossatlas.report.blocks import Section
from lossatlas.report.slicing import method, metrics, runs, summary, surface
from lossatlas.report.surface_parts import quantity_of
from lossatlas.report.write_page import write_page
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
    subtitle = f"The landscape {found.name} on {summary.plane_words(found)}."
    return write_page(folder, f"{quantity_of(found.surface)} surface", subtitle, build_surface(found))
