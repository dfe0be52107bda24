"""ThinnedCurves: curves of any length in bounded memory, which lose neither spikes nor the last steps."""

from __future__ import annotations

import math

import torch

from lossatlas.core.trajectory import RunCurves

__all__ = ["ThinnedCurves"]

# Thinned to this part of the limit, so that it does not have to be done again at once.
_FILLED = 0.75

_Point = tuple[int, float, float, float]
"""Step, loss, gradient norm, learning rate."""


def _height(value: float) -> float:
    """What is not finite is the highest spike of all; what was not recorded is none."""
    return math.inf if math.isinf(value) else value


class ThinnedCurves:
    """Loss, gradient norm and learning rate of every step, thinned where they become too many.

    The last ``recent`` points are kept as they are. Older ones share buckets of a width that doubles whenever there
    are too many; each bucket keeps the point of its highest gradient norm (of its highest loss where norms were not
    recorded), its first loss that is not finite, and its lowest loss. So the highest spike of a run, its lowest loss
    and the step at which it diverged are never lost.

    Args:
        limit: points at most.
        recent: of the last points, how many are kept as they are.

    Example:
        >>> curves = ThinnedCurves(limit=60, recent=10)
        >>> for step in range(1000):
        ...     curves.add(step, 1.0 / (1 + step), 100.0 if step == 333 else 1.0, 0.1)
        >>> kept = curves.curves()
        >>> len(kept) <= 60, 333 in kept.steps.tolist(), kept.steps[-10:].tolist() == list(range(990, 1000))
        (True, True, True)
    """

    def __init__(self, limit: int, recent: int) -> None:
        self._limit, self._recent, self._width = limit, recent, 1
        self._points: list[_Point] = []

    def add(self, step: int, loss: float, gradient_norm: float, learning_rate: float) -> None:
        """Append one point."""
        self._points.append((step, loss, gradient_norm, learning_rate))
        if len(self._points) > self._limit:
            self._thin()  # what came since the last time
            while len(self._points) > max(_FILLED * self._limit, self._recent + 3):
                self._width *= 2
                self._thin()

    def _thin(self) -> None:
        old, new = self._points[: -self._recent], self._points[-self._recent :]
        buckets: dict[int, list[_Point]] = {}
        for point in old:
            buckets.setdefault(point[0] // self._width, []).append(point)
        self._points = [point for bucket in buckets.values() for point in _representatives(bucket)] + new

    def curves(self) -> RunCurves:
        """The points kept."""
        columns = list(zip(*self._points, strict=True)) if self._points else [(), (), (), ()]
        steps, *values = columns
        return RunCurves(
            torch.tensor(steps, dtype=torch.int64), *(torch.tensor(each, dtype=torch.float64) for each in values)
        )


def _representatives(bucket: list[_Point]) -> list[_Point]:
    if len(bucket) <= 2:
        return bucket
    normed = [point for point in bucket if not math.isnan(point[2])]
    spike = max(normed, key=lambda p: _height(p[2])) if normed else max(bucket, key=lambda p: _height(p[1]))
    broken = next((point for point in bucket if not math.isfinite(point[1])), None)
    finite = [point for point in bucket if math.isfinite(point[1])]
    lowest = min(finite, key=lambda p: p[1]) if finite else bucket[0]
    return sorted({point[0]: point for point in (spike, broken, lowest) if point is not None}.values())
