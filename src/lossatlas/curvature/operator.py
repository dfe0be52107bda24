"""CurvatureOperator: symmetric matrices nobody writes down, one per minimum, known by their products with vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from lossatlas.core.errors import InputError

__all__ = ["CurvatureOperator", "ScaledOperator", "SomeRows"]


class CurvatureOperator(ABC):
    """One symmetric ``(d, d)`` matrix for each point of a batch ``(*b,)``.

    Every algorithm of this package asks for products alone, so a Hessian, a scaled Hessian and any other symmetric
    curvature are interchangeable. A subclass says :meth:`_multiply`, :attr:`method` and :attr:`data`.

    Args:
        dim: d.
        batch: the leading axes ``(*b,)``.
        dtype: floating type of the products; vectors and results are float64 whatever it is.
        device: where vectors must be.
    """

    known: bool = False
    """Whether the matrices are written down, so that all of the spectrum is at hand."""

    def __init__(self, dim: int, batch: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
        self.dim, self.batch, self.dtype, self.device = dim, batch, dtype, device
        self._count = torch.zeros(self.rows, dtype=torch.int64)

    @property
    def rows(self) -> int:
        """Number of matrices n, the product of the leading axes."""
        return torch.Size(self.batch).numel()

    @property
    def products(self) -> Tensor:
        """Products so far with each matrix, ``(*b,)``."""
        return self._count.clone().reshape(self.batch)

    @property
    @abstractmethod
    def method(self) -> str:
        """How the last product was computed."""

    @property
    @abstractmethod
    def data(self) -> str:
        """What the loss is averaged over, such as ``"all 1437 examples"`` or ``"mini-batch of 64 examples"``."""

    @abstractmethod
    def _multiply(self, v: Tensor, where: Tensor) -> Tensor:
        """Multiply in float64, ``(k, d), (k,) -> (k, d)``."""

    def multiply(self, v: Tensor, where: Tensor | None = None) -> Tensor:
        """Matrices times vectors, ``(k, d) -> (k, d)`` in float64.

        Args:
            v: ``(k, d)``.
            where: ``(k,)``, which matrix of the flattened batch each vector meets; None: k = n, one each.

        Returns:
            ``(k, d)``.

        Raises:
            InputError: shapes that do not fit.
        """
        chosen = torch.arange(self.rows) if where is None else where
        if v.ndim != 2 or v.shape != (len(chosen), self.dim):
            raise InputError(f"expected vectors of shape ({len(chosen)}, {self.dim}), got {tuple(v.shape)}")
        self._count += torch.bincount(chosen, minlength=self.rows)
        return self._multiply(v.to(dtype=torch.float64, device=self.device), chosen)

    def __matmul__(self, v: Tensor) -> Tensor:
        """Matrices times vectors, ``(*m, *b, d) -> (*m, *b, d)``; extra axes in front are several vectors each."""
        shape = (*self.batch, self.dim)
        if v.shape[v.ndim - len(shape) :] != shape:
            raise InputError(f"expected vectors of shape (..., {', '.join(map(str, shape))}), got {tuple(v.shape)}")
        flat = v.reshape(-1, self.dim)
        return self.multiply(flat, torch.arange(self.rows).repeat(len(flat) // self.rows)).reshape(v.shape)

    def dense(self) -> Tensor:
        """The matrices, symmetrised, ``-> (*b, d, d)`` in float64; d products each."""
        unit = torch.eye(self.dim, dtype=torch.float64, device=self.device)
        found = [self.multiply(unit, torch.full((self.dim,), row)) for row in range(self.rows)]
        whole = torch.stack(found) if found else unit.new_empty(0, self.dim, self.dim)
        return (0.5 * (whole + whole.mT)).reshape(*self.batch, self.dim, self.dim)

    def linear_operator(self, row: int = 0) -> LinearOperator:
        """One of the matrices for scipy, float64, on the CPU.

        Args:
            row: which, in the flattened batch.

        Returns:
            A ``scipy.sparse.linalg.LinearOperator`` of shape ``(d, d)``.
        """
        if not 0 <= row < self.rows:
            raise InputError(f"expected a row in 0..{self.rows - 1}, got {row}")

        def product(v: object) -> object:
            vectors = torch.as_tensor(v, dtype=torch.float64).reshape(self.dim, -1).T
            found = self.multiply(vectors, torch.full((len(vectors),), row))
            return found.T.cpu().numpy()

        return LinearOperator(
            (self.dim, self.dim),
            matvec=lambda v: product(v)[:, 0],  # type: ignore[index]
            rmatvec=lambda v: product(v)[:, 0],  # type: ignore[index]
            matmat=product,
            rmatmat=product,
            dtype="float64",
        )


class ScaledOperator(CurvatureOperator):
    """D A D with a diagonal D: curvature in coordinates u with x = D u.

    Args:
        inner: A.
        scale: diagonal of D, ``(*b, d)``.

    Raises:
        InputError: a scale of another shape, or one that is not finite.
    """

    def __init__(self, inner: CurvatureOperator, scale: Tensor) -> None:
        super().__init__(inner.dim, inner.batch, inner.dtype, inner.device)
        shape = (*inner.batch, inner.dim)
        if scale.shape != shape or not bool(scale.isfinite().all()):
            raise InputError(f"expected a finite scale of shape {shape}, got {tuple(scale.shape)}")
        self.inner = inner
        self.scale = scale.detach().to(dtype=torch.float64, device=inner.device).reshape(-1, inner.dim)

    @property
    def method(self) -> str:
        """How the last product was computed."""
        return self.inner.method

    @property
    def data(self) -> str:
        """What the loss is averaged over."""
        return self.inner.data

    def _multiply(self, v: Tensor, where: Tensor) -> Tensor:
        scale = self.scale[where.to(self.device)]
        return scale * self.inner.multiply(scale * v, where)


class SomeRows(CurvatureOperator):
    """Some of the matrices of another operator, so that an algorithm spends nothing on the others.

    Args:
        inner: the operator.
        rows: ``(m,)``, which of its flattened batch.

    Raises:
        InputError: rows that it does not have.
    """

    def __init__(self, inner: CurvatureOperator, rows: Tensor) -> None:
        if rows.ndim != 1 or not bool(((rows >= 0) & (rows < inner.rows)).all()):
            raise InputError(f"expected rows in 0..{inner.rows - 1} as (m,), got {rows.tolist()}")
        super().__init__(inner.dim, (len(rows),), inner.dtype, inner.device)
        self.inner, self.chosen = inner, rows.cpu()

    @property
    def method(self) -> str:
        """How the last product was computed."""
        return self.inner.method

    @property
    def data(self) -> str:
        """What the loss is averaged over."""
        return self.inner.data

    def _multiply(self, v: Tensor, where: Tensor) -> Tensor:
        return self.inner.multiply(v, self.chosen[where.cpu()])
