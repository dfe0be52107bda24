"""Landscapes understood exactly: prediction beside simulation of the same system."""

from lossatlas.theory import annealing, committee, linear

__all__ = ["annealing", "committee", "linear"]
