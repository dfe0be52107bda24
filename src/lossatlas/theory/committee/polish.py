"""Newton steps for many points of a committee's landscape at once, each to the limit of rounding."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lossatlas.core.linalg import row_norm
from lossatlas.theory.committee.landscape import Committee

__all__ = ["FLAT", "Polished", "newton_polish"]

FLAT = 1e-7
"""Eigenvalues of the Hessian below this part of the largest count as zero."""

# A step so many times longer than the gradient may come from a singular matrix, which elimination does not notice;
# only there eigenvectors are asked for, an order of magnitude slower.
_STRETCHED = 100.0


class Polished(NamedTuple):
    """Points after Newton's method.

    Args:
        x: ``(n, D)``.
        grad_norm: Euclidean length of the gradient, ``(n,)``.
        eigenvalues: of the Hessian at x, ascending, ``(n, D)``.
    """

    x: Tensor
    grad_norm: Tensor
    eigenvalues: Tensor


def newton_polish(landscape: Committee, x: Tensor, *, steps: int = 12, target: float = 1e-14) -> Polished:
    """Go to the critical point beside each row by full Newton steps, as long as they shorten the gradient.

    x ← x − H⁺ ∇L, without the directions along which H is zero. A row whose gradient no longer shrinks stays where it
    was shortest: nothing here leads uphill for long, and a caller looks at ``grad_norm`` to see what arrived.

    Args:
        landscape: float64.
        x: starts, ``(n, D)``.
        steps: at most so many.
        target: a row with a shorter gradient is left alone.

    Raises:
        InputError: rows that do not belong to the landscape.

    Example:
        >>> at = torch.tensor([[1.01, 0.0, 0.02, 1.0]], dtype=torch.float64)
        >>> newton_polish(Committee(2), at).grad_norm < 1e-13
        tensor([True])
    """
    x = x.clone()
    grad = landscape.value_and_grad(x)[1]
    active = torch.arange(len(x))
    for _ in range(steps):
        active = active[row_norm(grad[active]) > target]
        if len(active) == 0:
            break
        there = x[active] - _newton_step(landscape.hessian(x[active]), grad[active])
        slope = landscape.gradient(there)
        better = row_norm(slope) < row_norm(grad[active])
        active = active[better]
        x[active], grad[active] = there[better], slope[better]
    return Polished(x, row_norm(grad), torch.linalg.eigvalsh(landscape.hessian(x)))


def _newton_step(hessian: Tensor, grad: Tensor) -> Tensor:
    """H⁻¹ g; where H is singular, the shortest solution."""
    step: Tensor
    step, info = torch.linalg.solve_ex(hessian, grad)
    singular = torch.nonzero((info != 0) | ~(row_norm(step) < _STRETCHED * row_norm(grad))).flatten()
    if len(singular) > 0:
        values, vectors = torch.linalg.eigh(hessian[singular])
        flat = values.abs() <= FLAT * values.abs().amax(-1, keepdim=True)
        along = (grad[singular, None] @ vectors)[:, 0] / torch.where(flat, torch.inf, values)
        step[singular] = (vectors @ along[..., None])[..., 0]
    return step
