"""HessianOperator: the Hessian of a landscape at one point or many, with the method of its products by name."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.curvature.at_points import HessianCheck, PointOperator
from lossatlas.curvature.operator import CurvatureOperator
from lossatlas.landscape.contract import HessianProducts, Landscape, SupportsHessianAt, SupportsHvp
from lossatlas.landscape.differences import product_of_gradients

__all__ = ["HessianCheck", "HessianOperator", "ProductMethod", "operator_of"]

ProductMethod: TypeAlias = Literal["auto", "differences"]

_DIFFERENCES = "central differences of the gradient"


class HessianOperator(PointOperator):
    """H = ∇²L at one point or many.

    Args:
        landscape: any; ``landscape.on(batch)`` gives the Hessian of a mini-batch, and :attr:`data` says so.
        x: the points, ``(*b, d)``.
        method: ``"auto"``: the landscape's own products (double backward pass where there is one), or central
            differences where it has none; ``"differences"``: central differences of gradients.
        dtype: floating type of the products. float64 by default whatever the landscape's own: at a training loss of
            1e-8 float32 has lost the second digit of the Hessian. ``torch.float32`` is about twice as fast.

    Raises:
        InputError: points that do not belong to the landscape, or an unknown method or type.

    Example:
        >>> from lossatlas import landscape
        >>> toy = landscape.get("rosenbrock")
        >>> hessian = HessianOperator(toy, torch.ones(2, dtype=torch.float64))
        >>> hessian @ torch.tensor([1.0, 0.0], dtype=torch.float64)
        tensor([ 802., -400.], dtype=torch.float64)
        >>> hessian.data, int(hessian.products)
        ('no data', 1)
    """

    def __init__(
        self,
        landscape: Landscape,
        x: Tensor,
        *,
        method: ProductMethod = "auto",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        if method not in ("auto", "differences"):
            raise InputError(f"expected method 'auto' or 'differences', got '{method}'")
        super().__init__(landscape, x, dtype)
        landscape = self.landscape
        self._wanted = method
        self._method = _DIFFERENCES
        self._at: HessianProducts | None = None
        if isinstance(landscape, SupportsHessianAt):
            self._at = landscape.hessian_at(self.x, differences=method == "differences")
        elif isinstance(landscape, SupportsHvp) and method == "auto":
            self._method = getattr(landscape, "hvp_method", "the landscape's own product")

    @property
    def method(self) -> str:
        """How the last product was computed."""
        return self.named(self._method)

    def _multiply(self, v: Tensor, where: Tensor) -> Tensor:
        vectors = v.to(self.dtype)
        if self._at is not None:
            product = self._at.multiply(vectors, where)
            self._method = self._at.method or self._method
            return product.double()
        points = self.x.reshape(-1, self.dim)[where.to(self.device)]
        if isinstance(self.landscape, SupportsHvp) and self._wanted == "auto":
            return self.landscape.hvp(points, vectors).double()
        return product_of_gradients(lambda at: self.landscape.value_and_grad(at)[1], points, vectors).double()

    def _differences(self, v: Tensor) -> Tensor:
        exact = self.landscape.to(dtype=torch.float64)
        return product_of_gradients(lambda at: exact.value_and_grad(at)[1], self.x.double().expand(v.shape), v)


def operator_of(landscape: Landscape | CurvatureOperator, w: Tensor | None) -> CurvatureOperator:
    """The operator itself, or the Hessian of a landscape at w.

    Raises:
        InputError: an operator with points of its own and w besides, or a landscape without.
    """
    if isinstance(landscape, CurvatureOperator):
        if w is not None:
            raise InputError("expected no weights beside an operator, which has its own points: leave them out")
        return landscape
    if w is None:
        raise InputError("expected the points (*b, d) at which to take the Hessian, got none: pass them after it")
    return HessianOperator(landscape, w)
