"""Langevin annealing on products of spheres: simulated, solved on the circle, and judged by the critical depth."""

from lossatlas.theory.annealing.circle import CircleExtrema, circle_extrema
from lossatlas.theory.annealing.contrastive import InfoNCE, NTXent
from lossatlas.theory.annealing.depth import CriticalDepth, Verdict, circle_depth, critical_depth, tree_depth
from lossatlas.theory.annealing.descent import Descent, descend
from lossatlas.theory.annealing.energies import CircleToy, LinearEnergy, NormalisedLandscape, SphereEnergy
from lossatlas.theory.annealing.equilibrium import equipartition, rising_directions
from lossatlas.theory.annealing.fokker_planck import (
    CircleDensity,
    evolve_density,
    eyring_kramers_gap,
    generator_matrix,
    spectral_gap,
)
from lossatlas.theory.annealing.langevin import AnnealingRun, anneal
from lossatlas.theory.annealing.schedule import Constant, Schedule
from lossatlas.theory.annealing.schedules import (
    Exponential,
    Linear,
    Logarithmic,
    OnTemperature,
    Power,
    Quench,
    get_schedule,
    schedules,
)
from lossatlas.theory.annealing.spheres import Spheres
from lossatlas.theory.annealing.success import SuccessCurve, compare_schedules, falls, reaches, success_curve

__all__ = [
    "AnnealingRun",
    "CircleDensity",
    "CircleExtrema",
    "CircleToy",
    "Constant",
    "CriticalDepth",
    "Descent",
    "Exponential",
    "InfoNCE",
    "Linear",
    "LinearEnergy",
    "Logarithmic",
    "NTXent",
    "NormalisedLandscape",
    "OnTemperature",
    "Power",
    "Quench",
    "Schedule",
    "SphereEnergy",
    "Spheres",
    "SuccessCurve",
    "Verdict",
    "anneal",
    "circle_depth",
    "circle_extrema",
    "compare_schedules",
    "critical_depth",
    "descend",
    "equipartition",
    "evolve_density",
    "eyring_kramers_gap",
    "falls",
    "generator_matrix",
    "get_schedule",
    "reaches",
    "rising_directions",
    "schedules",
    "spectral_gap",
    "success_curve",
    "tree_depth",
]
