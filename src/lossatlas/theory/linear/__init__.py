"""Deep linear networks under SGD, saddle to saddle: exact flow, the equation of a mode, and the networks themselves."""

from lossatlas.theory.linear.beside import Beginning, NetworkBeside, network_beside_modes
from lossatlas.theory.linear.convergence import Convergence, convergence_orders
from lossatlas.theory.linear.cross_mode import CrossModeDrift, cross_mode_drift, measure_cross_mode_drift
from lossatlas.theory.linear.experiment import ModeAtRest, ModeDiffusion, SaddleToSaddle, saddle_to_saddle
from lossatlas.theory.linear.flow import half_learning_time, learning_time, mode_flow
from lossatlas.theory.linear.integrate import METHODS, Method, ModePaths, integrate
from lossatlas.theory.linear.loss import DeepLinearLoss
from lossatlas.theory.linear.matrix_flow import MatrixFlow, join, matrix_flow, split
from lossatlas.theory.linear.network import NetworkRun, train_network
from lossatlas.theory.linear.peak import DiffusionProfile, diffusion_peak, measure_diffusion
from lossatlas.theory.linear.saddles import Plateau, plateaus, saddle_index, saddle_weights
from lossatlas.theory.linear.sde import Coordinate, ModeSDE
from lossatlas.theory.linear.stationary import StationaryLaw, boltzmann_variance, stationary_law
from lossatlas.theory.linear.task import LinearTask, Weights, aligned_weights, multiply, random_weights

__all__ = [
    "METHODS",
    "Beginning",
    "Convergence",
    "Coordinate",
    "CrossModeDrift",
    "DeepLinearLoss",
    "DiffusionProfile",
    "LinearTask",
    "MatrixFlow",
    "Method",
    "ModeAtRest",
    "ModeDiffusion",
    "ModePaths",
    "ModeSDE",
    "NetworkBeside",
    "NetworkRun",
    "Plateau",
    "SaddleToSaddle",
    "StationaryLaw",
    "Weights",
    "aligned_weights",
    "boltzmann_variance",
    "convergence_orders",
    "cross_mode_drift",
    "diffusion_peak",
    "half_learning_time",
    "integrate",
    "join",
    "learning_time",
    "matrix_flow",
    "measure_cross_mode_drift",
    "measure_diffusion",
    "mode_flow",
    "multiply",
    "network_beside_modes",
    "plateaus",
    "random_weights",
    "saddle_index",
    "saddle_to_saddle",
    "saddle_weights",
    "split",
    "stationary_law",
    "train_network",
]
