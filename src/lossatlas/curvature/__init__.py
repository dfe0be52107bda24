"""Curvature: the Hessian as an operator, its largest and smallest eigenvalues, trace, diagonal, density, sharpness."""

from __future__ import annotations

from lossatlas.curvature.density import SpectralDensity, spectral_density
from lossatlas.curvature.diagonal import DiagonalEstimate, diagonal
from lossatlas.curvature.eigenpairs import Eigenpairs, eigenvalues
from lossatlas.curvature.hessian import HessianCheck, HessianOperator
from lossatlas.curvature.local_volume import LocalVolume, local_volume
from lossatlas.curvature.measures import Measure, measure, measures
from lossatlas.curvature.operator import CurvatureOperator, ScaledOperator
from lossatlas.curvature.sam_sharpness import SamSharpness, sam_sharpness
from lossatlas.curvature.sampling import Sampled
from lossatlas.curvature.scaling import weight_scale
from lossatlas.curvature.sharpness import Sharpness, scaled_hessian, sharpness
from lossatlas.curvature.slice_flatness import SliceFlatness, filter_directions, slice_flatness
from lossatlas.curvature.trace import TraceEstimate, trace
from lossatlas.curvature.worst_loss import EpsilonSharpness, epsilon_sharpness

__all__ = [
    "CurvatureOperator",
    "DiagonalEstimate",
    "Eigenpairs",
    "EpsilonSharpness",
    "HessianCheck",
    "HessianOperator",
    "LocalVolume",
    "Measure",
    "SamSharpness",
    "Sampled",
    "ScaledOperator",
    "Sharpness",
    "SliceFlatness",
    "SpectralDensity",
    "TraceEstimate",
    "diagonal",
    "eigenvalues",
    "epsilon_sharpness",
    "filter_directions",
    "local_volume",
    "measure",
    "measures",
    "sam_sharpness",
    "scaled_hessian",
    "sharpness",
    "slice_flatness",
    "spectral_density",
    "trace",
    "weight_scale",
]
