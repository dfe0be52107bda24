"""AssembledOperator: a curvature that has been written down, so that products with it cost next to nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.curvature.at_points import PointOperator
from lossatlas.curvature.condition import DENSE
from lossatlas.curvature.lanczos import ExtremeSearch

__all__ = ["AssembledOperator", "worth_assembling"]

# How accurate a search would be does not change whether it is made on the whole matrix.
_ANY_TOLERANCE = 0.5


class AssembledOperator(PointOperator):
    """A symmetric curvature at points together with its matrices.

    Whatever takes an operator sees the whole spectrum of this one, in place of an estimate of it.

    Args:
        inner: the curvature.
        matrices: its matrices where they are known, ``(*b, d, d)``, which are symmetrised; None: made here, by d
            products each.

    Raises:
        InputError: matrices of another shape.

    Example:
        >>> from lossatlas import landscape
        >>> from lossatlas.curvature import HessianOperator, conditioning
        >>> bowl = landscape.get("quadratic", dim=3, eigenvalues=[0.0, 2.0, 5.0])
        >>> hessian = AssembledOperator(HessianOperator(bowl, torch.ones(3, dtype=torch.float64)))
        >>> found = conditioning(hessian, dense=1)
        >>> float(found.null), bool(found.exact), int(hessian.products)
        (1.0, True, 3)
    """

    known = True

    def __init__(self, inner: PointOperator, matrices: Tensor | None = None) -> None:
        super().__init__(inner.landscape, inner.x, inner.dtype)
        whole = inner.dense() if matrices is None else matrices
        shape = (*inner.batch, inner.dim, inner.dim)
        if whole.shape != shape:
            raise InputError(f"expected matrices of shape {shape}, got {tuple(whole.shape)}: pass those of inner")
        whole = whole.to(dtype=torch.float64, device=inner.device).reshape(-1, inner.dim, inner.dim)
        self.inner = inner
        self._matrices = 0.5 * (whole + whole.mT)

    @property
    def method(self) -> str:
        """How the products were computed that made the matrices."""
        return self.inner.method

    @property
    def products(self) -> Tensor:
        """Products that made each matrix, ``(*b,)``; those with the matrix itself are not counted."""
        return torch.full(self.batch, self.dim, dtype=torch.int64)

    def dense(self) -> Tensor:
        """The matrices, ``-> (*b, d, d)`` in float64."""
        return self._matrices.reshape(*self.batch, self.dim, self.dim)

    def _multiply(self, v: Tensor, where: Tensor) -> Tensor:
        rows = where.to(v.device)
        found = torch.empty_like(v)
        for row in set(rows.tolist()):
            found[rows == row] = v[rows == row] @ self._matrices[row]
        return found

    def _differences(self, v: Tensor) -> Tensor:
        return self.inner._differences(v)


def worth_assembling(operator: PointOperator, k: int) -> bool:
    """Whether the whole matrix takes no more products than what would be asked of it otherwise.

    Up to :data:`lossatlas.curvature.condition.DENSE` coordinates condition number, null space and index are those of
    the whole matrix. Beyond, k eigenvalues from both ends take at least as many products as one basis has vectors.

    Args:
        operator: a curvature.
        k: how many eigenvalues from each end are wanted.

    Example:
        >>> from lossatlas import landscape
        >>> from lossatlas.curvature import HessianOperator
        >>> bowl = landscape.get("quadratic", dim=3000, condition=10.0, rotate=False)
        >>> hessian = HessianOperator(bowl, torch.zeros(3000, dtype=torch.float64))
        >>> worth_assembling(hessian, 10), worth_assembling(hessian, 1500)
        (False, True)
    """
    return operator.dim <= DENSE or ExtremeSearch(operator, k, "both", _ANY_TOLERANCE, 0, 1, 1).whole
