"""Interleaved timing of pairs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Comparison", "compare", "peak_flops", "seconds"]

PAIRS = 9


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Comparison:
    """Ratio of two times over interleaved pairs.

    Args:
        ratio: median of reference / ours: above 1 is faster.
        low: smallest ratio of a pair.
        high: largest.
        ours: median seconds.
        reference: median seconds.
    """

    ratio: float
    low: float
    high: float
    ours: float
    reference: float


def compare(
    ours: Callable[[], object],
    reference: Callable[[], object],
    pairs: int = PAIRS,
    *,
    clock: Callable[[Callable[[], object]], float] = seconds,
    per: float = 1.0,
) -> Comparison:
    """Time A B A B ... after one warm-up each; medians over the pairs.

    Args:
        ours: A.
        reference: B.
        pairs: how many, at least 7 where times are short.
        clock: gives the seconds of one call.
        per: how many times what the reference does is what ours does.
    """
    clock(ours)
    clock(reference)
    times = [(clock(ours), per * clock(reference)) for _ in range(pairs)]
    ratios = sorted(b / a for a, b in times)
    return Comparison(
        statistics.median(ratios),
        ratios[0],
        ratios[-1],
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
    )


def peak_flops(size: int = 2048) -> Callable[[], float]:
    """Return a function that multiplies two square float32 matrices once and gives the flop/s."""
    import torch

    a, b = torch.randn(size, size), torch.randn(size, size)
    torch.mm(a, b)

    def once() -> float:
        return 2 * size**3 / seconds(lambda: torch.mm(a, b))

    return once
