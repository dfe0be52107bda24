"""Choosing a strategy by measuring: a short timing on the user's own model, data and device."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lossatlas.core.hardware import memory_budget, timed
from lossatlas.landscape.network.convnet_kernels import has_convolutions
from lossatlas.landscape.network.evaluator import Evaluator, Numerics, Slices
from lossatlas.landscape.network.sources import TensorSource
from lossatlas.landscape.network.strategies import ROW_BY_ROW, StrategyName

__all__ = ["measure_numerics"]

# A change from the plain loop must pay for what it costs in surprise.
_HYSTERESIS = 0.93
# A strategy this much slower than the best so far is not timed again.
_HOPELESS = 1.5
# Enough repeats of short calls that one preempted run does not decide.
_REPEATS = (2, 15)
_REPEAT_SECONDS = 0.15
# On an accelerator nothing else runs: one call of so many seconds says enough.
_LONG = 3.0
# Those within this factor of the fastest are timed once more, in turn.
_CLOSE = 1.3
_FINALISTS = 4
_CHUNKS = (4096, 2048, 1024, 512, 256)
_PROBE_SAMPLES = 4096
_SCOUT_SAMPLES = 512
_MINI_BATCH = 64


def _repeats(seconds: float) -> int:
    return min(max(_REPEATS[0], int(_REPEAT_SECONDS / max(seconds, 1e-6))), _REPEATS[1])


def _seconds(action: Callable[[], object], device: torch.device, give_up: float) -> float:
    """Best of a few runs; infinite where the strategy cannot run this model, early where it is hopeless."""
    try:
        with warnings.catch_warnings():
            # An operator without a batched form is called row by row, which the loop does better.
            warnings.filterwarnings("error", message="There is a performance drop", category=UserWarning)
            if device.type == "cuda":
                action()  # kernels are loaded when they are first called, which takes longer than what is timed
            first = timed(action, device)  # includes warm-up: twice the allowance
        if first > 2 * give_up or (device.type == "cuda" and first > _LONG):
            return first
        return min(timed(action, device) for _ in range(_repeats(first)))
    # What vmap refuses depends on the model's operators and comes as many types of error.
    except (RuntimeError, NotImplementedError, TypeError, ValueError, UserWarning):
        return float("inf")


@dataclass(frozen=True)
class _Timing:
    """Seconds per row of one way to evaluate, and the call that was timed."""

    numerics: Numerics
    seconds: float
    rows: int
    action: Callable[[], object]


def _fastest(timings: list[_Timing], device: torch.device) -> Numerics:
    """The fastest way, where it beats the fastest plain loop by more than the hysteresis.

    A machine's speed changes from second to second. The candidates that came close run again, one after the other in
    turn, so that all of them see the same seconds.
    """
    best = min(timing.seconds for timing in timings)
    close = sorted((t for t in timings if t.seconds <= _CLOSE * best), key=lambda t: t.seconds)[:_FINALISTS]
    plain = min((t for t in timings if t.numerics.full == "loop"), key=lambda t: t.seconds)
    if math.isinf(plain.seconds):
        # What the plain loop cannot do is done by what can, or fails with its own words when it is asked for.
        return min(timings, key=lambda t: t.seconds).numerics
    finalists = close if plain in close else [*close, plain]
    if len(finalists) == 1:
        return plain.numerics
    rounds = range(_repeats(sum(t.seconds * t.rows for t in finalists)))
    times = [[timed(t.action, device) / t.rows for t in finalists] for _ in rounds]
    final = [min(column) for column in zip(*times, strict=True)]
    winner = final.index(min(final))
    wins = final[winner] < _HYSTERESIS * final[finalists.index(plain)]
    return finalists[winner].numerics if wins else plain.numerics


def _chunk_candidates(evaluator: Evaluator, samples: int) -> list[int | None]:
    if evaluator.program.needs_whole_batches:
        return [None]
    whole = evaluator.source.samples
    budget = evaluator.budget or memory_budget(evaluator.device)
    cuts: list[int | None] = [size for size in _CHUNKS if size < whole and size <= samples]
    # Larger data must be cut: what was timed is one chunk of the probe's size, and fewer rows would fit beside more.
    fits = samples == whole and 2 * whole * evaluator.bytes_per_sample() <= budget
    return ([None] if fits or not cuts else []) + cuts


def measure_numerics(evaluator: Evaluator, point: Tensor, rows: int = 6) -> Numerics:
    """Time the strategies on a part of the data and return the fastest.

    Args:
        evaluator: with any numerics.
        point: ``(d,)``, where to evaluate.
        rows: how many rows at a time the timing of batched strategies uses.

    Returns:
        Strategies and data chunk. Data from a loader stays in the loader's own batches, evaluated in a loop.
    """
    if not isinstance(evaluator.source, TensorSource):
        return Numerics()
    device = evaluator.device
    # On an accelerator small chunks starve it, and all of the data takes no longer to time than a part does here.
    samples = evaluator.source.samples if device.type == "cuda" else min(evaluator.source.samples, _PROBE_SAMPLES)
    block = point.expand(rows, -1).contiguous()

    def part(size: int) -> Evaluator:
        return Evaluator(
            evaluator.program,
            TensorSource(evaluator.source.take(torch.arange(size, device=device))),
            numerics=Numerics(),
            dtype=evaluator.dtype,
            device=device,
            budget=evaluator.budget,
        )

    probe, scout = part(samples), part(min(samples, _SCOUT_SAMPLES))

    nothing = Slices(None, {})

    def time_full(numerics: Numerics, best: float, on: Evaluator = probe) -> _Timing:
        tuned = on.with_numerics(numerics)
        count = 1 if numerics.full in ROW_BY_ROW else rows

        def evaluate() -> None:
            tuned.sums(block[:count], nothing, gradient=True)

        return _Timing(numerics, _seconds(evaluate, device, _HOPELESS * best * count) / count, count, evaluate)

    convolutions = device.type == "cpu" and has_convolutions(evaluator.program.model)
    chunks = _chunk_candidates(evaluator, samples)
    singles: tuple[StrategyName, ...] = ("loop", "convnet") if convolutions else ("loop",)
    timings: list[_Timing] = []
    record = float("inf")
    names: tuple[StrategyName, ...] = ("vmap", "fused") if rows > 1 else ()
    scouted = time_full(Numerics(full="loop"), float("inf"), scout).seconds
    for name in (*singles, *names):
        # Batched convolutions can be ten times slower than a loop: find out on a part of the data.
        if name in names and time_full(Numerics(full=name), scouted, scout).seconds > _HOPELESS * scouted:
            continue
        for chunk in chunks:
            timings.append(time_full(Numerics(full=name, data_chunk=chunk), record))
            record = min(record, timings[-1].seconds)
    best = _fastest(timings, device)

    batch = torch.arange(rows * min(_MINI_BATCH, samples), device=device).reshape(rows, -1) % samples

    def time_mini(name: StrategyName, give_up: float) -> float:
        tuned = probe.with_numerics(Numerics(mini=name))
        return _seconds(lambda: tuned.sums(block, Slices(batch, {}), gradient=True), device, _HOPELESS * give_up)

    mini: StrategyName = "loop"
    fastest = _HYSTERESIS * (plain := time_mini("loop", float("inf")))
    others: tuple[StrategyName, ...] = (*singles[1:], *names[:1])
    for name in others:
        seconds = time_mini(name, plain)
        if seconds < fastest:
            mini, fastest = name, seconds
    chosen = Numerics(full=best.full, mini=mini, data_chunk=best.data_chunk)
    # Fixed now, so that how much memory is free later does not change how rows are cut.
    fixed = evaluator.with_numerics(chosen)
    small = Slices(torch.arange(min(_MINI_BATCH, samples), device=device)[None], {})
    return replace(
        chosen,
        row_chunk=None if best.full in ROW_BY_ROW else fixed.row_chunk(best.full, True, nothing),
        mini_row_chunk=None if mini in ROW_BY_ROW else fixed.row_chunk(mini, True, small),
    )
