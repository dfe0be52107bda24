"""The weights a training run passes through."""

from __future__ import annotations

import torch
from torch import Tensor

import lossatlas as la
from lossatlas import training
from lossatlas.problems import Problem

__all__ = ["trajectory"]


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
