"""Subspace: where most of a matrix lives, so that random probes see only the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.curvature.eigenpairs import Eigenpairs
from lossatlas.curvature.operator import CurvatureOperator

__all__ = ["Subspace", "subspace_of"]


@dataclass(frozen=True)
class Subspace:
    """One subspace for each matrix.

    Args:
        vectors: ``(n, s, d)``, orthonormal rows Q.
        images: ``(n, s, d)``, A Q.
    """

    vectors: Tensor
    images: Tensor

    @property
    def trace(self) -> Tensor:
        """tr(Qᵀ A Q), exact, ``(n,)``."""
        return (self.vectors * self.images).sum((-2, -1))

    @property
    def diagonal(self) -> Tensor:
        """Diagonal of Q Qᵀ A, exact, ``(n, d)``."""
        return (self.vectors * self.images).sum(-2)

    def outside(self, vectors: Tensor, rows: Tensor) -> Tensor:
        """(1 - Q Qᵀ) v, ``(k, d)`` for the subspaces ``rows``, ``(k,)``."""
        # Matrix by matrix: a batched product would first copy the subspaces of the rows asked for.
        pairs = zip(vectors, rows.tolist(), strict=True)
        return torch.stack([v - (self.vectors[row] @ v) @ self.vectors[row] for v, row in pairs])


def subspace_of(operator: CurvatureOperator, size: int, seed: int, deflate: Eigenpairs | None) -> Subspace:
    """The span of A Ω for random Ω ``(d, size)``, or of eigenvectors found before; ``size`` more products for images.

    Raises:
        InputError: eigenvectors of other points, or some that are not finite.
    """
    rows, dim = operator.rows, operator.dim
    if deflate is not None:
        if deflate.vectors.shape[:-2] != operator.batch or deflate.vectors.shape[-1] != dim:
            raise InputError(
                f"expected eigenvectors at points of shape {(*operator.batch, dim)}, got vectors of shape "
                f"{tuple(deflate.vectors.shape)}: find them at the same points"
            )
        if not bool(deflate.vectors.isfinite().all()):
            raise InputError("expected finite eigenvectors to deflate, got NaN: leave these minima out")
        vectors = deflate.vectors.reshape(rows, -1, dim).to(operator.device)
    else:
        omega = torch.randn(size, dim, dtype=torch.float64, generator=generator(seed, "sketch", dim))
        sketch = _images(operator, omega.to(operator.device).expand(rows, size, dim))
        vectors = torch.linalg.qr(sketch.mT)[0].mT.contiguous()
    return Subspace(vectors, _images(operator, vectors))


def _images(operator: CurvatureOperator, vectors: Tensor) -> Tensor:
    rows, size, dim = vectors.shape
    where = torch.arange(rows).repeat_interleave(size)
    return operator.multiply(vectors.reshape(-1, dim), where).reshape(rows, size, dim)
