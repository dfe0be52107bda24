"""Work on replicas as rows: masked evaluation, and sums whose bits do not depend on the other rows."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.landscape.contract import Landscape

__all__ = ["all_rows_finite", "masked_value", "masked_value_and_grad", "stable_dot", "stable_norm"]

# torch sums a single long row with several threads and many rows with one thread each, in another order.
# Blocks below its threshold for doing so make the order, and the bits, the same for any number of rows.
_BLOCK = 4096


def stable_dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of matching rows, with the same bits whatever the number of rows.

    Args:
        a: ``(*b, d)``.
        b: ``(*b, d)``.

    Returns:
        ``(*b,)``.

    Example:
        >>> stable_dot(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
        tensor([11.])
    """
    product = a * b
    blocks = product.shape[-1] // _BLOCK
    if blocks == 0:
        return product.sum(-1)
    body = product[..., : blocks * _BLOCK].reshape(*product.shape[:-1], blocks, _BLOCK).sum(-1)
    tail = product[..., blocks * _BLOCK :].sum(-1, keepdim=True)
    return torch.cat([body, tail], dim=-1).sum(-1)


def stable_norm(a: Tensor) -> Tensor:
    """Euclidean length of each row, ``(*b, d) -> (*b,)``, from :func:`stable_dot`.

    Example:
        >>> stable_norm(torch.tensor([[3.0, 4.0]]))
        tensor([5.])
    """
    return stable_dot(a, a).sqrt()


def all_rows_finite(x: Tensor) -> Tensor:
    """Whether each row holds finite numbers only, ``(n, d) -> (n,)``.

    Example:
        >>> all_rows_finite(torch.tensor([[1.0, 3e38], [float("inf"), 0.0]]))
        tensor([ True, False])
    """
    finite = x.sum(-1).isfinite()
    # A finite sum proves finite terms; only where it is not can overflow have played a part.
    if bool(finite.all()):
        return finite
    return (x * 0).sum(-1) == 0


def masked_value(landscape: Landscape, x: Tensor, rows: Tensor) -> Tensor:
    """Evaluate some rows and leave NaN in the others.

    Args:
        landscape: what to evaluate.
        x: ``(n, d)``.
        rows: ``(n,)`` bool, which rows the landscape is given.

    Returns:
        ``(n,)``.
    """
    if bool(rows.all()):
        return landscape.value(x).detach()
    value = x.new_full((len(x),), float("nan"))
    if bool(rows.any()):
        value[rows] = landscape.value(x[rows]).detach().to(value.dtype)
    return value


def masked_value_and_grad(landscape: Landscape, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate some rows with their gradients; the others get NaN and a zero gradient.

    Args:
        landscape: what to evaluate.
        x: ``(n, d)``.
        rows: ``(n,)`` bool, which rows the landscape is given.

    Returns:
        ``(n,)`` and ``(n, d)``.
    """
    if bool(rows.all()):
        value, gradient = landscape.value_and_grad(x)
        return value.detach(), gradient.detach()
    value, gradient = x.new_full((len(x),), float("nan")), torch.zeros_like(x)
    if bool(rows.any()):
        part, part_gradient = landscape.value_and_grad(x[rows])
        value[rows], gradient[rows] = part.detach().to(value.dtype), part_gradient.detach()
    return value, gradient
