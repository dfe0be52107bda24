"""The page about spectra: the curvature at some points of a landscape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lossatlas.core.files import write_atomic
from lossatlas.report.blocks import Section
from lossatlas.report.matplotlib_backend import render_all
from lossatlas.report.page import render_page
from lossatlas.report.spectrum import eigenvalues, index, layers, method, summary
from lossatlas.report.wording import listing
from lossatlas.study.spectra import Spectra

__all__ = ["build_spectra", "write_spectra"]

_SECTIONS: list[Callable[[Spectra], Section | None]] = [
    summary.build,
    eigenvalues.build,
    layers.build,
    index.build,
    method.build,
]
_NAMED = 4


def build_spectra(found: Spectra) -> tuple[Section, ...]:
    """Build every section for which there is something."""
    built = [build(found) for build in _SECTIONS]
    return tuple(section for section in built if section is not None)


def write_spectra(found: Spectra, folder: str | Path) -> Path:
    """Write ``report.html``, ``tables/*.csv`` and ``figures/*.{png,svg,csv}``.

    Args:
        found: what was found; it may be incomplete.
        folder: where to write.

    Returns:
        The path of ``report.html``, which is written last.

    Raises:
        StorageError: the folder cannot be written.
    """
    target = Path(folder).expanduser().absolute()
    sections = build_spectra(found)
    for section in sections:
        for table in section.tables:
            write_atomic(target / "tables" / f"{table.name}.csv", table.to_csv())
        for figure in section.figures:
            for suffix, content in render_all(figure, ("png", "svg")).items():
                write_atomic(target / "figures" / f"{figure.name}.{suffix}", content)
            write_atomic(target / "figures" / f"{figure.name}.csv", figure.to_csv())
    names = listing(found.labels) if len(found.labels) <= _NAMED else f"{len(found.labels)} points"
    subtitle = f"The Hessian of the landscape {found.name} at {names}: how sharp, in how many directions, what kind."
    write_atomic(target / "report.html", render_page(f"Curvature at {names}", subtitle, sections))
    return target / "report.html"
