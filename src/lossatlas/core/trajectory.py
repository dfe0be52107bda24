"""Trajectory: where one training run went, and its loss and gradient norm on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossatlas.core.errors import InputError, StorageError
from lossatlas.core.files import Tree, load_tree, save_tree
from lossatlas.core.params import ParamSpec

__all__ = ["RunCurves", "Trajectory"]


@dataclass(frozen=True)
class RunCurves:
    """What was recorded at every step of a run, or at those that thinning has left.

    Args:
        steps: ``(S,)``, increasing.
        losses: ``(S,)`` in float64; NaN and infinity as they came.
        gradient_norms: ``(S,)``, |g|; NaN where none was recorded.
        learning_rates: ``(S,)``; NaN where none was recorded.

    Raises:
        InputError: lengths that differ, or steps that do not increase.
    """

    steps: Tensor
    losses: Tensor
    gradient_norms: Tensor
    learning_rates: Tensor

    def __post_init__(self) -> None:
        shapes = {name: tuple(getattr(self, name).shape) for name in self.__dataclass_fields__}
        if self.steps.ndim != 1 or len(set(shapes.values())) > 1:
            raise InputError(f"expected curves of one length (S,), got {shapes}")
        _increasing(self.steps, "steps of the curves")

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class Trajectory:
    """One training run: weights at some steps, losses and gradient norms at many more.

    Args:
        weights: ``(T, d)``, snapshots.
        steps: ``(T,)``, when they were taken, increasing.
        losses: ``(T,)``, training loss recorded with each snapshot, float64; NaN where none was.
        gradient_norms: ``(T,)``, |g| recorded with each snapshot; NaN where none was.
        curves: losses, gradient norms and learning rates at many more steps.
        spec: names and shapes of the parameters; None where they have no names.
        settings: whatever else belongs to the run, as JSON.

    Raises:
        InputError: lengths that differ, weights of another network, or steps that do not increase.

    Example:
        >>> run = Trajectory.of(torch.tensor([[2.0], [1.0], [0.5]]), losses=torch.tensor([4.0, 1.0, 0.25]))
        >>> len(run), run.steps.tolist(), run.last_finite
        (3, [0, 1, 2], 2)
    """

    weights: Tensor
    steps: Tensor
    losses: Tensor
    gradient_norms: Tensor
    curves: RunCurves
    spec: ParamSpec | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or len(self.weights) == 0:
            raise InputError(f"expected weights of a run as (T, d) with T ≥ 1, got shape {tuple(self.weights.shape)}")
        count = len(self.weights)
        for name in ("steps", "losses", "gradient_norms"):
            shape = tuple(getattr(self, name).shape)
            if shape != (count,):
                raise InputError(f"expected {name} of shape ({count},), one for each snapshot, got {shape}")
        _increasing(self.steps, "steps of the snapshots")
        if self.spec is not None and self.spec.dim != self.weights.shape[1]:
            raise InputError(
                f"expected {self.spec.dim} parameters in each snapshot, got {self.weights.shape[1]}: "
                "these are weights of another network"
            )

    @classmethod
    def of(
        cls,
        weights: Tensor,
        *,
        steps: Tensor | None = None,
        losses: Tensor | None = None,
        gradient_norms: Tensor | None = None,
        learning_rate: float | None = None,
        spec: ParamSpec | None = None,
    ) -> Trajectory:
        """Make a trajectory of rows that are there already, one for each step.

        Args:
            weights: ``(T, d)``.
            steps: ``(T,)``; 0, 1, 2, ... if None.
            losses: ``(T,)``.
            gradient_norms: ``(T,)``.
            learning_rate: of all steps.
            spec: names and shapes of the parameters.

        Returns:
            The trajectory; its curves are the same numbers.

        Raises:
            InputError: shapes that do not fit.
        """
        if weights.ndim != 2:
            raise InputError(f"expected weights of a run as (T, d), got shape {tuple(weights.shape)}")
        missing = torch.full((len(weights),), torch.nan, dtype=torch.float64)
        when = torch.arange(len(weights)) if steps is None else steps
        loss = missing if losses is None else losses.detach().double().cpu()
        norm = missing if gradient_norms is None else gradient_norms.detach().double().cpu()
        rate = missing if learning_rate is None else torch.full_like(missing, learning_rate)
        return cls(weights.detach(), when, loss, norm, RunCurves(when, loss, norm, rate), spec)

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def last_finite(self) -> int | None:
        """Position of the last snapshot whose weights are finite, and its loss too where losses were recorded."""
        good = self.weights.isfinite().all(-1).cpu()
        if bool(self.losses.isfinite().any()):
            fine = self.losses.isfinite()
            # Weights recorded after the last loss are as good as that was.
            if len(self.curves) and self.steps[-1] > self.curves.steps[-1]:
                fine[-1] = self.curves.losses[-1].isfinite()
            good = good & fine
        where = good.nonzero()
        return int(where[-1]) if len(where) else None

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which trajectories are stored."""
        return {
            "kind": "trajectory",
            **{name: getattr(self, name) for name in ("weights", "steps", "losses", "gradient_norms")},
            "curves": dict(vars(self.curves)),
            "spec": None if self.spec is None else self.spec.to_json(),
            "settings": dict(self.settings),
        }

    @classmethod
    def from_tree(cls, tree: Tree) -> Trajectory:
        """Rebuild a trajectory from :meth:`to_tree`.

        Raises:
            StorageError: a tree of something else.
        """
        if not isinstance(tree, dict) or tree.get("kind") != "trajectory":
            raise StorageError(
                "expected a stored trajectory, got another record: give what TrajectoryRecorder.save wrote"
            )
        found = {name: value for name, value in tree.items() if name != "kind"}
        found["curves"] = RunCurves(**found["curves"])
        found["spec"] = None if found["spec"] is None else ParamSpec.from_json(found["spec"])
        return cls(**found)

    def save(self, path: str | Path) -> None:
        """Store the trajectory as ``PATH.json`` with its tensors beside it as safetensors.

        Raises:
            StorageError: the folder cannot be written.
        """
        save_tree(_json_file(path), self.to_tree())

    @classmethod
    def load(cls, path: str | Path) -> Trajectory:
        """Read a trajectory written by :meth:`save`.

        Raises:
            StorageError: the file is missing, damaged or something else.

        Example:
            >>> import tempfile
            >>> file = Path(tempfile.mkdtemp()) / "run"
            >>> Trajectory.of(torch.eye(2)).save(file)
            >>> Trajectory.load(file).weights
            tensor([[1., 0.],
                    [0., 1.]])
        """
        return cls.from_tree(load_tree(_json_file(path)))


def _increasing(steps: Tensor, what: str) -> None:
    if len(steps) > 1 and not bool((steps[1:] > steps[:-1]).all()):
        raise InputError(f"expected increasing {what}, got some that repeat or fall back: number every step once")


def _json_file(path: str | Path) -> Path:
    # Not with_suffix: "lr0.1" and "lr0.2" are two runs.
    path = Path(path)
    return path if path.suffix == ".json" else path.with_name(f"{path.name}.json")
