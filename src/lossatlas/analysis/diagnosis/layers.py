"""Gradients and largest learning rates, layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.analysis.diagnosis.records import Layer
from lossatlas.core.params import ParamSpec
from lossatlas.curvature.eigenpairs import eigenvalues
from lossatlas.curvature.hessian import HessianOperator
from lossatlas.curvature.operator import ScaledOperator
from lossatlas.landscape.contract import Landscape

__all__ = ["layer_masks", "measure_layers"]

_TOLERANCE, _PRODUCTS = 1e-2, 60


def layer_masks(spec: ParamSpec) -> dict[str, Tensor]:
    """Which coordinates belong to which layer, name to ``(d,)`` of booleans.

    A layer is what shares a name up to the last dot: the weight and bias of one module.

    Example:
        >>> spec = ParamSpec(("0.weight", "0.bias", "2.weight"), ((2, 1), (2,), (1, 2)))
        >>> {name: int(mask.sum()) for name, mask in layer_masks(spec).items()}
        {'0': 4, '2': 2}
    """
    masks: dict[str, Tensor] = {}
    for name, offset, size in zip(spec.names, spec.offsets, spec.sizes, strict=True):
        prefix = name.rpartition(".")[0] or name
        masks.setdefault(prefix, torch.zeros(spec.dim, dtype=torch.bool))[offset : offset + size] = True
    return masks


def measure_layers(landscape: Landscape, w: Tensor, gradient: Tensor, seed: int = 0) -> tuple[Layer, ...]:
    """Measure every layer of a network; none of other landscapes.

    The block of the Hessian of a layer is M H M with M its mask, whose largest eigenvalue Lanczos finds.

    Args:
        landscape: in float64.
        w: ``(d,)``.
        gradient: ``(d,)``.
        seed: names the random vectors.
    """
    if landscape.spec is None:
        return ()
    hessian = HessianOperator(landscape, w)
    found = []
    for name, mask in layer_masks(landscape.spec).items():
        inside = mask.to(w.device)
        block = ScaledOperator(hessian, inside.double())
        top = eigenvalues(block, k=1, tolerance=_TOLERANCE, max_products=_PRODUCTS, seed=seed)
        found.append(
            Layer(
                name,
                int(mask.sum()),
                float(w[inside].square().mean().sqrt()),
                float(gradient[inside].square().mean().sqrt()),
                float(top.values[0]),
                bool(top.converged[0]),
            )
        )
    return tuple(found)
