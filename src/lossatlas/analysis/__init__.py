"""Analysis: what sets of weights and heights of paths say, with uncertainty."""

from __future__ import annotations

from lossatlas.analysis.tables import barrier_table, loss_table, replica_table
from lossatlas.analysis.uncertainty import Estimate, mean_of_pairs, mean_of_runs

__all__ = ["Estimate", "barrier_table", "loss_table", "mean_of_pairs", "mean_of_runs", "replica_table"]
