"""Curvature: Hessian, Gauss-Newton and Fisher matrices as operators, what their spectra tell, and critical points."""

from __future__ import annotations

from lossatlas.curvature.assembled import AssembledOperator, worth_assembling
from lossatlas.curvature.at_points import HessianCheck, PointOperator
from lossatlas.curvature.batches import BatchSpread, batch_spread
from lossatlas.curvature.blocks import BlockOperator, Blockwise, block_operators, blockwise, parameter_groups
from lossatlas.curvature.condition import Conditioning, conditioning
from lossatlas.curvature.critical import Classification, classify
from lossatlas.curvature.density import SpectralDensity, spectral_density
from lossatlas.curvature.diagonal import DiagonalEstimate, diagonal
from lossatlas.curvature.eigenpairs import Eigenpairs, eigenvalues
from lossatlas.curvature.finder import CriticalPoints, find_critical_points
from lossatlas.curvature.gauss_newton import FisherOperator, GaussNewtonOperator
from lossatlas.curvature.gradient_change import gradient_change
from lossatlas.curvature.hessian import HessianOperator
from lossatlas.curvature.index import IndexAgainstLoss, index_against_loss, semicircle_below
from lossatlas.curvature.local_volume import LocalVolume, local_volume
from lossatlas.curvature.measures import Measure, measure, measures
from lossatlas.curvature.noise_scale import GradientNoise, gradient_noise
from lossatlas.curvature.operator import CurvatureOperator, ScaledOperator, SomeRows
from lossatlas.curvature.sam_sharpness import SamSharpness, sam_sharpness
from lossatlas.curvature.sampling import Sampled
from lossatlas.curvature.scaling import weight_scale
from lossatlas.curvature.sharpness import Sharpness, scaled_hessian, sharpness
from lossatlas.curvature.slice_flatness import SliceFlatness, slice_flatness
from lossatlas.curvature.trace import TraceEstimate, trace
from lossatlas.curvature.worst_loss import EpsilonSharpness, epsilon_sharpness

__all__ = [
    "AssembledOperator",
    "BatchSpread",
    "BlockOperator",
    "Blockwise",
    "Classification",
    "Conditioning",
    "CriticalPoints",
    "CurvatureOperator",
    "DiagonalEstimate",
    "Eigenpairs",
    "EpsilonSharpness",
    "FisherOperator",
    "GaussNewtonOperator",
    "GradientNoise",
    "HessianCheck",
    "HessianOperator",
    "IndexAgainstLoss",
    "LocalVolume",
    "Measure",
    "PointOperator",
    "SamSharpness",
    "Sampled",
    "ScaledOperator",
    "Sharpness",
    "SliceFlatness",
    "SomeRows",
    "SpectralDensity",
    "TraceEstimate",
    "batch_spread",
    "block_operators",
    "blockwise",
    "classify",
    "conditioning",
    "diagonal",
    "eigenvalues",
    "epsilon_sharpness",
    "find_critical_points",
    "gradient_change",
    "gradient_noise",
    "index_against_loss",
    "local_volume",
    "measure",
    "measures",
    "parameter_groups",
    "sam_sharpness",
    "scaled_hessian",
    "semicircle_below",
    "sharpness",
    "slice_flatness",
    "spectral_density",
    "trace",
    "weight_scale",
    "worth_assembling",
]
