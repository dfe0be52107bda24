"""Many replicas and many paths at once, on a CPU or a GPU, against the authors' way: one after another.

``python -m benchmarks --only replicas --device cuda``: the time of a mini-batch step per replica, and of a step of the
published path finder per pair, both sides on the same device in turn.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.paths import PointByPoint
from benchmarks.timing import Comparison, compare
from lossatlas import optimize, paths, problems
from lossatlas.core.hardware import describe_hardware, timed
from lossatlas.landscape import Numerics
from lossatlas.problems import Problem
from lossatlas.training import MiniBatches

__all__ = ["NETWORKS", "many_at_once"]

Result = dict[str, Any]

NETWORKS = ("fcp", "lenet", "autoencoder", "lstm")
_BATCH = 64
_STEPS = 20  # of mini-batches
_PATH_STEPS = 5  # of the path finder; each costs the same
_TURNS = 5
_WANTED = {"replicas": 50.0, "paths": 10.0}  # on a GPU


def _in_turn(ours: Callable[[], object], theirs: Callable[[], object], device: torch.device, per: float) -> Comparison:
    """Seconds of both, each waited for; theirs does ``per`` times less of the same."""
    return compare(ours, theirs, _TURNS, clock=lambda action: timed(action, device), per=per)


def _steps(problem: Problem, replicas: int) -> Callable[[], object]:
    """Some steps of all replicas."""
    method = optimize.get("sgd", lr=0.1)
    x = problem.initial_weights(0, range(replicas))
    batches = MiniBatches(problem.train.samples, _BATCH, 0, range(replicas))

    def run() -> None:
        state = method.init(problem.train, x)
        for number in range(_STEPS):
            # Whole batches only, for a compiled program has no other.
            state = method.step(problem.train.on(batches.of(0, number % (problem.train.samples // _BATCH))), state)

    return run


def _one_replica(problem: Problem, *, loader: bool) -> Callable[[], object]:
    """The same steps of one replica, as a notebook trains it."""
    data: Any = problem.data["train"]
    tensors = data if isinstance(data, tuple) else (data,)
    module = problem.module(problem.initial_weights(0, [0])[0]).to(problem.device)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    resident = [tensor.to(problem.device) for tensor in tensors]

    def batches() -> Iterator[list[Tensor]]:
        if loader:
            for batch in DataLoader(TensorDataset(*tensors), batch_size=_BATCH, shuffle=True):
                yield [tensor.to(problem.device) for tensor in batch]
        else:
            order = torch.randperm(len(resident[0]), device=problem.device)
            for some in order.split(_BATCH):
                yield [tensor[some] for tensor in resident]

    def outputs(batch: list[Tensor]) -> tuple[Any, Any]:
        if problem.forward is not None:
            return problem.forward(module, tuple(batch))
        return module(batch[0]), batch[1]

    def run() -> None:
        passes = itertools.chain.from_iterable(batches() for _ in itertools.count())
        for batch in itertools.islice(passes, _STEPS):
            optimizer.zero_grad()
            problem.loss(*outputs(batch)).backward()
            optimizer.step()

    return run


def _paths(problem: Problem, pairs: int) -> Comparison:
    """The published path finder for many pairs at once against pair by pair and point by point."""
    finder = paths.finders["fourier-published"](steps=_PATH_STEPS, tolerance=0)
    x = problem.initial_weights(0, range(2 * pairs))
    starts, ends = x[:pairs], x[pairs:]
    many = problem.train.tune(pairs * 51)
    single: Any = PointByPoint(problem.train.with_numerics(Numerics()))
    return _in_turn(
        lambda: finder.find_many(many, starts, ends, numbers=list(range(pairs))),
        lambda: finder.find(single, starts[0], ends[0]),
        problem.device,
        per=pairs,
    )


def _row(name: str, wanted: float, found: Comparison, unit: str, count: int) -> Result:
    note = f"{found.ours / count * 1e3:.3g} ms per {unit}, {found.reference / count * 1e3:.3g} one after another"
    return {"benchmark": name, "ratio": found.ratio, "wanted": wanted, "note": note, **dataclasses.asdict(found)}


def many_at_once(
    device: str, *, networks: tuple[str, ...] = NETWORKS, replicas: int = 75, pairs: int = 8, **data: Any
) -> Iterator[Result]:
    """Ratios of every network.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        networks: which.
        replicas: trained at once.
        pairs: paths found at once.
        data: which data, as :func:`lossatlas.problems.get` takes it.
    """
    where = describe_hardware(torch.device(device)).accelerator or "CPU"
    for name in networks:
        plain = problems.get(name, device=device, **data)
        numerics = plain.train.tune(replicas).numerics
        eager = plain.with_numerics(numerics)
        compiled = plain.with_numerics(dataclasses.replace(numerics, compiled=(replicas, _BATCH)))
        for how, problem in (("", eager), (", compiled", compiled)):
            for loader in (False, True):
                other = "a DataLoader loop" if loader else "a loop"
                title = f"{name}: {replicas} replicas{how} against {other}, {where}"
                theirs = _one_replica(problem, loader=loader)
                found = _in_turn(_steps(problem, replicas), theirs, problem.device, per=replicas)
                yield _row(title, _WANTED["replicas"], found, "replica-step", replicas * _STEPS)
        title = f"{name}: {pairs} published paths against pair by pair, point by point, {where}"
        yield _row(title, _WANTED["paths"], _paths(eager, pairs), "path-step", pairs * _PATH_STEPS)
