"""RunFacts: what the curves of a run say: oscillating, flat, diverged, and which spikes came before."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossatlas.core.trajectory import RunCurves

__all__ = ["RunFacts", "run_facts"]

Array = NDArray[np.float64]

_FEWEST = 10
# A loss this many times the first one has diverged, unless it comes back below this part of the first.
_DIVERGED, _RECOVERED = 10.0, 0.8
# A gradient norm this many times the median of those before it, and so many times its neighbour, is a spike.
_SPIKE, _JUMP, _WINDOW, _BEFORE = 5.0, 1.5, 20, 3
# Spikes so many steps apart belong together.
_APART = 20
_FLAT, _RESTLESS, _WILD, _FALLING, _HIGH, _WORSE = 0.01, 0.02, 0.1, 0.95, 0.3, 1.2
# Of the last third, the part of the steps at which the loss turns. Independent noise turns at two thirds of them.
_TURNS, _ZIGZAG = 0.3, 0.8


@dataclass(frozen=True)
class RunFacts:
    """What the curves of a run say.

    Args:
        points: losses on record.
        first: the first finite loss.
        last: median of the finite losses in the last third.
        amplitude: half the spread (5 to 95 %) of the last third over its median.
        turns: part of the steps in the last third at which the loss turns.
        trend: median of the last third over that of the middle third; below 1 it falls.
        diverged_at: step from which on the loss is not finite or above 10 times the first; or at which it first was, in
            a run whose last third never falls below where it began; None: neither.
        spikes: steps of gradient norms above 5 times the median of the 20 before.
        lead: steps from the first spike of the last cluster to the divergence; None without either.
        spike_size: the highest norm of that cluster over the median before it.
        growth: mean factor of the gradient norm from step to step around the divergence.
    """

    points: int
    first: float
    last: float
    amplitude: float
    turns: float
    trend: float
    diverged_at: int | None
    spikes: tuple[int, ...]
    lead: int | None
    spike_size: float
    growth: float

    @property
    def diverged(self) -> bool:
        """Whether the loss left for good, or came back to nothing better than it had."""
        return self.diverged_at is not None

    @property
    def stuck(self) -> bool:
        """Whether the loss no longer falls."""
        return self.trend >= _FALLING

    @property
    def restless(self) -> bool:
        """Whether the loss goes up and down without falling, at a level that is not low; or has ended up higher."""
        stays = self.stuck and self.last > _HIGH * self.first
        moves = self.amplitude >= _RESTLESS and self.turns >= _TURNS
        return not self.diverged and moves and (stays or self.last > _WORSE * self.first)

    @property
    def oscillating(self) -> bool:
        """Whether it does so wildly, by 10 % or more."""
        return self.restless and self.amplitude >= _WILD

    @property
    def zigzag(self) -> bool:
        """Whether it oscillates up and down from step to step, as no noise of mini-batches does."""
        return self.oscillating and self.turns >= _ZIGZAG

    @property
    def spiked_at(self) -> int | None:
        """Step of the first spike before the divergence."""
        return None if self.diverged_at is None or self.lead is None else self.diverged_at - self.lead

    @property
    def flat(self) -> bool:
        """Whether the loss has stopped changing."""
        return not self.diverged and abs(self.trend - 1) <= _FLAT and self.amplitude <= _FLAT

    @property
    def high(self) -> bool:
        """Whether the loss is still near where it began."""
        return self.last >= _RECOVERED * self.first

    @property
    def lower(self) -> bool:
        """Whether the loss has ended up below where it began."""
        return not self.diverged and not self.restless and self.last < self.first


def run_facts(curves: RunCurves) -> RunFacts | None:
    """Read the curves of a run; None where no loss is finite, or fewer than 10 are on record and none diverged.

    Args:
        curves: what was recorded.

    Example:
        >>> import torch
        >>> steps = torch.arange(40)
        >>> loss = 2.0 ** torch.arange(40, dtype=torch.float64)
        >>> facts = run_facts(RunCurves(steps, loss, loss, 0 * loss))
        >>> facts.diverged_at
        4
    """
    losses, norms, steps = curves.losses.numpy(), curves.gradient_norms.numpy(), curves.steps.numpy()
    finite = np.isfinite(losses)
    if not finite.any():
        return None
    first = float(losses[finite][0])
    diverged = _divergence(losses, first)
    # A run that diverged tells so however short it is; of another too little is known.
    if diverged is None and (len(losses) < _FEWEST or int(finite.sum()) < _BEFORE):
        return None
    before = losses[: len(losses) if diverged is None else diverged]
    settled = before[np.isfinite(before)] if len(before) > 2 else losses[finite]
    third = max(1, len(settled) // 3)
    tail, middle = settled[-third:], settled[-2 * third : -third] if len(settled) >= 2 * third else settled
    last, centre = float(np.median(tail)), float(np.median(middle))
    low, high = np.quantile(tail, [0.05, 0.95])
    spikes = _spikes(norms if diverged is None else norms[: diverged + 1])
    lead, size = _cluster(norms, steps, spikes, diverged)
    return RunFacts(
        int(finite.sum()), first, last, float(high - low) / 2 / abs(last) if last else math.inf, _turns(tail),
        last / centre if centre > 0 else math.nan, None if diverged is None else int(steps[diverged]),
        tuple(int(steps[i]) for i in spikes), lead, size,
        _growth(norms[: _peak(losses, diverged) + 1], diverged),
    )  # fmt: skip


def _divergence(losses: Array, first: float) -> int | None:
    gone = ~(losses <= _DIVERGED * max(abs(first), 1e-300))
    if gone[-1]:
        back = np.flatnonzero(~gone)
        return int(back[-1]) + 1 if len(back) else 0
    # Losses of mini-batches leap too, and come down again. A run that leaped and is nowhere below its beginning at the
    # end was broken by the leap: long steps saturate a network, and there the loss no longer grows.
    end = losses[-max(1, len(losses) // 3) :]
    return int(gone.argmax()) if gone.any() and bool((end >= _RECOVERED * first).all()) else None


def _peak(losses: Array, diverged: int | None) -> int:
    """Where a loss that diverged stops growing; the end where it is never finite again."""
    after = losses[diverged or 0 :]
    top = np.where(np.isnan(after), np.inf, after)
    return (diverged or 0) + (int(top.argmax()) if np.isfinite(losses[-1]) else len(after) - 1)


def _turns(values: Array) -> float:
    signs = np.sign(np.diff(values))
    return float((signs[1:] * signs[:-1] < 0).mean()) if len(signs) > 1 else 0.0


def _spikes(norms: Array) -> list[int]:
    found = []
    for i in range(_BEFORE, len(norms)):
        past = norms[max(0, i - _WINDOW) : i]
        past = past[np.isfinite(past)]
        if len(past) < _BEFORE:
            continue
        jumped = not norms[i] <= _JUMP * past[-1] and not math.isnan(norms[i])
        if jumped and norms[i] > _SPIKE * float(np.median(past)) > 0:
            found.append(i)
    return found


def _cluster(
    norms: Array, steps: NDArray[np.int64], spikes: list[int], diverged: int | None
) -> tuple[int | None, float]:
    """How long before the divergence the last cluster of spikes began, and how high it rose."""
    early = [i for i in spikes if diverged is None or i <= diverged]
    if not early:
        return None, math.nan
    begin = early[-1]
    for i in reversed(early):
        if steps[begin] - steps[i] > _APART:
            break
        begin = i
    past = norms[max(0, begin - _WINDOW) : begin]
    base = float(np.median(past[np.isfinite(past)]))
    until = norms[begin : (early[-1] if diverged is None else diverged) + 1]
    peak = float(np.nanmax(np.where(np.isinf(until), np.nan, until))) if np.isfinite(until).any() else math.inf
    near = diverged is not None and steps[diverged] - steps[early[-1]] <= _APART
    return int(steps[diverged] - steps[begin]) if diverged is not None and near else None, peak / base


def _growth(norms: Array, diverged: int | None) -> float:
    """Geometric mean factor per step, over up to 20 steps from the divergence on, or up to it where none follow."""
    if diverged is None:
        return math.nan
    for part in (norms[diverged : diverged + _WINDOW], norms[max(0, diverged - _BEFORE) : diverged + 1]):
        fine = part[np.isfinite(part) & (part > 0)]
        if len(fine) > _BEFORE:
            return math.exp((math.log(fine[-1]) - math.log(fine[0])) / (len(fine) - 1))
    return math.nan
