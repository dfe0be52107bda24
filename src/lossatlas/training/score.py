"""Scores of finished weights, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.problems import Problem

__all__ = ["score"]


def score(problem: Problem, weights: Tensor) -> dict[str, Tensor]:
    """Losses and metrics of weights on training and test data in float64, ``(K, d) -> {"train_loss": (K,), ...}``.

    Near 1e-9 a cross-entropy in float32 is wrong by a factor of ten, so losses that are reported are computed here.

    Args:
        problem: the problem.
        weights: rows.

    Returns:
        ``"train_loss"``, ``"test_loss"`` and each metric likewise, ``"validation_..."`` where there is such data.
    """
    scores: dict[str, Tensor] = {}
    for which in ("train", "test", *(["validation"] if problem.has_validation else [])):
        exact = problem.landscape(which).to(dtype=torch.float64)
        for name, values in exact.metrics(weights.to(exact.device, torch.float64)).items():
            scores[f"{which}_{name}"] = values.cpu()
    return scores
