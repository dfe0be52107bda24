"""One training run: the state that moves, how it is recorded, stored and finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lossatlas.core.ensemble import Ensemble, Replica, WeightSet
from lossatlas.core.errors import DivergenceError
from lossatlas.core.files import Tree
from lossatlas.optimize import Optimizer, Status
from lossatlas.problems import Problem
from lossatlas.training.batches import MiniBatches
from lossatlas.training.recorder import Best, Recorder
from lossatlas.training.score import score

__all__ = ["Run", "TrainingProgress"]


@dataclass(frozen=True)
class TrainingProgress:
    """What a progress display needs to know.

    Args:
        done: iterations or epochs finished.
        total: of how many.
        unit: ``"iteration"`` or ``"epoch"``.
        loss: median training loss of the replicas still finite.
        active: replicas still running.
    """

    done: int
    total: int
    unit: str
    loss: float
    active: int


class Run:
    """The moving state of one call of :func:`~lossatlas.training.train`."""

    def __init__(
        self,
        problem: Problem,
        optimizer: Optimizer[Any],
        *,
        replicas: int,
        seed: int,
        total: int,
        batch_size: int,
        select: str,
        record_every: int,
    ) -> None:
        self.problem = problem
        self.optimizer = optimizer
        self.seed = seed
        self.total = total
        self.record_every = record_every
        problem.landscape(select)  # refuses now, not after the first epoch
        self.select = select
        self.unit = "epoch" if optimizer.stochastic else "iteration"
        self.batches = (
            MiniBatches(problem.train.samples, batch_size, seed, range(replicas)) if optimizer.stochastic else None
        )
        self.initial = problem.initial_weights(seed, range(replicas))
        self.done = 0
        self.batch = 0
        self.state: Any = None
        self.recorder = Recorder(self.initial, self.unit)

    def start(self) -> None:
        """Evaluate and record the initial point."""
        self.state = self.optimizer.init(self.problem.train, self.initial)
        self.open = torch.ones(len(self.initial), dtype=torch.bool, device=self.initial.device)
        self.record()
        first = self.recorder.latest("train_loss")
        if first is None or not bool(torch.isfinite(first).any()):
            raise DivergenceError(
                f"expected a finite loss at the initial weights of '{self.problem.name}', got NaN or infinity for "
                "every replica: check the data's scale and the loss function"
            )

    def resume(self, tree: Tree) -> None:
        """Continue from a checkpoint."""
        device = self.problem.device
        self.state = self.optimizer.state_type.from_tree(tree["optimizer"], device)
        self.recorder = Recorder.from_tree(tree["recorder"], device)
        self.done, self.batch, self.open = tree["done"], tree["batch"], tree["open"].to(device)

    def to_tree(self) -> Tree:
        """The state a checkpoint stores."""
        return {
            "optimizer": self.state.to_tree(),
            "recorder": self.recorder.to_tree(),
            "done": self.done,
            "batch": self.batch,
            "open": self.open,
        }

    @property
    def running(self) -> bool:
        """Whether there is anything left to do."""
        return self.done < self.total and bool(self.state.active.any())

    def advance(self) -> bool:
        """Take one optimizer step; True when an iteration or epoch was completed."""
        if self.batches is None:
            self.state = self.optimizer.step(self.problem.train, self.state)
        else:
            indices = self.batches.of(self.done, self.batch)[self.state.active.cpu()]
            self.state = self.optimizer.step(self.problem.train.on(indices), self.state)
            self.batch += 1
            if self.batch < self.batches.per_epoch:
                return False
            self.batch = 0
        self.done += 1
        # On the grid alone: where a run ends is measured by finish(), so that a longer one has the same curve so far.
        if self.done % self.record_every == 0:
            self.record()
        return True

    def record(self) -> None:
        """Measure the rows that moved and keep the best of each."""
        # A replica that has stopped since the last record is measured once more where it stopped.
        moved = self.open & (self.state.status != int(Status.DIVERGED))
        self.open = self.state.active
        rows = moved.nonzero().flatten()
        if len(rows) == 0:
            return
        x = self.state.x
        curves: dict[str, Tensor] = {}
        for which in dict.fromkeys(("train", "test", self.select)):
            measured = self.problem.landscape(which).metrics(x[rows])
            curves.update({f"{which}_{name}": values for name, values in measured.items()})
        known = self.state.value[rows].double()
        # The optimizer's own full-batch value is what it descends; use it where there is one.
        if not self.optimizer.stochastic:
            curves["train_loss"] = torch.where(torch.isfinite(known), known, curves["train_loss"])
        self.recorder.add(self.done, rows, curves)
        finite = torch.isfinite(curves["train_loss"])
        self.recorder.train.update(self.done, rows[finite], curves["train_loss"][finite], x)
        chosen = curves[f"{self.select}_loss"]
        usable = finite & torch.isfinite(chosen)
        self.recorder.selected.update(self.done, rows[usable], chosen[usable], x)
        lost = rows[~finite]
        if len(lost):
            active, status = self.state.active.clone(), self.state.status.clone()
            active[lost], status[lost] = False, int(Status.DIVERGED)
            self.state = replace(self.state, active=active, status=status)
            self.open = active

    def progress(self) -> TrainingProgress:
        """Describe where the run is."""
        latest = self.recorder.latest("train_loss")
        finite = latest[torch.isfinite(latest)] if latest is not None else torch.empty(0)
        loss = float(finite.median()) if len(finite) else float("nan")
        return TrainingProgress(self.done, self.total, self.unit, loss, int(self.state.active.sum()))

    def finish(self, keep: int | None, interrupted: bool, settings: Mapping[str, Any]) -> Ensemble:
        """Measure where the run ended, choose the replicas to keep, score them in float64 and build the record."""
        if not interrupted and self.done % self.record_every:
            self.record()
        status = self.state.status.cpu()
        loss = self.recorder.train.loss.cpu()
        good = ((status != int(Status.DIVERGED)) & torch.isfinite(loss)).nonzero().flatten()
        if len(good) == 0:
            raise DivergenceError(
                f"expected at least one replica of '{self.problem.name}' with a finite loss, got none of "
                f"{len(status)}: lower the learning rate"
            )
        wanted = len(good) if keep is None else min(keep, len(good))
        kept = good[loss[good].argsort(stable=True)[:wanted]].sort().values
        curves = self.recorder.curves()
        seen = torch.isfinite(curves.values["train_loss"])
        last = [int(curves.steps[row.nonzero().max()]) if bool(row.any()) else 0 for row in seen]
        chosen = set(kept.tolist())
        replicas = tuple(self._replica(i, last[i], i in chosen, interrupted) for i in range(len(status)))

        def weight_set(best: Best) -> WeightSet:
            weights = best.weights[kept.to(best.weights.device)]
            return WeightSet(weights.cpu(), best.steps.cpu()[kept], score(self.problem, weights))

        return Ensemble(
            problem=self.problem.name,
            optimizer=str(settings["optimizer"]["name"]),
            spec=self.problem.spec,
            train=weight_set(self.recorder.train),
            test=weight_set(self.recorder.selected),
            selected_on=self.select,
            initial=self.initial.cpu()[kept],
            replicas=replicas,
            curves=curves,
            settings=settings,
        )

    def _replica(self, index: int, steps: int, kept: bool, interrupted: bool) -> Replica:
        code = Status(int(self.state.status[index]))
        if code is not Status.RUNNING:
            status = code.label
            cause = {
                Status.PRECISION_REACHED: f"no lower point can be told apart in {self.problem.dtype}",
                Status.DIVERGED: "the loss or its gradient was no longer finite",
                Status.CONVERGED: "the gradient was small enough",
            }[code]
            reason = f"{cause} after {steps} {self.unit}s"
        elif interrupted:
            status, reason = "interrupted", f"stopped by the user after {steps} of {self.total} {self.unit}s"
        else:
            status, reason = "completed", f"all {self.total} {self.unit}s done"
        if not kept and code is not Status.DIVERGED:
            reason += "; not kept: others had lower training losses"
        # Evaluations of a mini-batch count as the fraction of the data they touched.
        scale = self.batches.size / self.batches.samples if self.batches is not None else 1.0
        return Replica(
            index=index,
            status=status,
            reason=reason,
            kept=kept,
            steps=steps,
            values=float(self.state.values[index]) * scale,
            gradients=float(self.state.gradients[index]) * scale,
        )
