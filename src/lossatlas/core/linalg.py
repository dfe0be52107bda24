"""Small linear algebra on rows: the last axis is the vector, every other axis is a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.core.randomness import generator

__all__ = ["random_rotation", "row_dot", "row_norm"]


def row_dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of matching rows, ``(*b, d), (*b, d) -> (*b,)``.

    Example:
        >>> row_dot(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
        tensor([11.])
    """
    return (a * b).sum(-1)


def row_norm(a: Tensor) -> Tensor:
    """Euclidean length of each row, ``(*b, d) -> (*b,)``.

    Example:
        >>> row_norm(torch.tensor([[3.0, 4.0]]))
        tensor([5.])
    """
    norm: Tensor = torch.linalg.vector_norm(a, dim=-1)
    return norm


def random_rotation(dim: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draw a rotation uniformly (Haar measure), ``-> (dim, dim)`` with determinant +1.

    The R factor's signs are made positive, without which the QR route is not uniform
    (Mezzadri 2007, *How to generate random matrices from the classical compact groups*).

    Args:
        dim: dimension, at least 1.
        seed: names the draw; the same seed gives the same matrix.
        dtype: floating type of the result.

    Returns:
        Q with QᵀQ = 1.

    Example:
        >>> q = random_rotation(5)
        >>> bool(torch.allclose(q.T @ q, torch.eye(5, dtype=q.dtype)))
        True
    """
    gaussian = torch.randn(dim, dim, dtype=torch.float64, generator=generator(seed, "rotation", dim))
    q: Tensor
    q, r = torch.linalg.qr(gaussian)
    q = q * r.diagonal().sign()
    if torch.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]
    return q.to(dtype)
