"""gradient_change: how fast the gradient changes along itself, which bounds the steps that lead down."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_norm
from lossatlas.core.results import on_cpu
from lossatlas.landscape.contract import Landscape, accept_rows

__all__ = ["gradient_change"]


def gradient_change(landscape: Landscape, w: Tensor, steps: Tensor) -> Tensor:
    """Largest |g(w − t g) − g(w)| / |t g| over some steps t along the gradient g, ``(*b, d) -> (*b,)``.

    A lower bound of the Lipschitz constant of the gradient between w and the farthest of the points. Beyond
    2 over this number, a step of gradient descent need not lead down.

    Args:
        landscape: any; evaluated in float64 whatever its type.
        w: points ``(*b, d)``.
        steps: t, ``(n,)``, in the units of a learning rate, positive.

    Returns:
        ``(*b,)`` in float64; 0 where the gradient vanishes, NaN where a point is not finite.

    Raises:
        InputError: points of another landscape, or steps that are not positive numbers.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=2, eigenvalues=[2.0, 8.0], rotate=False)
        >>> gradient_change(bowl, torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double(), torch.tensor([0.1, 0.2]))
        tensor([2., 8.], dtype=torch.float64)

    Santurkar, Tsipras, Ilyas & Madry 2018 (arXiv 1805.11604), section 3.2, call it effective β-smoothness.
    """
    w = accept_rows(w, landscape)
    if steps.ndim != 1 or not len(steps) or not bool((steps.isfinite() & (steps > 0)).all()):
        raise InputError(f"expected steps (n,) above 0, got {steps.tolist()}: for instance half and twice the rate")
    exact, rows = landscape.to(dtype=torch.float64), w.detach().double()
    _, gradient = exact.value_and_grad(rows)
    lengths = steps.to(rows).reshape(-1, *(1 for _ in rows.shape))
    _, moved = exact.value_and_grad(rows - lengths * gradient)
    size = row_norm(gradient)
    change = row_norm(moved - gradient) / (lengths[..., 0] * size)
    found: Tensor = change.amax(0)
    return on_cpu(found.where(size != 0, torch.zeros_like(size)))
