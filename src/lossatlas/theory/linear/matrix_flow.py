"""matrix_flow: gradient flow of all weights of a deep linear network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.theory.linear.checks import times_of
from lossatlas.theory.linear.network import layer_gradients
from lossatlas.theory.linear.task import LinearTask, Weights, multiply

__all__ = ["MatrixFlow", "join", "matrix_flow", "split"]


@dataclass(frozen=True)
class MatrixFlow:
    """Weights along gradient flow.

    Args:
        time: ``(T,)``.
        x: ``(T, d)``, weights end to end, W_1 first, each row by row.
        product: ``(T, outputs, inputs)``.
        strengths: ``(T, r)``, u_αᵀ W_L ... W_1 v_α.
        loss: ``(T,)``, ½ |W_L ... W_1 − M*|².
        gradient_norm: ``(T,)``; its square is −dL/dt.
    """

    time: Tensor
    x: Tensor
    product: Tensor
    strengths: Tensor
    loss: Tensor
    gradient_norm: Tensor


def join(weights: Weights) -> Tensor:
    """Matrices ``(*b, after, before)`` as rows, ``(*b, d)``: W_1 first, each row by row."""
    return torch.cat([w.flatten(-2) for w in weights], -1)


def split(x: Tensor, shapes: tuple[tuple[int, int], ...]) -> Weights:
    """Rows ``(*b, d)`` as matrices; the inverse of :func:`join`."""
    parts = torch.split(x, [after * before for after, before in shapes], -1)
    return tuple(part.reshape(*x.shape[:-1], *shape) for part, shape in zip(parts, shapes, strict=True))


def matrix_flow(task: LinearTask, weights: Weights, time: Tensor, *, tolerance: float = 1e-10) -> MatrixFlow:
    """Integrate dW_l/dt = W_{L:l+1}ᵀ (M* − W_L ... W_1) W_{l−1:1}ᵀ, the flow of the population loss.

    Args:
        task: target and network; rate, batch and noise take no part.
        weights: where it starts, ``(after, before)`` each.
        time: moments ``(T,)`` in ascending order.
        tolerance: relative, of the integrator (Dormand & Prince, order 8); absolute, a hundredth of it.

    Returns:
        Weights, modes, loss and gradient at these moments.

    Raises:
        InputError: weights that do not fit, moments that do not ascend, or a tolerance outside [1e-13, 0.1].
        DivergenceError: the integrator gave up.

    Example:
        >>> from lossatlas.theory.linear import aligned_weights, mode_flow
        >>> task = LinearTask(torch.diag(torch.tensor([2.0, 1.0])))
        >>> time = torch.linspace(0, 5, 6, dtype=torch.float64)
        >>> found = matrix_flow(task, aligned_weights(task, 0.01), time)
        >>> bool((found.strengths[:, 1] - mode_flow(2, 1.0, 0.01, time)).abs().max() < 1e-7)
        True
    """
    first = task.check(weights)
    if first[0].ndim != 2:
        raise InputError(f"expected matrices (after, before), got {tuple(first[0].shape)}: one flow at a time")
    moments = times_of(time)
    if moments.ndim != 1 or not len(moments) or bool((moments[1:] <= moments[:-1]).any()):
        raise InputError(f"expected moments (T,) in ascending order, got {time}: such as torch.linspace(0, 10, 200)")
    if not 1e-13 <= tolerance <= 0.1:
        raise InputError(f"expected a tolerance between 1e-13 and 0.1, got {tolerance}: 1e-10 is the usual one")

    def push(_: float, flat: np.ndarray[tuple[int], np.dtype[np.float64]]) -> object:
        at = split(torch.from_numpy(flat), task.shapes)
        return join(layer_gradients(at, task.target - multiply(at))).numpy()

    solved = solve_ivp(
        push,
        (0.0, max(float(moments[-1]), 1e-300)),
        join(first).numpy(),
        method="DOP853",
        t_eval=moments.numpy(),
        rtol=tolerance,
        atol=tolerance / 100,
    )
    if not solved.success or not np.isfinite(solved.y).all():
        raise DivergenceError(f"the flow could not be integrated ({solved.message}): start from smaller weights")
    x = torch.from_numpy(solved.y.T.copy())
    at = split(x, task.shapes)
    product = multiply(at)
    residual = product - task.target
    return MatrixFlow(
        moments,
        x,
        product,
        task.strengths(product),
        residual.square().sum((-1, -2)) / 2,
        join(layer_gradients(at, residual)).norm(dim=-1),
    )
