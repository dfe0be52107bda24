"""Langevin walkers on the circle: 20 000 of them for 10 000 steps against a minute, and against plain tensor code."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.timing import compare, seconds
from lossatlas.theory.annealing import CircleToy, InfoNCE, Logarithmic, anneal

__all__ = ["ANNEALING"]

Result = dict[str, Any]

_WALKERS, _STEPS, _STEP = 20_000, 10_000, 0.01
_MINUTE = 60.0


def a_minute() -> Result:
    """Seconds in a minute over seconds for 20 000 walkers and 10 000 steps on the circle toy."""
    toy = CircleToy()
    time = _STEPS * _STEP
    spent = seconds(lambda: anneal(toy, Logarithmic(0.5), time=time, step=_STEP, walkers=_WALKERS))
    ratio = _MINUTE / spent
    return {
        "benchmark": "20 000 walkers x 10 000 steps on the circle in a minute",
        "ratio": ratio,
        "wanted": 1.0,
        "low": ratio,
        "high": ratio,
        "note": f"{spent:.1f} s, {1e9 * spent / _WALKERS / _STEPS:.1f} ns per step of a walker",
    }


def _vectors(steps: int) -> None:
    """The same dynamics as one would write it down: unit vectors, a new tensor for every operation."""
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(_WALKERS, 2, dtype=torch.float64, generator=stream)
    x = x / x.norm(dim=1, keepdim=True)
    for k in range(steps):
        beta = 0.5 * math.log(math.e + (k + 0.5) * _STEP)
        slope = torch.stack([-2 * x[:, 0] - 0.25, 2 * x[:, 1]], dim=1)
        noise = torch.randn(x.shape, dtype=x.dtype, generator=stream)
        v = -_STEP * slope + math.sqrt(2 * _STEP / beta) * noise
        v = v - (x * v).sum(1, keepdim=True) * x
        length = v.norm(dim=1, keepdim=True)
        x = length.cos() * x + length.sin() * v / length


def against_vectors() -> Result:
    """Steps on angles, in place, against unit vectors and new tensors."""
    toy, steps = CircleToy(), 100
    found = compare(
        lambda: anneal(toy, Logarithmic(0.5), time=steps * _STEP, step=_STEP, walkers=_WALKERS), lambda: _vectors(steps)
    )
    return _report("walkers on the circle against unit vectors", 2.0, found, f"{_WALKERS} walkers, {steps} steps")


def against_one_by_one() -> Result:
    """InfoNCE, 256 walkers of four pairs at once against one after another."""
    loss, steps, walkers = InfoNCE(4, 3), 20, 256

    def run(count: int, seed: int) -> None:
        anneal(loss, 20.0, time=steps * _STEP, step=_STEP, walkers=count, seed=seed)

    found = compare(lambda: run(walkers, 0), lambda: [run(1, seed) for seed in range(walkers)], pairs=3)
    return _report("InfoNCE walkers at once against one after another", 20.0, found, f"{walkers} walkers of 4 pairs")


def _report(name: str, wanted: float, found: Any, note: str) -> Result:
    return {"benchmark": name, "wanted": wanted, "note": note, **vars(found)}


ANNEALING: list[Callable[[], Result]] = [a_minute, against_vectors, against_one_by_one]


if __name__ == "__main__":
    for benchmark in ANNEALING:
        result = benchmark()
        sys.stdout.write(
            f"{result['ratio']:6.2f}  ({result['low']:.2f}-{result['high']:.2f})  wanted {result['wanted']:.2f}  "
            f"{result['benchmark']}  {result['note']}\n"
        )
