"""Index against loss, beside what random matrices would have."""

from __future__ import annotations

import torch

from lossatlas.report.blocks import Prose, Section
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Line, Mark, Points
from lossatlas.study.spectra import Spectra
from lossatlas.study.spectra_tables import index_table

__all__ = ["build"]

_GRID = 101


def build(found: Spectra) -> Section | None:
    """Show index against loss; None with too few points."""
    index, table = found.index, index_table(found)
    if index is None or table is None:
        return None
    word = found.quantity.lower()
    low, high = float(index.loss.min()), float(index.loss.max())
    marks: list[Mark] = []
    if high > low:
        grid = torch.linspace(low, high, _GRID, dtype=torch.float64)
        marks.append(Line(grid, index.null(grid), "Gaussian random field", "neutral", dashed=True))
    marks += [
        Points(index.loss, index.semicircle, "semicircle", "series 1", "diamond", found.labels),
        Points(index.loss, index.fraction, "measured", "series 0", "circle", found.labels),
    ]
    panel = Panel(
        f"Index against {word}",
        Axis(found.quantity, found.unit),
        Axis("Index", "part of all eigenvalues", zero=True),
        tuple(marks),
    )
    caption = (
        f"Part of the Hessian's eigenvalues that are negative against the {word}. Diamonds: a Wigner matrix with the "
        "same mean and spread of eigenvalues as at that point. Dashed: a Gaussian random field, whose semicircle is "
        f"shifted in proportion to the {word} (Bray & Dean 2007), fitted to all points."
    )
    intro = Prose(
        f"In a random field of many dimensions, critical points of high {word} are saddles of high index, and minima "
        "lie low. Of points that are not critical, as along a training run, the Hessian's index is shown all the same."
    )
    figure = Figure("index", f"Index against {word}", caption, (panel,))
    return Section("index", f"Index against {word}", (intro, figure, table))
