"""Energies in closed form that know their own minima, saddles and passes."""

from lossatlas.landscape.analytic.critical import CriticalPoint, Pass
from lossatlas.landscape.analytic.energy import Energy
from lossatlas.landscape.analytic.lift import Lifted, lift
from lossatlas.landscape.analytic.muller_brown import MullerBrown
from lossatlas.landscape.analytic.paper_toy import PaperToy
from lossatlas.landscape.analytic.phi4_ring import Phi4Ring
from lossatlas.landscape.analytic.quadratic import Quadratic
from lossatlas.landscape.analytic.rosenbrock import Rosenbrock

__all__ = [
    "CriticalPoint",
    "Energy",
    "Lifted",
    "MullerBrown",
    "PaperToy",
    "Pass",
    "Phi4Ring",
    "Quadratic",
    "Rosenbrock",
    "lift",
]
