"""Ensemble: where many replicas of one network ended, how they got there, and why each stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree, load_tree, save_tree
from lossatlas.core.params import ParamSpec
from lossatlas.core.weights import WeightSource, read_weights

__all__ = ["Curves", "Ensemble", "HasSpec", "Replica", "WeightSet"]


class HasSpec(Protocol):
    """A problem or landscape that knows its parameters' names."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def spec(self) -> ParamSpec | None: ...  # noqa: D102


@dataclass(frozen=True)
class Replica:
    """One training run.

    Args:
        index: number i of the replica; with the seed it fixes the initial weights.
        status: ``"completed"``, ``"precision reached"``, ``"diverged"`` or ``"interrupted"``.
        reason: the same in a sentence.
        kept: whether its weights are in the ensemble's weight sets.
        steps: optimizer steps taken.
        values: evaluations of the training loss alone, in full-batch units (a mini-batch counts B/N).
        gradients: evaluations of loss and gradient, in the same units.
    """

    index: int
    status: str
    reason: str
    kept: bool
    steps: int
    values: float
    gradients: float


@dataclass(frozen=True)
class Curves:
    """Losses and metrics of every replica against training time.

    Args:
        steps: ``(T,)``, where the curves were recorded; 0 is the initial point.
        unit: what a step is: ``"iteration"`` or ``"epoch"``.
        values: curve name (``"train_loss"``, ``"test_loss"``, ``"train_accuracy"``, ...) to ``(R, T)``;
            NaN after a replica stopped.
    """

    steps: Tensor
    unit: str
    values: Mapping[str, Tensor]


@dataclass(frozen=True)
class WeightSet:
    """Weights of the kept replicas at one chosen moment of each run.

    Args:
        weights: ``(K, d)``.
        steps: ``(K,)``, when each was taken, in the unit of the curves.
        scores: name (``"train_loss"``, ``"test_loss"``, ``"train_accuracy"``, ...) to ``(K,)``, computed in float64.
    """

    weights: Tensor
    steps: Tensor
    scores: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Ensemble:
    """Replicas of one network after training.

    ``ensemble[i]`` is the weight vector ``(d,)`` of the i-th kept replica at its lowest training loss, and
    ``len(ensemble)`` the number kept.

    Args:
        problem: name of the problem.
        optimizer: name of the optimizer, or ``"imported"``.
        spec: names and shapes of the parameters.
        train: the training weight set: each run at the minimum of its training loss.
        test: the early-stopped set: each run at the minimum of its loss on ``selected_on``.
        selected_on: ``"test"`` (as the paper does) or ``"validation"``.
        initial: ``(K, d)``, the initial weights of the kept replicas.
        replicas: what happened to every replica, kept or not.
        curves: losses and metrics of every replica.
        settings: whatever else is needed to make the ensemble again.
    """

    problem: str
    optimizer: str
    spec: ParamSpec
    train: WeightSet
    test: WeightSet | None = None
    selected_on: str = "test"
    initial: Tensor | None = None
    replicas: tuple[Replica, ...] = ()
    curves: Curves | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.train.weights)

    def __getitem__(self, index: int) -> Tensor:
        return self.train.weights[index]

    @property
    def kept(self) -> tuple[Replica, ...]:
        """The replicas whose weights are in the sets, in their order."""
        return tuple(r for r in self.replicas if r.kept)

    @property
    def diverged(self) -> tuple[Replica, ...]:
        """The replicas whose loss left the finite numbers."""
        return tuple(r for r in self.replicas if r.status == "diverged")

    def weight_set(self, name: str) -> WeightSet:
        """Return the set called ``"train"`` or ``"test"``.

        Raises:
            InputError: there is no such set.
        """
        if name == "train":
            return self.train
        if name == "test" and self.test is not None:
            return self.test
        has = "train and test" if self.test is not None else "train"
        raise InputError(f"expected a weight set of this ensemble ({has}), got '{name}'")

    @classmethod
    def from_weights(cls, sources: Sequence[WeightSource], problem: HasSpec) -> Ensemble:
        """Collect weights trained elsewhere.

        Args:
            sources: files (.safetensors, .pt, .npy), state dicts, modules or flat tensors ``(d,)``.
            problem: a problem or network landscape, which says how the parameters are called.

        Returns:
            An ensemble with a training weight set only.

        Raises:
            InputError: there are no sources or one that is in no list, or the problem is not a network.
            DataError: weights of another network, or a file that cannot be read safely.

        Example:
            >>> from torch import nn
            >>> from types import SimpleNamespace
            >>> net = nn.Linear(2, 1)
            >>> problem = SimpleNamespace(name="mine", spec=ParamSpec.of(net))
            >>> len(Ensemble.from_weights([net.state_dict(), net.state_dict()], problem))
            2
        """
        if problem.spec is None:
            raise InputError("expected a problem with named parameters, got an energy: pass its points as rows")
        if getattr(problem, "statistics_stay_initial", False):
            raise InputError(
                f"expected a problem in mode 'batch-statistics' for networks with batch normalisation, got "
                f"'{problem.name}' in mode 'eval', which has one set of statistics for all: leave mode out"
            )
        single = isinstance(sources, str | Path | Mapping | nn.Module) or (
            isinstance(sources, Tensor) and sources.ndim < 2
        )
        if single:
            came = repr(sources) if isinstance(sources, str | Path) else f"one {type(sources).__name__}"
            raise InputError(f"expected a list of weights, got {came}: give a list, also of one, such as [weights]")
        if len(sources) == 0:
            raise InputError("expected at least one weight file, state dict or vector, got an empty list")
        weights = torch.stack([read_weights(source, problem.spec) for source in sources])
        steps = torch.zeros(len(weights), dtype=torch.int64)
        return cls(problem=problem.name, optimizer="imported", spec=problem.spec, train=WeightSet(weights, steps))

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which ensembles are stored."""

        def pack(weights: WeightSet | None) -> Tree:
            if weights is None:
                return None
            return {"weights": weights.weights, "steps": weights.steps, "scores": dict(weights.scores)}

        curves = self.curves
        return {
            "problem": self.problem,
            "optimizer": self.optimizer,
            "spec": self.spec.to_json(),
            "train": pack(self.train),
            "test": pack(self.test),
            "selected_on": self.selected_on,
            "initial": self.initial,
            "replicas": [asdict(r) for r in self.replicas],
            "curves": curves and {"steps": curves.steps, "unit": curves.unit, "values": dict(curves.values)},
            "settings": dict(self.settings),
        }

    @classmethod
    def from_tree(cls, tree: Tree) -> Ensemble:
        """Rebuild an ensemble from :meth:`to_tree`."""
        return cls(
            problem=tree["problem"],
            optimizer=tree["optimizer"],
            spec=ParamSpec.from_json(tree["spec"]),
            train=WeightSet(**tree["train"]),
            test=WeightSet(**tree["test"]) if tree["test"] else None,
            selected_on=tree["selected_on"],
            initial=tree["initial"],
            replicas=tuple(Replica(**r) for r in tree["replicas"]),
            curves=Curves(**tree["curves"]) if tree["curves"] else None,
            settings=tree["settings"],
        )

    def save(self, path: str | Path) -> None:
        """Store the ensemble as ``PATH.json`` with its tensors beside it."""
        save_tree(_json_file(path), self.to_tree())

    @classmethod
    def load(cls, path: str | Path) -> Ensemble:
        """Read an ensemble written by :meth:`save`."""
        return cls.from_tree(load_tree(_json_file(path)))


def _json_file(path: str | Path) -> Path:
    # Not with_suffix: "lr0.1" and "lr0.2" are two ensembles.
    path = Path(path)
    return path if path.suffix == ".json" else path.with_name(f"{path.name}.json")
