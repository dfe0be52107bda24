"""Layer by layer, and mini-batch by mini-batch."""

from __future__ import annotations

import torch

from lossatlas.report.blocks import Block, Section
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Mark, Points, VerticalLine
from lossatlas.study.spectra import Spectra
from lossatlas.study.spectra_tables import batch_table, layer_table

__all__ = ["build"]

_SHOWN = 6


def build(found: Spectra) -> Section | None:
    """Show the curvature of each layer and of mini-batches; None where there are neither."""
    parts = (_layers(found), layer_table(found), _batches(found), batch_table(found))
    blocks: list[Block] = [part for part in parts if part is not None]
    return Section("parts", "Layers and mini-batches", tuple(blocks)) if blocks else None


def _layers(found: Spectra) -> Figure | None:
    marks: list[Mark] = []
    names: tuple[str, ...] = ()
    for place, (label, point) in enumerate(found.done[:_SHOWN]):
        if point.blocks is None:
            continue
        names = point.blocks.names
        top = point.blocks.top
        fits = top.isfinite() & (top > 0)
        if bool(fits.any()):
            rows = torch.arange(len(names), dtype=torch.float64)
            marks.append(Points(top[fits], rows[fits], label, f"series {place % 6}"))
    if not marks:
        return None
    unit = f"{found.unit} per weight²" if found.unit else ""
    panel = Panel("Largest eigenvalue of each layer", Axis("λ max", unit, "log"), Axis("Layer", "", categories=names),
                  tuple(marks))  # fmt: skip
    caption = (
        "The largest eigenvalue of each layer's own block of the Hessian. Gradient descent with one learning rate for "
        "all is limited by the layer on the right."
    )
    return Figure("layers", "Curvature of the layers", caption, (panel,))


def _batches(found: Spectra) -> Figure | None:
    panels = []
    for label, point in found.done[:_SHOWN]:
        batches = point.batches
        if batches is None:
            continue
        fits = batches.top.isfinite() & batches.trace.isfinite()
        marks: list[Mark] = []
        if bool(fits.any()):
            marks.append(Points(batches.top[fits], batches.trace[fits], "mini-batches", "series 0"))
        if bool(point.classification.largest.isfinite()) and bool(point.trace.value.isfinite()):
            largest, trace = [float(point.classification.largest)], [float(point.trace.value)]
            marks.append(Points(largest, trace, "all data", "series 1", "diamond"))
            marks.append(VerticalLine(largest[0], "λ max on all data", "neutral"))
        if marks:
            unit = f"{found.unit} per weight²" if found.unit else ""
            panels.append(Panel(label, Axis("λ max", unit), Axis("Trace", unit), tuple(marks)))
    if not panels:
        return None
    data = next(point.batches.data for _, point in found.done if point.batches is not None)
    caption = f"Largest eigenvalue and trace of the Hessian of each of {data}, beside those of all data."
    return Figure("mini-batches", "Mini-batch Hessians", caption, tuple(panels), columns=min(2, len(panels)))
