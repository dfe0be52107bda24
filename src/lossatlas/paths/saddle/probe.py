"""Probe: gradients and Hessian products of a landscape at one point, counted, without motions that cost nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.landscape.contract import Landscape, SupportsHvp, SupportsNullSpace, accept_rows
from lossatlas.landscape.differences import product_of_gradients

__all__ = ["Probe", "exact_point"]


class Probe:
    """What the searches of this package ask of a landscape, and what it cost.

    Hessian products are the landscape's own, or central differences of gradients, which count as two gradients.

    Args:
        landscape: in float64.
    """

    def __init__(self, landscape: Landscape) -> None:
        self.landscape = landscape
        self.gradients = 0
        self.products = 0

    @property
    def evaluations(self) -> dict[str, float]:
        """``{"gradients": n, "hessian_products": n}`` so far."""
        return {"gradients": self.gradients, "hessian_products": self.products}

    def null_space(self, x: Tensor) -> Tensor:
        """Orthonormal directions that never change the loss, ``(d,) -> (k, d)``; k = 0 where none are known."""
        if isinstance(self.landscape, SupportsNullSpace):
            return self.landscape.null_space(x).to(x)
        return x.new_empty(0, len(x))

    def value_and_grad(self, x: Tensor) -> tuple[float, Tensor]:
        """Loss and gradient, ``(d,) -> (), (d,)``."""
        value, grad = self.landscape.value_and_grad(x)
        self.gradients += 1
        return float(value), grad

    def multiply(self, x: Tensor, vectors: Tensor) -> Tensor:
        """Hessian times each vector, ``(d,), (n, d) -> (n, d)``."""
        rows = x.expand(len(vectors), -1)
        if isinstance(self.landscape, SupportsHvp):
            self.products += len(vectors)
            return self.landscape.hvp(rows, vectors)
        self.gradients += 2 * len(vectors)
        return product_of_gradients(lambda at: self.landscape.value_and_grad(at)[1], rows, vectors)


def exact_point(landscape: Landscape, x: Tensor) -> tuple[Landscape, Tensor]:
    """Check a point and return it and its landscape in float64.

    Raises:
        InputError: not one point of this landscape.
    """
    x = accept_rows(x, landscape)
    if x.ndim != 1:
        raise InputError(f"expected one point of shape ({landscape.dim},), got {tuple(x.shape)}: pass one row")
    exact = landscape.to(dtype=torch.float64)
    return exact, x.detach().to(dtype=torch.float64)
