"""Directions drawn at random, with the lengths that make surfaces of different networks comparable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_norm
from lossatlas.core.normalise import filter_normalised, layer_normalised
from lossatlas.core.params import ParamSpec
from lossatlas.core.randomness import generator
from lossatlas.core.registry import Registry

__all__ = [
    "DirectionKind",
    "coordinate_directions",
    "directions",
    "eigenvector_directions",
    "filter_directions",
    "gaussian_directions",
    "layer_directions",
    "random_directions",
]

DirectionKind: TypeAlias = Callable[[Tensor, ParamSpec | None, int, int], Tensor]
"""``(w, spec, count, seed) -> (count, d)``."""

directions: Registry[DirectionKind] = Registry("kind of directions")
"""Directions that need nothing but the weights."""


def gaussian_directions(dim: int, count: int = 2, seed: int = 0) -> Tensor:
    """Draw standard normal numbers, ``-> (count, d)`` in float64 on the CPU.

    Direction i depends on the seed, on i and on d alone, not on how many are drawn.

    Example:
        >>> bool((gaussian_directions(5, 1) == gaussian_directions(5, 2)[:1]).all())
        True
    """
    drawn = [
        torch.randn(dim, dtype=torch.float64, generator=generator(seed, "slice direction", i, dim))
        for i in range(count)
    ]
    return torch.stack(drawn)


def _network(spec: ParamSpec | None, kind: str) -> ParamSpec:
    if spec is None:
        raise InputError(
            f"expected a network for {kind}-normalised directions, got a landscape without named parameters: "
            "use 'random' or 'coordinates'"
        )
    return spec


def _drawn(w: Tensor, count: int, seed: int) -> Tensor:
    if w.ndim != 1:
        raise InputError(f"expected one point (d,) to draw directions at, got shape {tuple(w.shape)}")
    return gaussian_directions(len(w), count, seed).to(w.device)


def filter_directions(w: Tensor, spec: ParamSpec | None, count: int = 2, seed: int = 0) -> Tensor:
    """Filter-normalised standard normal directions, ``(d,) -> (count, d)``; see :func:`filter_normalised`."""
    return filter_normalised(_drawn(w, count, seed), w, _network(spec, "filter"))


def layer_directions(w: Tensor, spec: ParamSpec | None, count: int = 2, seed: int = 0) -> Tensor:
    """Layer-normalised standard normal directions, ``(d,) -> (count, d)``; see :func:`layer_normalised`."""
    return layer_normalised(_drawn(w, count, seed), w, _network(spec, "layer"))


def random_directions(w: Tensor, spec: ParamSpec | None = None, count: int = 2, seed: int = 0) -> Tensor:
    """Directions uniform on the sphere of radius |w| (1 where w = 0), ``(d,) -> (count, d)``.

    Their surfaces cannot be compared between networks: what a step of given length does depends on the size of the
    weights, which need not mean anything.

    Example:
        >>> row_norm(random_directions(torch.tensor([3.0, 4.0, 0.0]))).round(decimals=6)
        tensor([5., 5.])
    """
    del spec
    drawn = _drawn(w, count, seed)
    size = float(row_norm(w.double())) or 1.0
    return (drawn * (size / row_norm(drawn))[:, None]).to(w.dtype)


def coordinate_directions(w: Tensor, spec: ParamSpec | None = None, count: int = 2, seed: int = 0) -> Tensor:
    """The axes of the first coordinates, ``(d,) -> (count, d)``: the landscape itself where it has so many.

    Raises:
        InputError: more than there are coordinates.
    """
    del spec, seed
    if w.ndim != 1 or len(w) < count:
        raise InputError(f"expected a point of at least {count} coordinates, got shape {tuple(w.shape)}")
    return torch.eye(count, len(w), dtype=w.dtype, device=w.device)


def eigenvector_directions(vectors: Tensor, w: Tensor) -> Tensor:
    """Make directions of given rows, such as Hessian eigenvectors: orthonormal, the largest component positive.

    Args:
        vectors: ``(k, d)``, such as ``curvature.eigenvalues(...).vectors``.
        w: the point, ``(d,)``.

    Returns:
        ``(k, d)`` in the type of w, orthonormal to rounding.

    Raises:
        InputError: rows of another length, that are not finite, or that are dependent.

    Example:
        >>> eigenvector_directions(torch.tensor([[0.0, -2.0]]), torch.zeros(2))
        tensor([[0., 1.]])
    """
    if vectors.ndim != 2 or vectors.shape[-1] != w.shape[-1]:
        raise InputError(
            f"expected eigenvectors as rows (k, {w.shape[-1]}), got shape {tuple(vectors.shape)}: pass those of one "
            "point"
        )
    rows = vectors.to(w.device, torch.float64)
    if not bool(rows.isfinite().all()):
        raise InputError("expected finite eigenvectors, got NaN or infinity: their search has not converged")
    q, r = torch.linalg.qr(rows.T)
    size = r.diagonal().abs()
    if bool((size <= 1e-9 * row_norm(rows)).any()):
        raise InputError("expected independent eigenvectors, got some that are combinations of others")
    basis: Tensor = (q * r.diagonal().sign()).T
    top = basis.gather(1, basis.abs().argmax(1, keepdim=True))
    signed: Tensor = basis * top.sign()
    return signed.to(w.dtype)


directions.add("filter", filter_directions, "random, each filter as long as that of the weights (Li et al. 2018)")
directions.add("layer", layer_directions, "random, each layer as long as that of the weights")
directions.add("random", random_directions, "random, as a whole as long as the weights")
directions.add("coordinates", coordinate_directions, "the axes of the first coordinates")
