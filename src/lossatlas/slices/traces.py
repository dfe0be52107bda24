"""Traces: runs as a plane shows them, with what it does not show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree
from lossatlas.core.trajectory import Trajectory
from lossatlas.landscape.contract import Landscape, accept_rows
from lossatlas.slices.measures import measure
from lossatlas.slices.plane import Plane, Projection
from lossatlas.slices.trajectory import finite_rows

__all__ = ["Trace", "trace"]


@dataclass(frozen=True, eq=False)
class Trace:
    """A run, or some points, beside a plane.

    Args:
        name: what it is called, such as the optimizer.
        projection: on the plane.
        losses: ``(n,)``, at the points themselves.
        projected: ``(n,)``, at their projections, which is what a surface shows there.
    """

    name: str
    projection: Projection
    losses: Tensor
    projected: Tensor

    @property
    def error(self) -> Tensor:
        """Loss on the plane minus loss of the run, ``(n,)``."""
        return self.projected - self.losses

    @property
    def outside(self) -> float:
        """Largest distance from the plane in units of the largest distance from its origin, 0 (in it) to 1."""
        farthest = float(self.projection.distances.max())
        return float(self.projection.residuals.max()) / farthest if farthest > 0 else 0.0

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors, the form in which traces are stored."""
        return {**vars(self), "projection": self.projection.to_tree()}

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Trace:
        """Rebuild a trace from :meth:`to_tree`."""
        return cls(**{**tree, "projection": Projection.from_tree(tree["projection"])})


def trace(landscape: Landscape, plane: Plane, rows: Tensor | Trajectory, name: str = "run") -> Trace:
    """Project a run on a plane, and evaluate the loss both at its points and at their projections.

    Args:
        landscape: of the run.
        plane: any plane in its space; several runs may share one.
        rows: ``(n, d)``; or a recorded run, up to its last finite weights, in the landscape's type.
        name: of the run.

    Returns:
        The trace: read its losses beside :attr:`Trace.projected` and the residuals of its projection.

    Raises:
        InputError: rows that do not belong to the landscape or the plane.

    Example:
        >>> import torch
        >>> from lossatlas import landscape, slices
        >>> bowl = landscape.from_function(lambda x: (x**2).sum(), dim=3)
        >>> plane = slices.Plane(torch.zeros(3).double(), torch.eye(3).double()[:2])
        >>> found = slices.trace(bowl, plane, torch.tensor([[1.0, 2.0, 3.0]]).double())
        >>> found.losses.tolist(), found.projected.tolist(), found.projection.residuals.tolist()
        ([14.0], [5.0], [3.0])
    """
    if isinstance(rows, Trajectory):
        rows = finite_rows(rows).to(landscape.dtype)
    rows = accept_rows(rows, landscape)
    if rows.ndim != 2:
        raise InputError(f"expected the points of a run as (n, {landscape.dim}), got shape {tuple(rows.shape)}")
    seen = plane.project(rows)
    plane = plane.to(dtype=landscape.dtype, device=landscape.device)
    losses = landscape.value(rows).detach().double().cpu()
    projected = measure(landscape, plane.rows(seen.coordinates), {})["loss"]
    return Trace(name, seen, losses, projected)
