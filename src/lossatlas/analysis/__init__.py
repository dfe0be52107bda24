"""Analysis: what sets of weights and heights of paths say, with uncertainty."""

from __future__ import annotations

from lossatlas.analysis.barrier_tree import BarrierTree, Merge, barrier_tree
from lossatlas.analysis.superbasins import Superbasin
from lossatlas.analysis.tables import barrier_table, loss_table, replica_table
from lossatlas.analysis.uncertainty import Estimate, mean_of_pairs, mean_of_runs

__all__ = [
    "BarrierTree",
    "Estimate",
    "Merge",
    "Superbasin",
    "barrier_table",
    "barrier_tree",
    "loss_table",
    "mean_of_pairs",
    "mean_of_runs",
    "replica_table",
]
