"""Path: a curve between two points, and how high the loss rises along it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from lossatlas.core.files import Tree

__all__ = ["Path"]


@dataclass(frozen=True)
class Path:
    """A path from ``start`` (t=0) to ``end`` (t=1) with the loss along it.

    Args:
        method: how it was found: ``"linear"``, ...
        t: ``(m,)``, curve parameter of the samples, from 0 to 1.
        loss: ``(m,)``, loss at the samples, in float64.
        length: length of the polyline through the samples.
        distance: straight distance between the ends.
        evaluations: evaluations of the loss and of its gradient spent, ``{"values": n, "gradients": n}``.
        points: ``(m, d)``, or None where the curve can be made again from its ends (``"linear"``).
        metrics: other figures along the path, name to ``(m,)``.
        message: converged or not, and why.

    Example:
        >>> import torch
        >>> path = Path("linear", torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 4.0, 2.0]), 3.0, 3.0,
        ...             {"values": 3, "gradients": 0})
        >>> path.height, path.barrier, path.forward_barrier, path.reverse_barrier
        (4.0, 2.0, 3.0, 2.0)
        >>> path.linear_interpolation_barrier
        2.5
    """

    method: str
    t: Tensor
    loss: Tensor
    length: float
    distance: float
    evaluations: dict[str, int]
    points: Tensor | None = None
    metrics: dict[str, Tensor] | None = None
    message: str = ""

    @property
    def height(self) -> float:
        """Highest loss at the samples."""
        return float(self.loss.max())

    @property
    def barrier(self) -> float:
        """Height above the higher of the two ends."""
        return self.height - max(float(self.loss[0]), float(self.loss[-1]))

    @property
    def forward_barrier(self) -> float:
        """Height above the start."""
        return self.height - float(self.loss[0])

    @property
    def reverse_barrier(self) -> float:
        """Height above the end."""
        return self.height - float(self.loss[-1])

    @property
    def linear_interpolation_barrier(self) -> float | None:
        """Largest rise above the chord between the end losses; straight lines only.

        Entezari et al. 2022, *The role of permutation invariance in linear mode connectivity*, Definition 3.1:
        max over t of L((1-t)a + t b) - (1-t)L(a) - t L(b).
        """
        if self.method != "linear":
            return None
        chord = (1 - self.t) * self.loss[0] + self.t * self.loss[-1]
        return float((self.loss - chord).max())

    def reversed(self) -> Path:
        """The same path walked from end to start."""
        metrics = self.metrics and {k: v.flip(0) for k, v in self.metrics.items()}
        points = None if self.points is None else self.points.flip(0)
        return replace(self, t=1 - self.t.flip(0), loss=self.loss.flip(0), points=points, metrics=metrics)

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which paths are stored."""
        return {
            "method": self.method,
            "t": self.t,
            "loss": self.loss,
            "length": self.length,
            "distance": self.distance,
            "evaluations": dict(self.evaluations),
            "points": self.points,
            "metrics": dict(self.metrics) if self.metrics is not None else None,
            "message": self.message,
        }

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Path:
        """Rebuild a path from :meth:`to_tree`."""
        return cls(**tree)
