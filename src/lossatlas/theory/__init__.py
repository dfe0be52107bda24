"""Landscapes understood exactly: prediction beside simulation of the same system."""

from lossatlas.theory import annealing, linear

__all__ = ["annealing", "linear"]
