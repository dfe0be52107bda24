"""Pages about landscapes understood exactly: prediction drawn over simulation of the same system."""

from lossatlas.report.theory.annealing import AnnealingResult, annealing_sections, write_annealing
from lossatlas.report.theory.linear import LinearResult, linear_sections, write_linear

__all__ = [
    "AnnealingResult", "LinearResult", "annealing_sections", "linear_sections", "write_annealing", "write_linear",
]  # fmt: skip
