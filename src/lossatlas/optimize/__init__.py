"""Optimizers over rows: a direction and a step length, many replicas side by side."""

from __future__ import annotations

from lossatlas.optimize.lbfgs import LBFGSGSS, LBFGSState
from lossatlas.optimize.lbfgs_torch import LBFGSGoldenSection
from lossatlas.optimize.line_search import GoldenSectionLineSearch, golden_section
from lossatlas.optimize.optimizer import Optimizer, State, Status
from lossatlas.optimize.registry import AnyOptimizer, get, optimizers
from lossatlas.optimize.schedules import Schedule, get_schedule, schedules
from lossatlas.optimize.sgd import SGD, GradientDescent, GradientState
from lossatlas.optimize.torch_adapter import TorchOptimizer, TorchState

__all__ = [
    "LBFGSGSS",
    "SGD",
    "AnyOptimizer",
    "GoldenSectionLineSearch",
    "GradientDescent",
    "GradientState",
    "LBFGSGoldenSection",
    "LBFGSState",
    "Optimizer",
    "Schedule",
    "State",
    "Status",
    "TorchOptimizer",
    "TorchState",
    "get",
    "get_schedule",
    "golden_section",
    "optimizers",
    "schedules",
]
