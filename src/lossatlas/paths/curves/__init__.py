"""Curves given by coefficients: sine series, Bezier curves and polygonal chains, and ways to relax them."""

from lossatlas.paths.curves.finder import CurvePathFinder
from lossatlas.paths.curves.fourier import FourierPathFinder

__all__ = ["CurvePathFinder", "FourierPathFinder"]
