"""Random probes, and means over them with Student's t intervals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from lossatlas.core.errors import InputError

__all__ = ["Sampled", "check_confidence", "half_width", "mean_over", "signs"]


@dataclass(frozen=True)
class Sampled:
    """Means over random probes, and how sure they are.

    Args:
        value: the estimates, any shape.
        error: their standard errors.
        low: lower ends of the intervals.
        high: upper ends.
        samples: number of probes.
        confidence: of each interval, by Student's t with ``samples - 1`` degrees of freedom.
    """

    value: Tensor
    error: Tensor
    low: Tensor
    high: Tensor
    samples: int
    confidence: float


def check_confidence(confidence: float) -> None:
    """Refuse what is no confidence.

    Raises:
        InputError: not in (0, 1).
    """
    if not 0 < confidence < 1:
        raise InputError(f"expected a confidence in (0, 1), got {confidence}")


def half_width(samples: int, confidence: float) -> float:
    """Half an interval in units of the standard error, t_{n-1}."""
    return float(stats.t.ppf(0.5 + confidence / 2, samples - 1)) if samples > 1 else float("nan")


def mean_over(values: Tensor, confidence: float) -> Sampled:
    """x̄ ± t_{n-1} s / √n over the first axis, ``(n, *shape) -> (*shape)``.

    Example:
        >>> found = mean_over(torch.tensor([1.0, 2.0, 3.0]), 0.95)
        >>> found.value, found.error
        (tensor(2.), tensor(0.5774))
    """
    mean, error = values.mean(0), values.std(0) / len(values) ** 0.5
    half = half_width(len(values), confidence) * error
    return Sampled(mean, error, mean - half, mean + half, len(values), confidence)


def signs(count: int, dim: int, stream: torch.Generator) -> Tensor:
    """Rademacher vectors, ``-> (count, dim)`` of ±1 in float64."""
    return torch.randint(0, 2, (count, dim), generator=stream).double().mul_(2).sub_(1)
