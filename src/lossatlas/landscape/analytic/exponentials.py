"""Sums of exponentials of quadratic forms in the plane: value, gradient and Hessian in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossatlas.landscape.analytic.energy import Device, Energy

__all__ = ["ExponentialSum"]


class ExponentialSum(Energy):
    """E(x, y) = offset + Σ_k A_k exp(a_k δx² + b_k δx δy + c_k δy²), with δ = (x, y) − centre_k.

    Args:
        terms: ``(A, a, b, c, centre x, centre y)`` of each term.
        offset: constant added.
        name: name in messages and tables.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Example:
        >>> bump = ExponentialSum([(-1.0, -1.0, 0.0, -1.0, 0.0, 0.0)], offset=1.0, name="well")
        >>> bump.value(torch.zeros(2, dtype=torch.float64))
        tensor(0., dtype=torch.float64)
    """

    def __init__(
        self,
        terms: Sequence[tuple[float, float, float, float, float, float]],
        *,
        offset: float = 0.0,
        name: str,
        dtype: torch.dtype = torch.float64,
        device: Device = None,
    ) -> None:
        table = torch.tensor(terms, dtype=torch.float64)
        amplitude, a, b, c, x, y = table.unbind(-1)
        form = torch.stack([torch.stack([a, b / 2], -1), torch.stack([b / 2, c], -1)], -2)
        constants = {"amplitude": amplitude, "form": form, "centre": torch.stack([x, y], -1)}
        super().__init__(2, name=name, dtype=dtype, device=device, constants=constants)
        self._offset = offset

    def _terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Each term ``(n, k)`` and the gradient of its exponent ``(n, k, 2)``."""
        delta = x[:, None, :] - self._constant("centre")
        slope = 2 * (delta[..., None, :] * self._constant("form")).sum(-1)
        # For a quadratic form q the gradient g gives q back: q = δ·g / 2.
        return self._constant("amplitude") * torch.exp((delta * slope).sum(-1) / 2), slope

    def _energy(self, x: Tensor) -> Tensor:
        return self._terms(x)[0].sum(-1) + self._offset

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        terms, slope = self._terms(x)
        return terms.sum(-1) + self._offset, (terms[..., None] * slope).sum(-2)

    def _hessian_product(self, x: Tensor, v: Tensor) -> Tensor:
        terms, slope = self._terms(x)
        along = (slope * v[:, None, :]).sum(-1, keepdim=True)
        bend = 2 * (self._constant("form") * v[:, None, None, :]).sum(-1)
        return (terms[..., None] * (slope * along + bend)).sum(-2)
