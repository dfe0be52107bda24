"""Models of the loss landscape that can be solved, each beside a simulation of the same system."""

from lossatlas.theory import committee

__all__ = ["committee"]
