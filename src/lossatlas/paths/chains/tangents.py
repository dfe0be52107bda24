"""Tangents of a chain of images, from its positions and energies."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["improved_tangents"]


def improved_tangents(images: Tensor, values: Tensor) -> Tensor:
    """Unit tangents at the inner images that point uphill, so that a chain does not kink.

    τ is x_{i+1} - x_i where the energy rises through image i and x_i - x_{i-1} where it falls. At a maximum or a
    minimum it is a mean of both, weighted by max and min of |E_{i±1} - E_i|, the larger weight on the side of the
    higher neighbour. Where all three energies are equal it is the direction between the neighbours, and zero where
    those coincide.

    Args:
        images: ``(p, m, d)``.
        values: ``(p, m)``, their energies.

    Returns:
        ``(p, m - 2, d)``.

    Example:
        >>> corner = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]])
        >>> improved_tangents(corner, torch.tensor([[0.0, 1.0, 2.0]]))
        tensor([[[0., 1.]]])
        >>> improved_tangents(corner, torch.tensor([[2.0, 1.0, 0.0]]))
        tensor([[[1., 0.]]])

    Source: Henkelman & Jónsson, J. Chem. Phys. 113, 9978 (2000), Eq. 8-11.
    """
    steps = images.diff(dim=1)
    back, ahead = steps[:, :-1], steps[:, 1:]
    rises = values.diff(dim=1)
    before, after = rises[:, :-1], rises[:, 1:]
    large, small = torch.maximum(before.abs(), after.abs()), torch.minimum(before.abs(), after.abs())
    next_is_higher = values[:, 2:] > values[:, :-2]
    share_ahead = torch.where(next_is_higher, large, small)
    share_back = torch.where(next_is_higher, small, large)
    one, zero = torch.ones_like(large), torch.zeros_like(large)
    rising, falling, flat = (before > 0) & (after > 0), (before < 0) & (after < 0), large == 0
    share_ahead = torch.where(rising | flat, one, torch.where(falling, zero, share_ahead))
    share_back = torch.where(falling | flat, one, torch.where(rising, zero, share_back))
    # Weights are energies: brought to 1 first, or their product with a short step may underflow.
    total = (share_ahead + share_back).clamp(min=torch.finfo(values.dtype).tiny)
    tangents = (share_ahead / total)[..., None] * ahead + (share_back / total)[..., None] * back
    return unit(tangents)


def unit(vectors: Tensor) -> Tensor:
    """Vectors over their lengths, ``(*b, d) -> (*b, d)``; zero stays zero."""
    norms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return torch.where(norms > 0, vectors / norms.clamp(min=torch.finfo(vectors.dtype).tiny), 0)
