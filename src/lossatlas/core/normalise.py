"""Directions with the lengths of the weights, filter by filter or layer by layer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec

__all__ = ["filter_normalised", "layer_normalised"]

# Li et al. add it to the length of a drawn filter before they divide by it.
_GUARD = 1e-10


def _normalised(drawn: Tensor, w: Tensor, spec: ParamSpec, *, filters: bool) -> Tensor:
    """Rescale each filter, or each parameter as a whole, to the length of the weights'."""
    if drawn.shape[-1] != spec.dim or w.shape[-1] != spec.dim:
        raise InputError(
            f"expected directions and weights of {spec.dim} coordinates, got shapes {tuple(drawn.shape)} and "
            f"{tuple(w.shape)}"
        )
    shape = np.broadcast_shapes(drawn.shape, w.shape)
    directions, weights = (spec.unflatten(rows.detach().double().expand(shape)) for rows in (drawn, w))
    scaled: dict[str, Tensor] = {}
    for (name, part), own_shape in zip(directions.items(), spec.shapes, strict=True):
        axes = len(own_shape)
        if axes <= 1:
            scaled[name] = torch.zeros_like(part)
            continue
        over = tuple(range(-axes + 1 if filters else -axes, 0))
        own = part.square().sum(over, keepdim=True).sqrt()
        wanted = weights[name].square().sum(over, keepdim=True).sqrt()
        if not filters and bool((own == 0).any()):
            raise InputError(f"expected a direction of some length in '{name}' to normalise, got zeros")
        scaled[name] = part * (wanted / (own + _GUARD if filters else own))
    return spec.flatten(scaled).to(w.dtype)


def filter_normalised(drawn: Tensor, w: Tensor, spec: ParamSpec) -> Tensor:
    """Give each filter of a direction the length of the same filter of the weights.

    d_i ← d_i |w_i| / (|d_i| + 1e-10) for each index i of the first axis of every parameter; parameters of one axis or
    none (biases, scales and shifts of normalisation) get 0. Multiplying all weights of a filter by a number, which
    changes nothing where normalisation by batch statistics follows, then multiplies its part of the direction alike.

    Args:
        drawn: ``(*a, d)``, usually standard normal.
        w: weights, ``(*b, d)``.
        spec: the network's parameters.

    Returns:
        ``(*a, d)`` and ``(*b, d)`` broadcast, in the type of the weights.

    Raises:
        InputError: another number of coordinates.

    Example:
        >>> spec = ParamSpec(("weight", "bias"), ((2, 2), (2,)))
        >>> w = torch.tensor([3.0, 4.0, 0.0, 1.0, 9.0, 9.0])
        >>> d = filter_normalised(torch.tensor([1.0, 0.0, 0.0, 2.0, 1.0, 1.0]), w, spec)
        >>> d
        tensor([5., 0., 0., 1., 0., 0.])

    Li, Xu, Taylor, Studer & Goldstein 2018, *Visualizing the loss landscape of neural nets*, section 4.
    """
    return _normalised(drawn, w, spec, filters=True)


def layer_normalised(drawn: Tensor, w: Tensor, spec: ParamSpec) -> Tensor:
    """Give each parameter of a direction the length of the same parameter of the weights; biases get 0.

    d ← d |w| / |d| for every parameter of two axes or more. Arguments as for :func:`filter_normalised`.

    Raises:
        InputError: another number of coordinates, or a part of a direction that is zero.

    Example:
        >>> spec = ParamSpec(("weight", "bias"), ((2, 2), (2,)))
        >>> w = torch.tensor([3.0, 4.0, 0.0, 0.0, 9.0, 9.0])
        >>> layer_normalised(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 1.0]), w, spec)
        tensor([5., 0., 0., 0., 0., 0.])
    """
    return _normalised(drawn, w, spec, filters=False)
