"""Gauss-Newton and empirical Fisher matrices as operators, beside the Hessian."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.curvature.at_points import PointOperator
from lossatlas.landscape.contract import HessianProducts, Landscape, SupportsGaussNewtonAt

__all__ = ["FisherOperator", "GaussNewtonOperator"]


class GaussNewtonOperator(PointOperator):
    """G = (1/N) Σ_n J_nᵀ (∂²ℓ_n/∂f²) J_n, the generalised Gauss-Newton matrix of a network's loss.

    The Hessian is G + (1/N) Σ_n Σ_k (∂ℓ_n/∂f_k) ∇²f_k; G leaves the second part out, which vanishes where every sample
    is fitted. For a loss that is convex in the outputs f, such as cross-entropy of logits or squared error, G has no
    negative eigenvalue. For cross-entropy of logits it is the Fisher matrix with labels drawn from the model.

    Args:
        landscape: a network whose outputs are one tensor; ``landscape.on(batch)`` gives that of a mini-batch.
        x: the points, ``(*b, d)``.
        dtype: floating type of the products, as for :class:`lossatlas.curvature.HessianOperator`.

    Raises:
        InputError: a landscape without outputs, or points of another.

    Example:
        >>> from torch import nn
        >>> from lossatlas.landscape import NetworkLandscape
        >>> net = nn.Linear(2, 1, bias=False)
        >>> data = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.zeros(2, 1)
        >>> landscape = NetworkLandscape(net, nn.functional.mse_loss, data)
        >>> GaussNewtonOperator(landscape, landscape.flatten(net)).dense()
        tensor([[1., 0.],
                [0., 9.]], dtype=torch.float64)

    Schraudolph 2002, *Fast curvature matrix-vector products for second-order gradient descent*, section 3; Martens
    2020, *New insights and perspectives on the natural gradient method*, section 8.
    """

    reference = "the same with central differences of the outputs for the Jacobian"
    _middle: ClassVar[Literal["loss", "gradients"]] = "loss"
    _matrix: ClassVar[str] = "Gauss-Newton matrix"

    def __init__(self, landscape: Landscape, x: Tensor, *, dtype: torch.dtype = torch.float64) -> None:
        super().__init__(landscape, x, dtype)
        self._at = self._made(self.landscape, self.x, differences=False)

    def _made(self, landscape: Landscape, x: Tensor, *, differences: bool) -> HessianProducts:
        if not isinstance(landscape, SupportsGaussNewtonAt):
            raise InputError(
                f"expected a network for a {self._matrix}, got {type(landscape).__name__}, which has no outputs: "
                "use HessianOperator"
            )
        return landscape.gauss_newton_at(x, self._middle, differences=differences)

    @property
    def method(self) -> str:
        """How the last product was computed."""
        return f"{self._matrix}: {self.named(self._at.method or 'no product yet')}"

    def _multiply(self, v: Tensor, where: Tensor) -> Tensor:
        return self._at.multiply(v.to(self.dtype), where).double()

    def _differences(self, v: Tensor) -> Tensor:
        exact = self._made(self.landscape.to(dtype=torch.float64), self.x.double(), differences=True)
        flat = v.reshape(-1, self.dim)
        return exact.multiply(flat, torch.arange(self.rows).repeat(len(flat) // self.rows)).reshape(v.shape)


class FisherOperator(GaussNewtonOperator):
    """F = (1/N) Σ_n g_n g_nᵀ, the empirical Fisher matrix, with g_n the gradient of the loss of sample n.

    Its labels are those of the data, not drawn from the model: where the model does not fit, F is not the Fisher
    information. At a critical point it is the covariance of the gradient over samples.

    Args:
        landscape: a network whose outputs have samples on the first axis, and whose loss is a sum or mean over them.
        x: the points, ``(*b, d)``.
        dtype: floating type of the products.

    Raises:
        InputError: a landscape without outputs, or points of another.

    Example:
        >>> from torch import nn
        >>> from lossatlas.landscape import NetworkLandscape
        >>> net = nn.Linear(2, 1, bias=False)
        >>> data = torch.eye(2), torch.tensor([[1.0], [0.0]])
        >>> landscape = NetworkLandscape(net, nn.functional.mse_loss, data)
        >>> FisherOperator(landscape, torch.zeros(2)).dense()
        tensor([[2., 0.],
                [0., 0.]], dtype=torch.float64)

    Kunstner, Balles & Hennig 2019, *Limitations of the empirical Fisher approximation for natural gradient descent*,
    eq. 3.
    """

    _middle = "gradients"
    _matrix = "empirical Fisher matrix"
