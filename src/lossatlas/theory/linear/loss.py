"""DeepLinearLoss: the population loss of a deep linear network as a landscape."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.landscape.analytic import CriticalPoint, Energy
from lossatlas.landscape.analytic.energy import Device
from lossatlas.theory.linear.matrix_flow import join, split
from lossatlas.theory.linear.network import layer_gradients
from lossatlas.theory.linear.task import LinearTask, aligned_weights, multiply

__all__ = ["DeepLinearLoss"]


class DeepLinearLoss(Energy):
    """E(W) = ½ |W_L ... W_1 − M*|²: half the mean squared error over white inputs, without the part of label noise.

    Rows are the weights end to end, W_1 first, as :class:`lossatlas.models.DeepLinear` lays them out.

    Args:
        task: target and network.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Raises:
        InputError: not a floating type, or no such device.

    Example:
        >>> loss = DeepLinearLoss(LinearTask(torch.diag(torch.tensor([2.0, 1.0])), width=3))
        >>> loss.dim, loss.value(torch.zeros(loss.dim, dtype=torch.float64))
        (12, tensor(2.5000, dtype=torch.float64))
    """

    def __init__(self, task: LinearTask, *, dtype: torch.dtype = torch.float64, device: Device = None) -> None:
        self.shapes = task.shapes
        dim = sum(after * before for after, before in self.shapes)
        super().__init__(dim, name="deep linear", dtype=dtype, device=device, constants={"target": task.target})
        self._know([CriticalPoint(join(aligned_weights(task, task.targets)), 0.0, 0, "target")])

    def _energy(self, x: Tensor) -> Tensor:
        return (multiply(split(x, self.shapes)) - self._constant("target")).square().sum((-1, -2)) / 2

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        weights = split(x, self.shapes)
        residual = multiply(weights) - self._constant("target")
        return residual.square().sum((-1, -2)) / 2, join(layer_gradients(weights, residual))
