"""Eigenpairs: the ends of a spectrum for many minima at once, each with its residual and whether it is settled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.results import on_cpu
from lossatlas.curvature.hessian import operator_of
from lossatlas.curvature.lanczos import ExtremeSearch, Which
from lossatlas.curvature.operator import CurvatureOperator
from lossatlas.landscape.contract import Landscape

__all__ = ["Eigenpairs", "eigenvalues"]


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues at the ends of a spectrum.

    Args:
        values: ``(*b, k)``: the largest first (``which="largest"``), the smallest first (``"smallest"``), or the k
            largest and then the k smallest, all descending (``"both"``: 2k of them). Algebraic, not by magnitude. NaN
            where products were not finite.
        vectors: ``(*b, k, d)``, orthonormal; the component of largest magnitude is positive.
        residuals: ``(*b, k)``, |A v − θ v|, measured at the end: within this distance of θ there is an eigenvalue.
        converged: ``(*b, k)``, whether the residual is at most ``tolerance`` times the larger of |θ| and a thousandth
            of the largest |θ|.
        products: ``(*b,)``, products spent on each minimum.
        which: which end.
        tolerance: of the residuals.
        method: how products were computed, and how eigenvalues.
        data: what the loss is averaged over.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    converged: Tensor
    products: Tensor
    which: Which
    tolerance: float
    method: str
    data: str


def eigenvalues(
    landscape: Landscape | CurvatureOperator,
    w: Tensor | None = None,
    k: int = 10,
    *,
    which: Which = "largest",
    tolerance: float | None = None,
    seed: int = 0,
    max_products: int = 1000,
    block: int = 1,
) -> Eigenpairs:
    """Eigenvalues and eigenvectors at the ends of the spectrum, H v = λ v.

    Thick-restart Lanczos with full reorthogonalisation in float64. All minima advance by the same calls for products,
    and each stops when its own eigenvalues have settled; results do not depend on which minima are searched together.
    Where d is at most 64, or a basis would span everything, the matrix is made by d products and diagonalised; so is
    that of an :class:`lossatlas.curvature.AssembledOperator`, which is known.

    Of an eigenvalue that is repeated exactly, only as many copies as ``block`` are sure to be found.

    Args:
        landscape: any; products are in float64, whatever its type. Or an operator, such as
            ``HessianOperator(landscape, w, dtype=torch.float32)``.
        w: points ``(*b, d)``; None beside an operator.
        k: how many, from each end that is asked for.
        which: ``"largest"``, ``"smallest"`` (most negative) or ``"both"``.
        tolerance: of residuals relative to eigenvalues; default 1e-6, or 1e-3 with products in float32. Where
            eigenvalues stand apart their errors go with the residual's square.
        seed: names the starting vectors, the same for every minimum.
        max_products: for each minimum; a search that runs out returns what it has, ``converged`` False, and NaN for
            what it has not.
        block: products at a time with each matrix.

    Returns:
        The eigenpairs with their residuals.

    Raises:
        InputError: more eigenvalues than coordinates, or other arguments that cannot be.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=3, eigenvalues=[1.0, 2.0, 5.0])
        >>> found = eigenvalues(bowl, torch.zeros(3, dtype=torch.float64), k=2)
        >>> found.values.round(decimals=9), found.converged
        (tensor([5., 2.], dtype=torch.float64), tensor([True, True]))

    Wu & Simon 2000, *Thick-restart Lanczos method for large symmetric eigenvalue problems*, SIAM J. Matrix Anal. Appl.
    """
    operator = operator_of(landscape, w)
    if tolerance is None:
        tolerance = 1e-6 if operator.dtype == torch.float64 else 1e-3
    search = ExtremeSearch(operator, k, which, tolerance, seed, max_products, block)
    before = operator.products
    found = search.run()
    values, vectors, residuals, converged = (each.reshape(*operator.batch, *each.shape[1:]) for each in found)
    return on_cpu(
        Eigenpairs(
            values,
            vectors,
            residuals,
            converged,
            operator.products - before,
            which,
            search.tolerance,
            f"{operator.method}; {search.method}",
            operator.data,
        )
    )
