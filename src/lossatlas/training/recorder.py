"""Recorder: the curves of every replica and the best weights seen on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.ensemble import Curves
from lossatlas.core.files import Tree

__all__ = ["Best", "Recorder"]


@dataclass
class Best:
    """The lowest value of one curve so far, per replica.

    Args:
        loss: ``(R,)``, infinity before the first record.
        weights: ``(R, d)``.
        steps: ``(R,)``.
    """

    loss: Tensor
    weights: Tensor
    steps: Tensor

    @classmethod
    def start(cls, x: Tensor) -> Best:
        """Nothing seen yet, for rows like ``x`` ``(R, d)``."""
        n = len(x)
        return cls(
            torch.full((n,), float("inf"), dtype=torch.float64, device=x.device),
            x.clone(),
            torch.zeros(n, dtype=torch.int64, device=x.device),
        )

    def update(self, step: int, rows: Tensor, loss: Tensor, x: Tensor) -> None:
        """Take over rows whose loss is lower; NaN never is.

        Args:
            step: when.
            rows: ``(n,)`` numbers of the rows evaluated.
            loss: ``(n,)``.
            x: ``(R, d)``, all rows.
        """
        better = rows[loss.double() < self.loss[rows]]
        if len(better) == 0:
            return
        self.loss[better] = loss.double()[torch.isin(rows, better)]
        self.weights[better] = x[better]
        self.steps[better] = step


class Recorder:
    """Collects curves and best weights while replicas train.

    Args:
        x: initial weights ``(R, d)``.
        unit: ``"iteration"`` or ``"epoch"``.
    """

    def __init__(self, x: Tensor, unit: str) -> None:
        self.unit = unit
        self.train = Best.start(x)
        self.selected = Best.start(x)
        self._replicas = len(x)
        self._steps: list[int] = []
        self._curves: dict[str, list[Tensor]] = {}

    def add(self, step: int, rows: Tensor, curves: dict[str, Tensor]) -> None:
        """Append one point to every curve.

        Args:
            step: when.
            rows: ``(n,)`` numbers of the rows that were evaluated; the others get NaN.
            curves: name to ``(n,)``.
        """
        self._steps.append(step)
        for name, values in curves.items():
            point = torch.full((self._replicas,), float("nan"), dtype=torch.float64)
            point[rows.cpu()] = values.detach().double().cpu()
            self._curves.setdefault(name, []).append(point)

    def latest(self, name: str) -> Tensor | None:
        """Last point of a curve, ``(R,)``."""
        curve = self._curves.get(name)
        return curve[-1] if curve else None

    def curves(self) -> Curves:
        """All curves so far."""
        values = {name: torch.stack(points, dim=1) for name, points in self._curves.items()}
        return Curves(torch.tensor(self._steps, dtype=torch.int64), self.unit, values)

    def to_tree(self) -> Tree:
        """Everything needed to go on, as nested dicts of tensors and numbers."""
        curves = self.curves()
        return {
            "unit": self.unit,
            "train": vars(self.train).copy(),
            "selected": vars(self.selected).copy(),
            "steps": curves.steps,
            "curves": dict(curves.values),
        }

    @classmethod
    def from_tree(cls, tree: Tree, device: torch.device) -> Recorder:
        """Rebuild a recorder from :meth:`to_tree`."""
        recorder = cls(tree["train"]["weights"].to(device), tree["unit"])
        recorder.train = Best(**{name: tensor.to(device) for name, tensor in tree["train"].items()})
        recorder.selected = Best(**{name: tensor.to(device) for name, tensor in tree["selected"].items()})
        recorder._steps = tree["steps"].tolist()
        recorder._curves = {name: list(values.unbind(1)) for name, values in tree["curves"].items()}
        return recorder
