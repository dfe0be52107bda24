"""Analysis: what sets of weights and heights of paths say, with uncertainty."""

from __future__ import annotations

from lossatlas.analysis.barrier_tree import BarrierTree, Merge, barrier_tree
from lossatlas.analysis.centroids import CentroidTest, centroid_test
from lossatlas.analysis.claims import Claim, ClaimInputs, claims_table, evaluate_claims
from lossatlas.analysis.comparison import Comparison, difference, paired_difference
from lossatlas.analysis.diagnosis import Diagnosis, Finding, diagnose
from lossatlas.analysis.early_stopping import Stopping, early_stopping_table, stopping
from lossatlas.analysis.generalisation_gap import Generalisation, generalisation, generalisation_table
from lossatlas.analysis.gram import matching_rows
from lossatlas.analysis.kernel_pca import KernelPCA, kernel_pca
from lossatlas.analysis.kernels import KERNELS, Kernel
from lossatlas.analysis.published import PUBLISHED, PUBLISHED_SETTINGS, PublishedNumber, published_heights
from lossatlas.analysis.rank_order import RankCorrelation, rank_correlation
from lossatlas.analysis.sample import Sample
from lossatlas.analysis.separation import Separation, separation
from lossatlas.analysis.sharpness_table import sharpness_table
from lossatlas.analysis.side_by_side import side_by_side_table
from lossatlas.analysis.spread import CommonOrigin, SetSpread, common_origin, set_spread
from lossatlas.analysis.superbasins import Superbasin
from lossatlas.analysis.tables import barrier_table, loss_table, replica_table
from lossatlas.analysis.uncertainty import Estimate, mean_of_pairs, mean_of_runs
from lossatlas.analysis.weight_statistics import ComponentStatistics, WeightStatistics, weight_statistics
from lossatlas.analysis.weight_tables import distance_table, separation_table, tensor_table, weight_table

__all__ = [
    "KERNELS",
    "PUBLISHED",
    "PUBLISHED_SETTINGS",
    "BarrierTree",
    "CentroidTest",
    "Claim",
    "ClaimInputs",
    "CommonOrigin",
    "Comparison",
    "ComponentStatistics",
    "Diagnosis",
    "Estimate",
    "Finding",
    "Generalisation",
    "Kernel",
    "KernelPCA",
    "Merge",
    "PublishedNumber",
    "RankCorrelation",
    "Sample",
    "Separation",
    "SetSpread",
    "Stopping",
    "Superbasin",
    "WeightStatistics",
    "barrier_table",
    "barrier_tree",
    "centroid_test",
    "claims_table",
    "common_origin",
    "diagnose",
    "difference",
    "distance_table",
    "early_stopping_table",
    "evaluate_claims",
    "generalisation",
    "generalisation_table",
    "kernel_pca",
    "loss_table",
    "matching_rows",
    "mean_of_pairs",
    "mean_of_runs",
    "paired_difference",
    "published_heights",
    "rank_correlation",
    "replica_table",
    "separation",
    "separation_table",
    "set_spread",
    "sharpness_table",
    "side_by_side_table",
    "stopping",
    "tensor_table",
    "weight_statistics",
    "weight_table",
]
