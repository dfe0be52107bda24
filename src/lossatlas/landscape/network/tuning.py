"""Choosing a strategy by measuring: a short timing on the user's own model, data and device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from lossatlas.core.hardware import memory_budget, timed
from lossatlas.landscape.network.evaluator import Evaluator, Numerics, Slices
from lossatlas.landscape.network.sources import TensorSource
from lossatlas.landscape.network.strategies import StrategyName

__all__ = ["measure_numerics"]

# A change from the plain loop must pay for what it costs in surprise.
_HYSTERESIS = 0.93
# A strategy this much slower than the best so far is not timed again.
_HOPELESS = 1.5
# Enough repeats of short calls that one preempted run does not decide.
_REPEATS = (3, 15)
_REPEAT_SECONDS = 0.15
_CHUNKS = (2048, 1024, 512, 256)
_PROBE_SAMPLES = 4096
_SCOUT_SAMPLES = 512
_MINI_BATCH = 64


def _seconds(action: Callable[[], object], device: torch.device, give_up: float) -> float:
    """Best of a few runs; infinite where the strategy cannot run this model, early where it is hopeless."""
    try:
        first = timed(action, device)  # includes warm-up: twice the allowance
        if first > 2 * give_up:
            return first
        repeats = min(max(_REPEATS[0], int(_REPEAT_SECONDS / max(first, 1e-6))), _REPEATS[1])
        return min(timed(action, device) for _ in range(repeats))
    # What vmap refuses depends on the model's operators and comes as many types of error.
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return float("inf")


def _chunk_candidates(evaluator: Evaluator, samples: int) -> list[int | None]:
    if evaluator.program.needs_whole_batches:
        return [None]
    budget = evaluator.budget or memory_budget(evaluator.device)
    # The probe may be a part of the data; cutting nothing must fit for all of it.
    whole_fits = 2 * evaluator.source.samples * evaluator.bytes_per_sample() <= budget
    cuts: list[int | None] = [size for size in _CHUNKS if size < samples]
    return ([None] if whole_fits or not cuts else []) + cuts


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
    samples = min(evaluator.source.samples, _PROBE_SAMPLES)
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

    def per_row(
        numerics: Numerics, count: int, best: float, indices: Tensor | None = None, on: Evaluator = probe
    ) -> float:
        tuned = on.with_numerics(numerics)
        slices = Slices(indices, {})

        def evaluate() -> None:
            tuned.sums(block[:count], slices, gradient=True)

        return _seconds(evaluate, device, _HOPELESS * best * count) / count

    best, record = Numerics(), float("inf")
    chunks = _chunk_candidates(evaluator, samples)
    for chunk in chunks:
        candidate = Numerics(full="loop", data_chunk=chunk)
        seconds = per_row(candidate, 1, record)
        if seconds < _HYSTERESIS * record:
            best, record = candidate, seconds
    names: tuple[StrategyName, ...] = ("vmap", "fused") if rows > 1 else ()
    scouted = per_row(Numerics(full="loop"), 1, float("inf"), on=scout)
    for name in names:
        # Batched convolutions can be ten times slower than a loop: find out on a part of the data.
        if per_row(Numerics(full=name), rows, scouted, on=scout) > _HOPELESS * scouted:
            continue
        # Middle sizes first: one hopeless answer there settles the others.
        for chunk in sorted(chunks, key=lambda size: abs((size or samples) - 512)):
            candidate = Numerics(full=name, data_chunk=chunk)
            seconds = per_row(candidate, rows, record)
            if seconds > _HOPELESS * record:
                break
            if seconds < _HYSTERESIS * record:
                best, record = candidate, seconds

    mini: StrategyName = "loop"
    if rows > 1:
        batch = torch.arange(rows * min(_MINI_BATCH, samples), device=device).reshape(rows, -1) % samples
        plain = per_row(Numerics(mini="loop"), rows, float("inf"), batch)
        if per_row(Numerics(mini="vmap"), rows, plain, batch) < _HYSTERESIS * plain:
            mini = "vmap"
    chosen = Numerics(full=best.full, mini=mini, data_chunk=best.data_chunk)
    # Fixed now, so that how much memory is free later does not change how rows are cut.
    fixed = evaluator.with_numerics(chosen)
    small = Slices(torch.arange(min(_MINI_BATCH, samples), device=device)[None], {})
    return replace(
        chosen,
        row_chunk=None if best.full == "loop" else fixed.row_chunk(best.full, True, nothing),
        mini_row_chunk=None if mini == "loop" else fixed.row_chunk(mini, True, small),
    )
