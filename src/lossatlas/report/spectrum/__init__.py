"""The page about spectra: the curvature at some points of a landscape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lossatlas.report.blocks import Section
from lossatlas.report.spectrum import eigenvalues, index, layers, method, summary
from lossatlas.report.wording import listing
from lossatlas.report.write_page import write_page
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
    names = listing(found.labels) if len(found.labels) <= _NAMED else f"{len(found.labels)} points"
    subtitle = f"The Hessian of the landscape {found.name} at {names}: how sharp, in how many directions, what kind."
    return write_page(folder, f"Curvature at {names}", subtitle, build_spectra(found))
