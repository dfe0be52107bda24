"""Curvature: the Hessian as an operator, its largest and smallest eigenvalues, trace, diagonal, density, sharpness."""

from __future__ import annotations

from lossatlas.curvature.density import SpectralDensity, spectral_density
from lossatlas.curvature.diagonal import DiagonalEstimate, diagonal
from lossatlas.curvature.eigenpairs import Eigenpairs, eigenvalues
from lossatlas.curvature.hessian import HessianCheck, HessianOperator
from lossatlas.curvature.operator import CurvatureOperator, ScaledOperator
from lossatlas.curvature.sampling import Sampled
from lossatlas.curvature.scaling import weight_scale
from lossatlas.curvature.sharpness import Sharpness, scaled_hessian, sharpness
from lossatlas.curvature.trace import TraceEstimate, trace

__all__ = [
    "CurvatureOperator",
    "DiagonalEstimate",
    "Eigenpairs",
    "HessianCheck",
    "HessianOperator",
    "Sampled",
    "ScaledOperator",
    "Sharpness",
    "SpectralDensity",
    "TraceEstimate",
    "diagonal",
    "eigenvalues",
    "scaled_hessian",
    "sharpness",
    "spectral_density",
    "trace",
    "weight_scale",
]
