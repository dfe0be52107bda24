"""Costs: what the operations of a study take on this machine, each timed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from lossatlas import optimize, training
from lossatlas.core.hardware import timed
from lossatlas.problems import Problem
from lossatlas.study.config import NetworkConfig, OptimizerConfig, StudyConfig
from lossatlas.study.numerics import StudyNumerics

__all__ = ["Cost", "Costs", "NetworkCosts"]

_TIMED_ROWS = 8
_FIRST_STEPS = 3


@dataclass(frozen=True)
class Cost:
    """What a piece is expected to need.

    Args:
        seconds: wall time on this machine.
        memory: bytes at the peak, without the ~0.5 GB of Python and PyTorch themselves.
        disk: bytes of the stored result.
    """

    seconds: float
    memory: int
    disk: int


class NetworkCosts:
    """Seconds and bytes of the few operations a network's pieces are made of, timed once.

    Args:
        problem: with the study's numerics.
        network: how it is trained.
        chunk: examples evaluated at once; None: all.
    """

    def __init__(self, problem: Problem, network: NetworkConfig, chunk: int | None) -> None:
        self.problem = problem
        self.rows = network.replicas
        self.kept = network.keep or network.replicas
        self.item = problem.dtype.itemsize
        self.data = sum(_input_bytes(problem.data[part]) for part in ("train", "test"))
        together = chunk or (problem.statistics_batch if problem.mode == "batch-statistics" else None)
        most = min(together or problem.train.samples, problem.train.samples)
        self.working = 2 * most * problem.train.bytes_per_sample() + self.data
        self._known: dict[tuple[Any, ...], float] = {}
        self._x = problem.initial_weights(0, range(network.replicas))

    def of(self, key: tuple[Any, ...], action: Callable[[], object]) -> float:
        """Seconds of an action, the better of two after a first try."""
        if key not in self._known:
            timed(action, self.problem.device)
            self._known[key] = min(timed(action, self.problem.device) for _ in range(2))
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

        def first_steps() -> None:
            state = method.init(landscape, self._x)
            for _ in range(_FIRST_STEPS):
                state = method.step(landscape, state)

        key = (optimizer, "steps")
        if key not in self._known:  # far too long to be timed three times
            self._known[key] = timed(first_steps, self.problem.device) / _FIRST_STEPS
        return self._known[key]

    def gradient(self) -> float:
        """One loss and gradient on the whole training data, as one of many rows."""
        rows = self._x[:1].expand(_TIMED_ROWS, -1).contiguous()
        return self.of(("gradient",), lambda: self.problem.train.value_and_grad(rows)) / _TIMED_ROWS

    def exact_value(self) -> float:
        """One loss in float64."""
        exact = self.problem.train.to(dtype=torch.float64)
        return self.of(("float64",), lambda: exact.metrics(self._x[:1].double()))

    def share(self, landscape: str) -> float:
        """Examples of a landscape as a multiple of those of the training landscape."""
        return self.problem.landscape(landscape).samples / self.problem.train.samples

    def bytes(self, vectors: int) -> int:
        """Size of some weight vectors."""
        return vectors * self.problem.dim * self.item


def _input_bytes(data: object) -> int:
    """Bytes of the inputs of a named problem's data, which are a pair of tensors."""
    inputs = data[0] if isinstance(data, tuple) else None
    return inputs.numel() * inputs.itemsize if isinstance(inputs, torch.Tensor) else 0


class Costs:
    """The costs of all networks of a study.

    Args:
        config: of the study.
        problems: by network.
        numerics: of the study.
    """

    def __init__(self, config: StudyConfig, problems: dict[str, Problem], numerics: StudyNumerics) -> None:
        self.config = config
        self._problems, self._numerics = problems, numerics
        self._networks: dict[str, NetworkCosts] = {}

    def network(self, name: str) -> NetworkCosts:
        """Those of one network, made at the first use."""
        if name not in self._networks:
            own = self._numerics.networks[name]
            problem = self._problems[name].with_numerics(own)
            self._networks[name] = NetworkCosts(problem, self.config.networks[name], own.data_chunk)
        return self._networks[name]
