"""Curvature: the Hessian as an operator, its largest and smallest eigenvalues, trace, diagonal and spectral density."""

from __future__ import annotations

from lossatlas.curvature.eigenpairs import Eigenpairs, eigenvalues
from lossatlas.curvature.hessian import HessianCheck, HessianOperator
from lossatlas.curvature.operator import CurvatureOperator, ScaledOperator

__all__ = [
    "CurvatureOperator",
    "Eigenpairs",
    "HessianCheck",
    "HessianOperator",
    "ScaledOperator",
    "eigenvalues",
]
