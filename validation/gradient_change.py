"""How fast a gradient changes along itself, and the weights a training run passes through."""

from __future__ import annotations

import torch
from torch import Tensor

import lossatlas as la
from lossatlas import training
from lossatlas.landscape import Landscape
from lossatlas.problems import Problem

__all__ = ["lipschitz_along_gradient", "trajectory"]


def lipschitz_along_gradient(landscape: Landscape, w: Tensor, steps: Tensor) -> Tensor:
    """Largest |g(w - t g) - g(w)| / |t g| over some t, a lower bound of the gradient's Lipschitz constant.

    Santurkar, Tsipras, Ilyas & Madry 2018 (arXiv 1805.11604), Section 3.2, call it effective beta-smoothness.

    Args:
        landscape: where.
        w: ``(d,)``.
        steps: ``(n,)``, the t.

    Returns:
        ``()``.
    """
    _, gradient = landscape.value_and_grad(w)
    _, moved = landscape.value_and_grad(w - steps[:, None] * gradient)
    change = torch.linalg.vector_norm(moved - gradient, dim=-1)
    return (change / (steps * torch.linalg.vector_norm(gradient))).max()


def trajectory(
    problem: Problem, options: dict[str, float], *, seed: int, epochs: list[int], batch_size: int
) -> dict[str, Tensor]:
    """Weights of one run of SGD after some epochs.

    Returns:
        ``"weights"`` ``(n, d)`` and ``"loss"`` ``(n,)``, in float64 on the whole training data.
    """
    method = la.optimize.get("sgd", **options)
    batches = training.MiniBatches(problem.train.samples, batch_size, seed, [0])
    state = method.init(problem.train, problem.initial_weights(seed, [0]))
    seen = []
    for epoch in range(max(epochs) + 1):
        if epoch in epochs:
            seen.append(state.x[0].double())
        if epoch < max(epochs):
            for number in range(batches.per_epoch):
                state = method.step(problem.train.on(batches.of(epoch, number)), state)
    weights = torch.stack(seen)
    return {"weights": weights, "loss": problem.train.to(dtype=torch.float64).value(weights)}
