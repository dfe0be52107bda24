"""Pages about landscapes understood exactly: prediction drawn over simulation of the same system."""

from lossatlas.report.theory.annealing import AnnealingResult, annealing_sections, write_annealing

__all__ = ["AnnealingResult", "annealing_sections", "write_annealing"]
