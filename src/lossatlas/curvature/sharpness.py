"""Sharpness: top eigenvalue and trace of a Hessian, raw or in coordinates scaled by the weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lossatlas.curvature.eigenpairs import Eigenpairs, eigenvalues
from lossatlas.curvature.hessian import HessianOperator
from lossatlas.curvature.operator import CurvatureOperator, ScaledOperator
from lossatlas.curvature.scaling import INVARIANCE, Scaling, weight_scale
from lossatlas.curvature.trace import TraceEstimate, trace
from lossatlas.landscape.contract import Landscape

__all__ = ["Sharpness", "scaled_hessian", "sharpness"]


@dataclass(frozen=True)
class Sharpness:
    """How sharp minima are.

    Args:
        top: the largest eigenvalues of D H D.
        trace: its trace.
        scaling: what D is.
        invariance: what the measure does not see, in words.
    """

    top: Eigenpairs
    trace: TraceEstimate
    scaling: Scaling
    invariance: str


def scaled_hessian(landscape: Landscape, w: Tensor, scaling: Scaling) -> CurvatureOperator:
    """D H D at w as an operator, with D as :func:`lossatlas.curvature.scaling.weight_scale` makes it.

    Args:
        landscape: any; ``"filter"`` and ``"layer"`` need a network.
        w: points ``(*b, d)``.
        scaling: ``"none"``, ``"parameter"``, ``"filter"`` or ``"layer"``.

    Raises:
        InputError: an unknown scaling, or points of another landscape.

    Example:
        >>> from lossatlas import landscape
        >>> import torch
        >>> bowl = landscape.get("quadratic", dim=2, eigenvalues=[1.0, 2.0], rotate=False)
        >>> scaled_hessian(bowl, torch.tensor([10.0, 1.0], dtype=torch.float64), "parameter").dense()
        tensor([[100.,   0.],
                [  0.,   2.]], dtype=torch.float64)
    """
    hessian = HessianOperator(landscape, w)
    return hessian if scaling == "none" else ScaledOperator(hessian, weight_scale(scaling, w, landscape.spec))


def sharpness(
    landscape: Landscape,
    w: Tensor,
    *,
    scaling: Scaling = "parameter",
    k: int = 1,
    tolerance: float = 0.05,
    max_products: int = 1000,
    confidence: float = 0.99,
    seed: int = 0,
) -> Sharpness:
    """Top eigenvalue and trace of D H D, the loss's curvature for steps relative to the weights.

    To second order, the largest rise of the loss over |D⁻¹ s| ≤ ρ at a minimum is ρ² λ_max(D H D) / 2, and its mean
    over s = ρ D z with random signs z is ρ² tr(D H D) / 2. A ReLU network can be rescaled, α in one layer and 1/α in
    the next, to look as sharp as one likes with the same outputs (Dinh et al. 2017): with D = 1 these numbers follow,
    scaled by the weights they do not.

    Args:
        landscape: any; ``"filter"`` and ``"layer"`` need a network.
        w: points ``(*b, d)``.
        scaling: ``"parameter"`` (|w_i|), ``"filter"``, ``"layer"`` or ``"none"``.
        k: how many eigenvalues.
        tolerance: standard error of the trace relative to it.
        max_products: for each minimum, for the eigenvalues and again for the trace.
        confidence: of the trace's interval.
        seed: names the random vectors.

    Returns:
        The eigenvalues and the trace.

    Raises:
        InputError: arguments that cannot be.

    Example:
        >>> import torch
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=2, eigenvalues=[1.0, 2.0], rotate=False)
        >>> found = sharpness(bowl, torch.tensor([10.0, 1.0], dtype=torch.float64))
        >>> found.top.values, found.trace.value
        (tensor([100.], dtype=torch.float64), tensor(102., dtype=torch.float64))

    Kwon, Kim, Park & Choi 2021, *ASAM: Adaptive sharpness-aware minimization*; Dinh, Pascanu, Bengio & Bengio 2017,
    *Sharp minima can generalize for deep nets*.
    """
    operator = scaled_hessian(landscape, w, scaling)
    top = eigenvalues(operator, k=k, max_products=max_products, seed=seed)
    spread = trace(operator, tolerance=tolerance, max_products=max_products, confidence=confidence, seed=seed)
    return Sharpness(top, spread, scaling, INVARIANCE[scaling])
