"""Krylov: an orthonormal basis that grows by one block of products at a time, and the matrix seen in it."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Krylov"]

# What is left of an image after orthogonalisation counts as nothing below this part of the largest |θ|.
_BREAKDOWN = 1e-13
# Gram-Schmidt is repeated while it shortens a vector by more than half (Daniel et al. 1976: twice is enough).
_SHORTENED, _PASSES = 0.5, 5
# A pass that removed less than 1 / _CLEAN times what is left leaves vectors orthogonal to 13 digits.
_CLEAN = 1e-2


class Krylov:
    """The block Lanczos method for one symmetric matrix A, with full reorthogonalisation and thick restarts.

    A V = V T + Q R Eᵀ: V orthonormal rows, T symmetric, Q the next block, E the last block of columns. T is made of
    inner products, never of a recurrence, so that products that are only nearly symmetric (float32) do no harm.

    Thick restart: Wu & Simon 2000, *Thick-restart Lanczos method for large symmetric eigenvalue problems*.

    Args:
        start: ``(p, d)``, independent vectors.
        size: most rows of V, at most d.
        noise: stream of random vectors, for where the space reached is invariant.

    Attributes:
        block: ``(p, d)``, orthonormal vectors whose images :meth:`absorb` expects next.
    """

    def __init__(self, start: Tensor, size: int, noise: torch.Generator) -> None:
        self._noise, self._width = noise, len(start)
        self._basis = start.new_zeros(size, start.shape[-1])
        self._matrix = torch.zeros(size, size, dtype=start.dtype)
        self._coupling = torch.zeros(self._width, self._width, dtype=start.dtype)
        self._scale, self._absorbed, self._restarted = 0.0, 0, True
        self._add(start, 0.0)

    def _add(self, vectors: Tensor, removed: float) -> None:
        """Orthonormalise a block and append it, with R kept; the last pass over the basis took ``removed`` from it."""
        base = self._absorbed
        self._coupling.zero_()
        for j, vector in enumerate(vectors):
            rest, length = vector, float(torch.linalg.vector_norm(vector))
            inside = self._basis[base : base + j]
            floor = max(_BREAKDOWN * self._scale, _BREAKDOWN * length)
            onto = inside @ rest
            rest = rest - onto @ inside
            left = float(torch.linalg.vector_norm(rest))
            if left <= floor:
                rest, left = torch.randn(len(rest), dtype=rest.dtype, generator=self._noise).to(rest), 0.0
            else:
                self._coupling[:j, j] = onto.cpu()
                self._coupling[j, j] = left
            clean = j == 0 and left > 0 and left > _CLEAN * removed
            self._basis[base + j] = rest / left if clean else self._orthonormal(rest, base + j)

    def _orthonormal(self, vector: Tensor, count: int) -> Tensor:
        before = self._basis[:count]
        length = float(torch.linalg.vector_norm(vector))
        for _ in range(_PASSES):
            vector = vector / length
            vector = vector - (before @ vector) @ before
            length = float(torch.linalg.vector_norm(vector))
            if length > _SHORTENED:
                break
        return vector / length

    @property
    def block(self) -> Tensor:
        """The vectors whose images are wanted."""
        return self._basis[self._absorbed : self._absorbed + self._width]

    @property
    def size(self) -> int:
        """Dimension m of the space of which T is known."""
        return self._absorbed

    @property
    def matrix(self) -> Tensor:
        """T, ``(m, m)``."""
        return self._matrix[: self._absorbed, : self._absorbed]

    @property
    def extended(self) -> Tensor:
        """A V in the basis and the next block, ``(m + p, m)``; needs room for that block."""
        below = torch.zeros(self._width, self._absorbed, dtype=self._matrix.dtype)
        below[:, self._absorbed - self._width :] = self._coupling
        return torch.cat([self.matrix, below])

    @property
    def full(self) -> bool:
        """Whether there is no room for another block: :meth:`restart` first."""
        return self._absorbed + 2 * self._width > len(self._basis)

    def absorb(self, images: Tensor) -> None:
        """Take A times the block, ``(p, d)``, into T and choose the next block."""
        first, last = self._absorbed, self._absorbed + self._width
        # Only neighbours contribute more than rounding errors, except just after a restart.
        near = 0 if self._restarted else max(0, first - self._width)
        column = images.new_zeros(last, self._width)
        for low in (near, 0):
            onto = self._basis[low:last] @ images.T
            images = images - onto.T @ self._basis[low:last]
            column[low:] += onto
        found = column.cpu()
        self._matrix[:last, first:last] = found
        self._matrix[first:last, :last] = found.T
        diagonal = found[first:]
        self._matrix[first:last, first:last] = 0.5 * (diagonal + diagonal.T)
        self._scale = max(self._scale, float(found.abs().max()))
        self._absorbed, self._restarted = last, False
        if last + self._width <= len(self._basis):
            self._add(images, float(torch.linalg.vector_norm(onto)))

    def ritz(self) -> tuple[Tensor, Tensor, Tensor]:
        """Ritz values ``(m,)`` ascending, their coordinates ``(m, m)`` in columns, and residual norms ``(m,)``."""
        values, coordinates = torch.linalg.eigh(self.matrix)
        tail = coordinates[self._absorbed - self._width :]
        return values, coordinates, torch.linalg.vector_norm(self._coupling @ tail, dim=0)

    def vectors(self, coordinates: Tensor) -> Tensor:
        """Vectors from coordinates in columns, ``(m, k) -> (k, d)``."""
        return coordinates.T.to(self._basis.device) @ self._basis[: self._absorbed]

    def restart(self, values: Tensor, coordinates: Tensor) -> None:
        """Forget everything but some Ritz pairs, ``(k,), (m, k)``, and the next block."""
        kept, block = self.vectors(coordinates), self.block.clone()
        count = len(kept)
        self._basis[:count] = kept
        self._basis[count : count + self._width] = block
        self._matrix.zero_()
        self._matrix[range(count), range(count)] = values
        self._absorbed, self._restarted = count, True
