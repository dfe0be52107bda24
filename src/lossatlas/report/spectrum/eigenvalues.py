"""The spectra as pictures: density of all eigenvalues, and the ends one by one."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.report.blocks import Block, Section
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Line, Mark, Marker, Points
from lossatlas.study.spectra import PointSpectrum, Spectra
from lossatlas.study.spectra_tables import eigenvalue_table

__all__ = ["build"]

_PANELS = 6
_GRID = 801
# Width of the Gaussian through which the density is seen, as a part of the range; below the floor it is not drawn.
_WIDTH, _FLOOR = 0.005, 1e-7
_MARGIN = 0.05


def build(found: Spectra) -> Section | None:
    """Show density and ends of the spectra, and the table of eigenvalues."""
    if not found.done:
        return None
    blocks: list[Block] = [figure for figure in (_density(found), _ends(found)) if figure is not None]
    return Section("eigenvalues", "Eigenvalues", (*blocks, eigenvalue_table(found)))


def _density(found: Spectra) -> Figure | None:
    shown = [(label, point) for label, point in found.done if bool(point.density.nodes.isfinite().all())]
    panels = tuple(_density_panel(found, label, point) for label, point in shown[:_PANELS])
    if not panels:
        return None
    probes, steps = shown[0][1].density.nodes.shape[-2:]
    caption = (
        f"Density of all eigenvalues by stochastic Lanczos quadrature ({probes} probes of {steps} steps), seen through "
        f"a Gaussian as wide as {_WIDTH:.1%} of the range; faint: "
        f"{shown[0][1].trace.confidence:.0%} interval over probes. Ticks: the eigenvalues found one by one."
    )
    if len(shown) > len(panels):
        caption += f" The first {len(panels)} of {len(shown)} points are drawn."
    return Figure("density", "Spectral density", caption, panels, columns=min(2, len(panels)))


def _density_panel(found: Spectra, label: str, point: PointSpectrum) -> Panel:
    density, values = point.density, point.eigenpairs.values
    ends = torch.cat([density.nodes.flatten(), values[values.isfinite()].flatten()])
    low, high = float(ends.min()), float(ends.max())
    spread = (high - low) or max(abs(high), 1.0)
    t = torch.linspace(low - _MARGIN * spread, high + _MARGIN * spread, _GRID, dtype=torch.float64)
    curve = density.smoothed(t, _WIDTH * spread, point.trace.confidence)
    floor = _FLOOR * float(curve.value.max())

    def drawn(y: Tensor) -> Tensor:
        return y.where(y > floor, torch.nan)

    marks: list[Mark] = []
    for bound, name in ((curve.low, "lower end"), (curve.high, "upper end")):
        y = drawn(bound)
        if bool(y.isfinite().any()):
            marks.append(Line(t, y, "interval", "series 0", name, faint=True))
    marks.append(Line(t, drawn(curve.value), "density", "series 0"))
    finite = values[values.isfinite()]
    if len(finite):
        marks.append(Points(finite, torch.full_like(finite, floor), "eigenvalues", "series 1", "tick"))
    unit = f"{found.unit} per weight²" if found.unit else ""
    return Panel(label, Axis("Eigenvalue", unit), Axis("Density", "per unit of eigenvalue", "log"), tuple(marks))


def _ends(found: Spectra) -> Figure | None:
    marks: list[Mark] = []
    for place, (label, point) in enumerate(found.done[:_PANELS]):
        values = point.eigenpairs.values
        upper = len(values) // 2 if point.eigenpairs.which == "both" else len(values)
        ends: tuple[tuple[Tensor, str, Marker], ...] = (
            (values[:upper], "largest", "circle"),
            (values[upper:].flip(0), "smallest", "triangle"),
        )
        for part, end, shape in ends:
            ranks = torch.arange(1, len(part) + 1, dtype=torch.float64)
            fits = part.isfinite() & (part != 0)
            if bool(fits.any()):
                marks.append(Points(ranks[fits], part[fits].abs(), f"{label}, {end}", f"series {place % 6}", shape))
    if not marks:
        return None
    unit = f"{found.unit} per weight²" if found.unit else ""
    panel = Panel("Ends of the spectra", Axis("Rank", ""), Axis("|Eigenvalue|", unit, "log"), tuple(marks))
    caption = (
        "Eigenvalues of the Hessian from both ends: the largest (circles) and the smallest (triangles), by magnitude. "
        "Signs and residuals are in the table."
    )
    return Figure("ends", "Ends of the spectra", caption, (panel,))
