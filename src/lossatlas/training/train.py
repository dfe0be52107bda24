"""train: many replicas of one network under one optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from lossatlas import optimize
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.errors import InputError, StorageError
from lossatlas.optimize import Optimizer
from lossatlas.problems import Problem
from lossatlas.training.checkpoint import Checkpoint
from lossatlas.training.interrupts import deferred_interrupts
from lossatlas.training.run import Run, TrainingProgress

__all__ = ["train"]

DEFAULT_ITERATIONS = 1000
DEFAULT_EPOCHS = 50
DEFAULT_BATCH = 64


def train(
    problem: Problem,
    optimizer: str | Optimizer[Any] = "lbfgs-gss",
    *,
    replicas: int = 8,
    keep: int | None = None,
    seed: int = 0,
    iterations: int | None = None,
    epochs: int | None = None,
    batch_size: int = DEFAULT_BATCH,
    compiled: bool = False,
    select: Literal["test", "validation"] = "test",
    record_every: int = 1,
    options: Mapping[str, Any] | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 30.0,
    on_interrupt: Literal["return", "raise"] = "return",
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Ensemble:
    """Train replicas of a network from different initial weights, all at once.

    Args:
        problem: what to train.
        optimizer: a name (``"lbfgs-gss"``, ``"sgd"``, ``"adam"``, ...) or an optimizer.
        replicas: how many.
        keep: keep this many with the lowest training loss; default: all that did not diverge.
        seed: of initial weights and mini-batches.
        iterations: steps of a full-batch optimizer, 1000 by default.
        epochs: passes over the data of a mini-batch optimizer, 50 by default.
        batch_size: examples per mini-batch.
        compiled: compile the gradients of all replicas on a mini-batch into one program before the first step, with
            ``torch.compile``. On two CPU cores dense networks then train 1.3 to 1.7 times faster, convolutional and
            recurrent ones do not; compiling takes 5 s to 2 min and, on a CPU, needs a C++ compiler.
        select: where early stopping looks for its minimum: ``"test"`` as the paper does (selecting and scoring on the
            same data), or ``"validation"``.
        record_every: iterations or epochs between two points of the curves; minima are looked for at these points.
        options: of a named optimizer, such as ``{"lr": 0.2}``.
        checkpoint: file to continue from and to write to; the same call continues with the same bits, and one that
            asks for more iterations or epochs goes on where the run ended, to those of a run that long from the start.
        checkpoint_seconds: least time between two writes.
        on_interrupt: on Ctrl-C, return what there is, or store the checkpoint and raise KeyboardInterrupt.
        progress: called after every iteration or epoch.

    Returns:
        The ensemble, with scores computed in float64.

    Raises:
        InputError: numbers that make no sense, a network with batch normalisation in mode ``"eval"``, or one that
            cannot be compiled.
        ConfigurationError: unknown optimizer or option.
        DivergenceError: the loss is not finite at the start, or no replica stayed finite.
        StorageError: the checkpoint is of a run with other settings, or of one that is further.

    Example:
        >>> import torch.nn.functional as F
        >>> from torch import nn
        >>> data = (torch.eye(4), torch.tensor([0, 1, 0, 1]))
        >>> problem = Problem("tiny", lambda: nn.Linear(4, 2), F.cross_entropy, train=data, test=data)
        >>> ensemble = train(problem, "lbfgs-gss", replicas=2, iterations=20)
        >>> bool((ensemble.train.scores["train_loss"] < 1e-3).all())
        True
    """
    _check(replicas=replicas, keep=keep, record_every=record_every, select=select)
    if problem.statistics_stay_initial:
        raise InputError(
            f"expected a problem in mode 'batch-statistics' to train batch normalisation, got '{problem.name}' in mode "
            "'eval', where statistics stay those of a new network: leave mode out"
        )
    chosen = optimize.get(optimizer, **dict(options or {})) if isinstance(optimizer, str) else optimizer
    unit, total = _duration(chosen, iterations, epochs)
    if compiled:
        if not chosen.stochastic:
            raise InputError("expected compiled=True with a mini-batch optimizer, got a full-batch one: leave it out")
        problem = problem.with_numerics(replace(problem.train.numerics, compiled=(replicas, batch_size)))
    name = optimizer if isinstance(optimizer, str) else type(optimizer).__name__.lower()
    settings = {
        "problem": {"name": problem.name, **problem.details},
        "loss_unit": problem.loss_unit,
        "optimizer": {"name": name, "constants": repr(chosen)},
        "replicas": replicas,
        "seed": seed,
        f"{unit}s": total,
        "batch_size": batch_size if chosen.stochastic else None,
        "select": select,
        "record_every": record_every,
        "dtype": str(problem.dtype),
        "device": problem.device.type,
        "numerics": problem.train.numerics.to_json(),
        "threads": torch.get_num_threads(),
    }
    run = Run(
        problem,
        chosen,
        replicas=replicas,
        seed=seed,
        total=total,
        batch_size=batch_size,
        select=select,
        record_every=record_every,
    )
    # The length is no part of it: a run that has ended can be made longer.
    identity = {name: value for name, value in settings.items() if name != f"{unit}s"}
    store = Checkpoint(Path(checkpoint) if checkpoint is not None else None, identity, checkpoint_seconds)
    stored = store.load()
    if stored is None:
        run.start()
    else:
        least = stored["done"] + (stored["batch"] > 0)
        if least > total:
            raise StorageError(
                f"expected a checkpoint of at most {total} {unit}s in {store.path}, got one of a run that is further: "
                f"ask for {least} or more, choose another file, or delete it"
            )
        run.resume(stored)
    interrupted = False
    with deferred_interrupts() as interrupt:
        while run.running:
            completed = run.advance()
            if store.due:
                store.save(run.to_tree())
            if completed and progress is not None:
                progress(run.progress())
            if interrupt.requested:
                interrupted = True
                break
    store.save(run.to_tree())
    if interrupted and on_interrupt == "raise":
        raise KeyboardInterrupt
    return run.finish(keep, interrupted, {**settings, "keep": keep})


def _check(*, replicas: int, keep: int | None, record_every: int, select: str) -> None:
    if replicas < 1:
        raise InputError(f"expected at least one replica, got {replicas}")
    if keep is not None and not 1 <= keep <= replicas:
        raise InputError(f"expected to keep between 1 and {replicas} replicas, got {keep}")
    if record_every < 1:
        raise InputError(f"expected record_every of at least 1, got {record_every}")
    if select not in ("test", "validation"):
        raise InputError(f"expected select 'test' or 'validation', got '{select}'")


def _duration(optimizer: Optimizer[Any], iterations: int | None, epochs: int | None) -> tuple[str, int]:
    """Unit and number of steps; a full-batch optimizer counts iterations, a mini-batch one epochs."""
    if optimizer.stochastic:
        unit, given, other, default = "epoch", epochs, iterations, DEFAULT_EPOCHS
    else:
        unit, given, other, default = "iteration", iterations, epochs, DEFAULT_ITERATIONS
    if other is not None:
        kind, wrong = ("mini-batch", "iterations") if optimizer.stochastic else ("full-batch", "epochs")
        raise InputError(f"expected {unit}s=... for a {kind} optimizer, got {wrong}=...")
    total = default if given is None else given
    if total < 1:
        raise InputError(f"expected at least one {unit}, got {total}")
    return unit, total
