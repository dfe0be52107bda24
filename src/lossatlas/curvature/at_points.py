"""PointOperator: a curvature of a landscape at one point or many, compared with finite differences on request."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_norm
from lossatlas.core.randomness import generator
from lossatlas.curvature.operator import CurvatureOperator
from lossatlas.landscape.contract import Landscape, accept_rows

__all__ = ["HessianCheck", "PointOperator", "data_of"]


@dataclass(frozen=True)
class HessianCheck:
    """How far products are from finite differences.

    ReLU networks return a Hessian silently, although their loss has kinks that it does not see.

    Args:
        differences: ``(*b, m)``, |A v − δ| / max(|A v|, |δ|) along m random directions v, where δ is the central
            difference in float64; 0 where both vanish.
        method: how A v was computed.
        reference: what δ is the difference of.
        tolerance: up to which the two count as one.
    """

    differences: Tensor
    method: str
    reference: str = "central differences of the gradient"
    tolerance: float = 1e-3

    @property
    def agrees(self) -> Tensor:
        """``(*b,)``, whether all directions are within the tolerance."""
        return (self.differences <= self.tolerance).all(-1)


class PointOperator(CurvatureOperator):
    """A curvature of a landscape at one point or many. A subclass says also :meth:`_differences`.

    Args:
        landscape: any; ``landscape.on(batch)`` gives the curvature of a mini-batch, and :attr:`data` says so.
        x: the points, ``(*b, d)``.
        dtype: floating type of the products.

    Raises:
        InputError: points that do not belong to the landscape, or another type.
    """

    reference = "central differences of the gradient"

    def __init__(self, landscape: Landscape, x: Tensor, dtype: torch.dtype) -> None:
        x = accept_rows(x, landscape)
        if dtype not in (torch.float32, torch.float64):
            raise InputError(f"expected dtype float32 or float64, got {dtype}")
        super().__init__(landscape.dim, tuple(x.shape[:-1]), dtype, landscape.device)
        self.landscape: Landscape = landscape.to(dtype=dtype) if landscape.dtype != dtype else landscape
        self.x = x.detach().to(dtype)

    @property
    def data(self) -> str:
        """What the loss is averaged over."""
        return data_of(self.landscape)

    def named(self, method: str) -> str:
        """A method's name, with the floating type where it is not float64."""
        return method if self.dtype == torch.float64 else f"{method} in float32"

    @abstractmethod
    def _differences(self, v: Tensor) -> Tensor:
        """Products by central differences in float64, ``(m, *b, d) -> (m, *b, d)``."""

    def check(self, directions: int = 3, seed: int = 0, *, tolerance: float = 1e-3) -> HessianCheck:
        """Compare products with central differences in float64 along random directions.

        Args:
            directions: how many, m.
            seed: names the directions.
            tolerance: relative difference up to which the two agree.

        Returns:
            The relative differences.

        Raises:
            InputError: no direction, or a tolerance that is not positive.

        Example:
            >>> from lossatlas import landscape
            >>> from lossatlas.curvature import HessianOperator
            >>> toy = landscape.get("rosenbrock")
            >>> bool(HessianOperator(toy, torch.ones(2, dtype=torch.float64)).check().agrees)
            True
        """
        if directions < 1 or not tolerance > 0:
            raise InputError(f"expected at least 1 direction and a tolerance above 0, got {directions} and {tolerance}")
        shape = (directions, *self.batch, self.dim)
        v = torch.randn(directions, self.dim, dtype=torch.float64, generator=generator(seed, "check", self.dim))
        v = (v / row_norm(v)[:, None]).to(self.device)
        v = v.reshape(directions, *(1 for _ in self.batch), self.dim).expand(shape)
        slopes, products = self._differences(v), self @ v
        size = torch.maximum(row_norm(products), row_norm(slopes))
        relative = row_norm(products - slopes) / size.where(size > 0, torch.ones_like(size))
        return HessianCheck(relative.movedim(0, -1), self.method, self.reference, tolerance)


def data_of(landscape: Landscape) -> str:
    """What a loss is averaged over, such as ``"all 1437 examples"`` or ``"mini-batch of 64 examples"``.

    Example:
        >>> from lossatlas.landscape import get
        >>> data_of(get("rosenbrock"))
        'no data'
    """
    count = landscape.samples
    if count is None:
        return "no data"
    restricted = getattr(landscape, "restricted", False)
    return f"mini-batch of {count} examples" if restricted else f"all {count} examples"
