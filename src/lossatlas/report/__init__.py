"""Figures and the HTML report, made from stored results; nothing is computed here."""

from lossatlas.report.connecting import write_connection
from lossatlas.report.diagnosing import write_diagnosis
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import (
    Contour,
    Heatmap,
    Histogram,
    Line,
    Points,
    Relief,
    ScaleBar,
    SpaceLine,
    VerticalLine,
)
from lossatlas.report.plot import plot
from lossatlas.report.routes import map_figure
from lossatlas.report.slicing import write_surface
from lossatlas.report.spectrum import write_spectra
from lossatlas.report.surfaces import surface_figure
from lossatlas.report.write import write

__all__ = [
    "Axis",
    "Contour",
    "Figure",
    "Heatmap",
    "Histogram",
    "Line",
    "Panel",
    "Points",
    "Relief",
    "ScaleBar",
    "SpaceLine",
    "VerticalLine",
    "map_figure",
    "plot",
    "surface_figure",
    "write",
    "write_connection",
    "write_diagnosis",
    "write_spectra",
    "write_surface",
]
