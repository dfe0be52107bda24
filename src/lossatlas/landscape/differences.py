"""Derivatives from differences, for functions that have no others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["central_gradient", "product_of_gradients", "product_of_values"]


def central_gradient(values: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """(f(x + h e_i) − f(x − h e_i)) / 2h with h = ε^(1/3) max(1, |x_i|), whose error is of order ε^(2/3).

    Args:
        values: f over rows, ``(n, d) -> (n,)``.
        x: ``(n, d)``.

    Returns:
        Gradients ``(n, d)``; 2d evaluations per row.

    Example:
        >>> central_gradient(lambda x: (x**2).sum(-1), torch.ones(1, 2, dtype=torch.float64)).round(decimals=6)
        tensor([[2., 2.]], dtype=torch.float64)
    """
    step = torch.finfo(x.dtype).eps ** (1 / 3) * x.abs().clamp_min(1)
    columns = []
    for i in range(x.shape[-1]):
        above, below = x.clone(), x.clone()
        above[:, i] += step[:, i]
        below[:, i] -= step[:, i]
        # Divided by the distance as rounded, not by 2h.
        columns.append((values(above) - values(below)) / (above - below)[:, i])
    return torch.stack(columns, -1)


def product_of_gradients(grads: Callable[[Tensor], Tensor], x: Tensor, v: Tensor) -> Tensor:
    """Hessian times v by central differences of gradients along v, with error of order ε^(2/3).

    Args:
        grads: gradients over rows, ``(n, d) -> (n, d)``.
        x: ``(n, d)``.
        v: ``(n, d)``.

    Returns:
        Products ``(n, d)``; two gradients per row.

    Example:
        >>> x, v = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[1.0, 2.0]], dtype=torch.float64)
        >>> product_of_gradients(lambda x: 2 * x, x, v).round(decimals=6)
        tensor([[2., 4.]], dtype=torch.float64)
    """
    unit, length, size = _scales(x, v)
    step = torch.finfo(x.dtype).eps ** (1 / 3) * size
    change = grads(x + step * unit) - grads(x - step * unit)
    product: Tensor = change / (2 * step) * length
    return product


def product_of_values(values: Callable[[Tensor], Tensor], x: Tensor, v: Tensor) -> Tensor:
    """Hessian times v by mixed central differences of values, with error of order ε^(1/2).

    Args:
        values: f over rows, ``(n, d) -> (n,)``.
        x: ``(n, d)``.
        v: ``(n, d)``.

    Returns:
        Products ``(n, d)``; 4d evaluations per row.

    Example:
        >>> x, v = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[1.0, 2.0]], dtype=torch.float64)
        >>> product_of_values(lambda x: (x**2).sum(-1), x, v).round(decimals=6)
        tensor([[2., 4.]], dtype=torch.float64)
    """
    unit, length, size = _scales(x, v)
    step = torch.finfo(x.dtype).eps ** 0.25 * size
    along = step * unit
    columns = []
    for i in range(x.shape[-1]):
        side = torch.zeros_like(x)
        side[:, i] = step[:, 0]
        there = values(x + along + side) - values(x + along - side)
        back = values(x - along + side) - values(x - along - side)
        columns.append((there - back) / (4 * step[:, 0] ** 2))
    return torch.stack(columns, -1) * length


def _scales(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit vectors along v ``(n, d)``, their lengths ``(n, 1)``, and the size of the points, at least 1, ``(n, 1)``."""
    length: Tensor = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    size: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return v / length.where(length > 0, torch.ones_like(length)), length, size.clamp_min(1)
