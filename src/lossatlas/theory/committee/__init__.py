"""Teacher and student committees of ReLU or erf units: loss, dynamics and minima in closed form."""

from lossatlas.theory.committee.activation import Activation
from lossatlas.theory.committee.blocks import block_minimum, block_sizes, split_neuron
from lossatlas.theory.committee.correlators import ReLU
from lossatlas.theory.committee.dynamics import Course, Dynamics, noise_floor
from lossatlas.theory.committee.erf import Erf
from lossatlas.theory.committee.experiment import BadStarts, CommitteeStudy, minima_table, study_committee
from lossatlas.theory.committee.flow import flow_matrices, flow_rates, population_loss
from lossatlas.theory.committee.landscape import Committee, CommitteeOverlaps
from lossatlas.theory.committee.minima import BAD_LOSS, Minima, describe, find_minima
from lossatlas.theory.committee.orthants import orthant_probability
from lossatlas.theory.committee.overlaps import activation_of, check_overlaps, overlaps, random_student, realise
from lossatlas.theory.committee.polish import newton_polish
from lossatlas.theory.committee.simulator import Simulation, simulate
from lossatlas.theory.committee.widths import PUBLISHED_BAD, split_table, width_table

__all__ = [
    "BAD_LOSS",
    "PUBLISHED_BAD",
    "Activation",
    "BadStarts",
    "Committee",
    "CommitteeOverlaps",
    "CommitteeStudy",
    "Course",
    "Dynamics",
    "Erf",
    "Minima",
    "ReLU",
    "Simulation",
    "activation_of",
    "block_minimum",
    "block_sizes",
    "check_overlaps",
    "describe",
    "find_minima",
    "flow_matrices",
    "flow_rates",
    "minima_table",
    "newton_polish",
    "noise_floor",
    "orthant_probability",
    "overlaps",
    "population_loss",
    "random_student",
    "realise",
    "simulate",
    "split_neuron",
    "split_table",
    "study_committee",
    "width_table",
]
