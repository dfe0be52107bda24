"""plan: what a study will cost in time, memory and disk, before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from lossatlas import optimize, paths, training
from lossatlas.core.hardware import timed
from lossatlas.problems import Problem
from lossatlas.study.config import AtlasConfig, NetworkConfig, OptimizerConfig, PathConfig, StudyConfig
from lossatlas.study.numerics import StudyNumerics
from lossatlas.study.study import Study

__all__ = ["PlannedPiece", "plan"]


@dataclass(frozen=True)
class PlannedPiece:
    """What one piece is expected to need.

    Args:
        label: which.
        seconds: wall time on this machine.
        memory: bytes at the peak, data and states; without the ~0.5 GB of Python and PyTorch themselves.
        disk: bytes of the stored result.
        done: whether it is stored already.
    """

    label: str
    seconds: float
    memory: int
    disk: int
    done: bool


def _seconds(action: Callable[[], object], device: torch.device) -> float:
    timed(action, device)
    return min(timed(action, device), timed(action, device))


class _Costs:
    """Seconds of the few operations a network's pieces are made of, timed once."""

    def __init__(self, problem: Problem, network: NetworkConfig) -> None:
        self.problem = problem
        self.rows = network.replicas
        self._known: dict[tuple[Any, ...], float] = {}
        self._x = problem.initial_weights(0, range(network.replicas))

    def of(self, key: tuple[Any, ...], action: Callable[[], object]) -> float:
        if key not in self._known:
            self._known[key] = _seconds(action, self.problem.device)
        return self._known[key]

    def record(self) -> float:
        """Measuring all rows on training and test data."""
        train, test = self.problem.train, self.problem.test
        return self.of(("metrics",), lambda: (train.metrics(self._x), test.metrics(self._x)))

    def step(self, optimizer: str, settings: OptimizerConfig) -> float:
        """One optimizer step of all rows, the average of the first few."""
        method = optimize.get(optimizer, **settings.options)
        landscape = self.problem.train
        if method.stochastic:
            batches = training.MiniBatches(landscape.samples, settings.batch_size, 0, range(self.rows))
            state = method.init(landscape, self._x)
            batch = batches.of(0, 0)
            return self.of((optimizer, "step"), lambda: method.step(landscape.on(batch), state))
        count = 3

        def first_steps() -> None:
            state = method.init(landscape, self._x)
            for _ in range(count):
                state = method.step(landscape, state)

        return timed(first_steps, self.problem.device) / count

    def gradient(self) -> float:
        """One loss and gradient on the whole training data, as one of many rows."""
        rows = self._x[:1].expand(8, -1).contiguous()
        return self.of(("gradient",), lambda: self.problem.train.value_and_grad(rows)) / len(rows)

    def exact_value(self) -> float:
        """One loss in float64."""
        exact = self.problem.train.to(dtype=torch.float64)
        return self.of(("float64",), lambda: exact.metrics(self._x[:1].double()))


def _bytes(tensor_count: int, dim: int, itemsize: int) -> int:
    return tensor_count * dim * itemsize


def plan(study: Study) -> list[PlannedPiece]:
    """Predict the cost of every piece by timing a few steps of each.

    Args:
        study: nothing is written to its folder.

    Returns:
        One entry per piece, in order.
    """
    config = study.config
    numerics = study.numerics()
    made = {name: p.with_numerics(numerics.networks[name]) for name, p in study.problems.items()}
    costs = {name: _Costs(made[name], network) for name, network in config.networks.items()}
    done = {status.piece.address for status in study.status() if status.state == "done"}
    planned = []
    for piece in study.pieces(numerics):
        seconds, memory, disk = _cost(piece.kind, piece.inputs, config, costs, numerics)
        finished = piece.address in done
        planned.append(
            PlannedPiece(f"{piece.kind} {piece.label}", 0.0 if finished else seconds, memory, disk, finished)
        )
    return planned


def _pairs(
    kind: str, stage: str, config: StudyConfig, kept: int, optimizers: int
) -> tuple[int, PathConfig | AtlasConfig]:
    """How many paths a piece has, and how they are found."""
    if kind == "paths":
        some = config.paths[stage]
        most = kept * (kept - 1) // 2
        return min(some.pairs or most, most), some
    all_of = config.atlas[stage]
    minima = optimizers * min(all_of.minima or kept, kept)
    most = minima * (minima - 1) // 2
    return min(max(all_of.paths or most, minima - 1), most), all_of


def _cost(
    kind: str, inputs: dict[str, Any], config: StudyConfig, costs: dict[str, _Costs], numerics: StudyNumerics
) -> tuple[float, int, int]:
    if kind == "tables":
        return 0.1, 0, 20_000
    cost = costs[inputs["network"]]
    network = config.networks[inputs["network"]]
    problem = cost.problem
    item = problem.dtype.itemsize
    kept = network.keep or network.replicas
    data = 784 * 4 * (problem.train.samples + problem.test.samples)
    chunk = numerics.networks[inputs["network"]].data_chunk or problem.train.samples
    working = 2 * chunk * problem.train.bytes_per_sample() + data
    if kind in ("paths", "atlas"):
        pairs, how = _pairs(kind, inputs["stage"], config, kept, len(network.optimizers))
        finder = paths.finders[how.method](**how.options)
        values, gradients = finder.expected_evaluations(problem.train)
        seconds = pairs * (values * cost.exact_value() + gradients * cost.gradient())
        rows = _bytes(4 * finder.rows_at_once, problem.dim, item)
        return seconds, working * 2 + 2 * data + rows, pairs * finder.points * 40 + 4000
    settings = network.optimizers[inputs["optimizer"]]
    step = cost.step(inputs["optimizer"], settings)
    method = optimize.get(inputs["optimizer"], **settings.options)
    if method.stochastic:
        length = settings.epochs or training.DEFAULT_EPOCHS
        steps = length * -(-problem.train.samples // settings.batch_size)
    else:
        length = settings.iterations or training.DEFAULT_ITERATIONS
        steps = length
    seconds = steps * step + length / settings.record_every * cost.record() + 4 * kept * cost.exact_value()
    # x, gradient, two best sets, the initial weights, and what the optimizer remembers.
    remembered = 2 * getattr(method, "history", 0) + 6
    memory = working + _bytes(remembered * network.replicas, problem.dim, item)
    return seconds, memory, _bytes(3 * kept, problem.dim, item) + length * network.replicas * 4 * 8
