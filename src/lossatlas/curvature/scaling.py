"""Coordinates in which sharpness does not depend on how a network's weights are scaled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError, nearest
from lossatlas.core.params import ParamSpec

__all__ = ["INVARIANCE", "Scaling", "weight_scale"]

Scaling: TypeAlias = Literal["none", "parameter", "filter", "layer"]


def _parameter(tensor: Tensor, axes: int) -> Tensor:
    del axes
    return tensor.abs()


def _filter(tensor: Tensor, axes: int) -> Tensor:
    if axes < 2:
        return tensor.abs()
    inner = tuple(range(-(axes - 1), 0))
    return tensor.square().mean(inner, keepdim=True).sqrt().expand_as(tensor)


def _layer(tensor: Tensor, axes: int) -> Tensor:
    if axes == 0:
        return tensor.abs()
    return tensor.square().mean(tuple(range(-axes, 0)), keepdim=True).sqrt().expand_as(tensor)


_SCALES: dict[str, Callable[[Tensor, int], Tensor]] = {"parameter": _parameter, "filter": _filter, "layer": _layer}

INVARIANCE: dict[str, str] = {
    "none": "changes whenever weights are rescaled",
    "parameter": "exactly invariant under every rescaling of single weights that leaves the loss as it is",
    "filter": "exactly invariant where all weights of a filter are rescaled together, so for whole layers",
    "layer": "exactly invariant where all weights of a parameter are rescaled together, so for whole layers",
}
"""What each scaling does not see."""


def weight_scale(scaling: Scaling, x: Tensor, spec: ParamSpec | None) -> Tensor:
    """Diagonal of D in D H D, ``(*b, d) -> (*b, d)``.

    ``"parameter"``: |w_i|. ``"filter"``: root mean square of the weights of the same filter (index on the first axis;
    |w_i| for parameters of one axis). ``"layer"``: root mean square of the weights of the same parameter.
    ``"none"``: 1. Root mean squares, not norms, so that all have the size of one weight and can be compared.

    If w' = S w has the same loss near w', with a diagonal S > 0, then H' = S⁻¹ H S⁻¹, and D' = S D gives
    D' H' D' = D H D, the same matrix. For ``"parameter"`` that holds for every such S; for the others where S is
    constant over the filter or parameter. Weights that are exactly zero are left out by ``"parameter"``.

    Args:
        scaling: which.
        x: weights.
        spec: names and shapes of the parameters; None: only ``"none"`` and ``"parameter"`` can be.

    Returns:
        The scale, in float64.

    Raises:
        InputError: an unknown scaling, or one that asks for the parameters of a landscape that is no network.

    Example:
        >>> spec = ParamSpec(("weight",), ((2, 2),))
        >>> x = torch.tensor([3.0, -3.0, 1.0, 1.0])
        >>> weight_scale("filter", x, spec)
        tensor([3., 3., 1., 1.], dtype=torch.float64)

    Kwon, Kim, Park & Choi 2021, *ASAM: Adaptive sharpness-aware minimization*, section 3, with η = 0.
    """
    weights = x.detach().double()
    if scaling == "none":
        return torch.ones_like(weights)
    if scaling not in _SCALES:
        raise InputError(f"unknown scaling '{scaling}': {nearest(scaling, ['none', *_SCALES])}")
    if spec is None:
        if scaling != "parameter":
            raise InputError(f"expected a network for scaling '{scaling}', got a landscape without named parameters")
        return weights.abs()
    named = spec.unflatten(weights)
    scaled = {
        name: _SCALES[scaling](tensor, len(shape))
        for (name, tensor), shape in zip(named.items(), spec.shapes, strict=True)
    }
    return spec.flatten(scaled)
