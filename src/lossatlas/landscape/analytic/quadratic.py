"""A quadratic bowl of given spectrum, whose every property is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import random_rotation
from lossatlas.landscape.analytic.critical import CriticalPoint
from lossatlas.landscape.analytic.energy import Device, Energy, check_count

__all__ = ["Quadratic"]


class Quadratic(Energy):
    """E(x) = ½ (x − x₀)ᵀ Q diag(λ) Qᵀ (x − x₀), with Q a random rotation.

    Args:
        dim: number of coordinates d.
        condition: largest over smallest eigenvalue; the eigenvalues are spaced evenly in their logarithm from 1 to it.
        eigenvalues: d eigenvalues instead of those; negative ones make a saddle, zeros a flat direction.
        center: the critical point x₀, d numbers; default: the origin.
        rotate: False leaves the axes where they are, Q = 1.
        seed: names the rotation.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Raises:
        InputError: a condition number below 1, or eigenvalues or a center of the wrong length or not finite.

    Example:
        >>> bowl = Quadratic(3, condition=100.0)
        >>> bowl.eigenvalues
        tensor([  1.,  10., 100.], dtype=torch.float64)
    """

    def __init__(
        self,
        dim: int = 10,
        condition: float = 100.0,
        *,
        eigenvalues: Sequence[float] | Tensor | None = None,
        center: Sequence[float] | Tensor | None = None,
        rotate: bool = True,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
        device: Device = None,
    ) -> None:
        check_count(dim, "dim")
        if not (isinstance(condition, int | float) and 1 <= condition < math.inf):
            raise InputError(f"expected condition as a finite number of at least 1, got {condition!r}")
        if eigenvalues is None:
            spectrum = torch.logspace(0, math.log10(condition), dim, dtype=torch.float64)
        else:
            spectrum = _numbers(eigenvalues, dim, "eigenvalues").sort().values
        middle = torch.zeros(dim, dtype=torch.float64) if center is None else _numbers(center, dim, "center")
        axes = random_rotation(dim, seed) if rotate else torch.eye(dim, dtype=torch.float64)
        matrix = (axes * spectrum) @ axes.T
        constants = {"matrix": (matrix + matrix.T) / 2, "spectrum": spectrum, "axes": axes, "center": middle}
        super().__init__(dim, name="quadratic", dtype=dtype, device=device, constants=constants)
        index = int((spectrum < 0).sum())
        self._know(
            [CriticalPoint(middle, 0.0, index, "center")],
            ends=(middle - axes[:, 0], middle + axes[:, 0]),
            bounds=_window(middle) if dim == 2 else None,
        )

    @property
    def eigenvalues(self) -> Tensor:
        """Exact eigenvalues of the Hessian in ascending order, ``(d,)``."""
        return self._constant("spectrum").clone()

    @property
    def eigenvectors(self) -> Tensor:
        """Matching eigenvectors in the columns, ``(d, d)``."""
        return self._constant("axes").clone()

    @property
    def matrix(self) -> Tensor:
        """The Hessian, ``(d, d)``."""
        return self._constant("matrix").clone()

    def _energy(self, x: Tensor) -> Tensor:
        delta = x - self._constant("center")
        return (delta * (delta @ self._constant("matrix"))).sum(-1) / 2

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        delta = x - self._constant("center")
        grads = delta @ self._constant("matrix")
        return (delta * grads).sum(-1) / 2, grads

    def _hessian_product(self, x: Tensor, v: Tensor) -> Tensor:
        return v @ self._constant("matrix")


def _window(middle: Tensor) -> tuple[tuple[float, float], tuple[float, float]]:
    x, y = middle.tolist()
    return (x - 1.5, x + 1.5), (y - 1.5, y + 1.5)


def _numbers(values: Sequence[float] | Tensor, dim: int, what: str) -> Tensor:
    tensor = torch.as_tensor(values, dtype=torch.float64, device="cpu").detach().clone()
    if tensor.shape != (dim,) or not bool(torch.isfinite(tensor).all()):
        raise InputError(f"expected {what} as {dim} finite numbers, got {values!r}")
    return tensor
