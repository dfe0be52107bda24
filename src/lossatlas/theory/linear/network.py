"""train_network: true SGD of full deep linear networks, many replicas at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.randomness import generator
from lossatlas.theory.linear.checks import whole
from lossatlas.theory.linear.task import LinearTask, Weights, multiply

__all__ = ["NetworkRun", "layer_gradients", "product_gradient", "train_network"]


@dataclass(frozen=True)
class NetworkRun:
    """Modes of networks during SGD.

    Args:
        time: ``(T,)``, t = η · steps, from 0.
        strengths: ``(T, R, r)``, u_αᵀ W_L ... W_1 v_α.
        loss: ``(T, R)``, population loss ½ |W_L ... W_1 − M*|², without the part of label noise.
        rest: ``(T, R)``, norm of what of the product is in no mode.
        weights: the matrices at the end, ``(R, after, before)`` each.
    """

    time: Tensor
    strengths: Tensor
    loss: Tensor
    rest: Tensor
    weights: Weights


def layer_gradients(weights: Weights, gradient: Tensor) -> Weights:
    """Chain rule from the product to its factors, W_{L:l+1}ᵀ G W_{l−1:1}ᵀ for each l.

    Args:
        weights: the matrices, ``(*b, after, before)`` each.
        gradient: G, ``(*b, outputs, inputs)``.

    Returns:
        One of each shape.

    Example:
        >>> w = (torch.full((1, 1), 2.0), torch.full((1, 1), 3.0))
        >>> layer_gradients(w, torch.ones(1, 1))
        (tensor([[3.]]), tensor([[2.]]))
    """
    before: list[Tensor | None] = [None]
    for weight in weights[:-1]:
        before.append(weight if before[-1] is None else weight @ before[-1])
    gradients, above = [], gradient
    for weight, below in zip(reversed(weights), reversed(before), strict=True):
        gradients.append(above if below is None else above @ below.mT)
        above = weight.mT @ above
    return tuple(reversed(gradients))


def product_gradient(task: LinearTask, product: Tensor, source: torch.Generator) -> Tensor:
    """Gradient of a fresh mini-batch with respect to the product, (1/B) Σ (P x − M* x − ξ) xᵀ.

    Args:
        task: target, batch and noise.
        product: P, ``(R, outputs, inputs)``; each replica sees its own batch.
        source: random numbers.

    Returns:
        ``(R, outputs, inputs)``.
    """
    replicas, outputs, inputs = product.shape
    draws = torch.randn(replicas, task.batch, inputs + outputs, generator=source, dtype=torch.float64)
    x = draws[..., :inputs]
    errors = x @ (product - task.target).mT - task.noise * draws[..., inputs:]
    return errors.mT @ x / task.batch


def train_network(
    task: LinearTask, weights: Weights, *, steps: int, replicas: int = 1, every: int = 1, seed: int = 0
) -> NetworkRun:
    """One-pass SGD, W_l ← W_l − η W_{L:l+1}ᵀ G W_{l−1:1}ᵀ, G of a fresh batch for each replica and step.

    Args:
        task: target, network, step length, batch and noise.
        weights: where to start: ``(after, before)`` each, the same for all replicas, or ``(R, after, before)``.
        steps: how many.
        replicas: R, where ``weights`` has no such axis.
        every: a state is kept after so many steps, and at the start; divides ``steps``.
        seed: names the batches.

    Returns:
        Modes, losses and the weights at the end.

    Raises:
        InputError: weights that do not fit, or sizes that cannot be.
        DivergenceError: a replica that is not finite at the end.

    Example:
        >>> from lossatlas.theory.linear import aligned_weights
        >>> task = LinearTask(torch.diag(torch.tensor([2.0, 1.0])), rate=0.02, batch=8)
        >>> run = train_network(task, aligned_weights(task, 0.01), steps=500, replicas=3, every=100)
        >>> run.strengths.shape, run.strengths[-1].mean(0).round(decimals=2)
        (torch.Size([6, 3, 2]), tensor([2., 1.], dtype=torch.float64))
    """
    whole(steps, "steps", 1, "give how many steps to take")
    whole(every, "every", 1, "give after how many steps a state is kept")
    whole(replicas, "replicas", 1, "give how many networks to train")
    if steps % every:
        raise InputError(f"expected every to divide the {steps} steps, got {every}: the last state is kept")
    current = task.check(weights)
    if current[0].ndim == 2:
        current = tuple(w.expand(replicas, *w.shape) for w in current)
    if current[0].ndim != 3 or not len(current[0]):
        raise InputError(
            f"expected matrices (after, before) or (R, after, before), got {tuple(current[0].shape)}: flatten replicas"
        )
    source = generator(seed, "deep linear batches")
    product = multiply(current)
    kept = [product]
    for number in range(steps):
        slopes = layer_gradients(current, product_gradient(task, product, source))
        current = tuple(w - task.rate * g for w, g in zip(current, slopes, strict=True))
        product = multiply(current)
        if (number + 1) % every == 0:
            kept.append(product)
    if not bool(product.isfinite().all()):
        lost = int((~product.isfinite()).flatten(1).any(1).sum())
        raise DivergenceError(f"{lost} of {len(product)} replicas are not finite after {steps} steps: lower the rate")
    products = torch.stack(kept)
    strengths = task.strengths(products)
    in_modes = torch.einsum("mr,tbr,nr->tbmn", task.left, strengths, task.right)
    return NetworkRun(
        torch.arange(len(kept), dtype=torch.float64) * (every * task.rate),
        strengths,
        (products - task.target).square().sum((-1, -2)) / 2,
        (products - in_modes).square().sum((-1, -2)).sqrt(),
        current,
    )
