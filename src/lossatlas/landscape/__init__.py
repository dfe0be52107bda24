"""Landscapes: the contract, analytic energies, any function, and networks."""

from lossatlas.landscape.analytic import CriticalPoint, Energy, Pass, lift
from lossatlas.landscape.atoms import AtomsLandscape, from_atoms
from lossatlas.landscape.contract import AffineRows, Landscape, Rows
from lossatlas.landscape.function import from_function
from lossatlas.landscape.network import NetworkLandscape, Numerics
from lossatlas.landscape.registry import get, landscapes

__all__ = [
    "AffineRows",
    "AtomsLandscape",
    "CriticalPoint",
    "Energy",
    "Landscape",
    "NetworkLandscape",
    "Numerics",
    "Pass",
    "Rows",
    "from_atoms",
    "from_function",
    "get",
    "landscapes",
    "lift",
]
