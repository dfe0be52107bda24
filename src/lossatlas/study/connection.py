"""Connection: some points of one landscape and what was found between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.analysis import BarrierTree, barrier_tree
from lossatlas.core.files import Tree
from lossatlas.core.path import Path
from lossatlas.paths.averaging import Averaging
from lossatlas.study.surface import Surface

__all__ = ["AlignmentSummary", "Connection", "PathName", "Route"]

PathName: TypeAlias = Literal["straight", "found", "straight aligned", "found aligned"]
"""Which of the paths of a pair: the straight line, the one the method found, and the same two to the end with its
hidden units reordered."""


@dataclass(frozen=True)
class AlignmentSummary:
    """What reordering the hidden units of the second network did; without its weights.

    Args:
        distance_before: straight distance of the two networks.
        distance_after: the same after alignment.
        function_difference: largest difference of the outputs of the moved and the aligned network, which are one
            function.
        message: how it went.
    """

    distance_before: float
    distance_after: float
    function_difference: float
    message: str


@dataclass(frozen=True)
class Route:
    """Everything found between two points.

    Args:
        first: position of the start.
        second: position of the end.
        paths: by name; ``"straight"`` is always there.
        averaging: whether the two networks may be averaged; None where they are no networks.
        alignment: None where the end was not aligned.
    """

    first: int
    second: int
    paths: Mapping[PathName, Path]
    averaging: Averaging | None = None
    alignment: AlignmentSummary | None = None

    @property
    def best(self) -> Path:
        """The lower of the straight line and the path found, the ends as they are."""
        return _lower(self.paths.get("found"), self.paths["straight"])

    @property
    def best_aligned(self) -> Path | None:
        """The lower of both to the aligned end; None where it was not aligned."""
        straight = self.paths.get("straight aligned")
        return None if straight is None else _lower(self.paths.get("found aligned"), straight)

    def to_tree(self) -> Tree:
        """Return nested dicts, without the curves: they are stored path by path."""
        return {
            "first": self.first,
            "second": self.second,
            "paths": {name: {**path.to_tree(), "curve": None} for name, path in self.paths.items()},
            "averaging": None if self.averaging is None else self.averaging.to_tree(),
            "alignment": None if self.alignment is None else dict(vars(self.alignment)),
        }

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Route:
        """Rebuild a route from :meth:`to_tree`."""
        verdict, alignment = tree["averaging"], tree["alignment"]
        return cls(
            tree["first"],
            tree["second"],
            {name: Path.from_tree(path) for name, path in tree["paths"].items()},
            None if verdict is None else Averaging.from_tree(verdict),
            None if alignment is None else AlignmentSummary(**alignment),
        )


def _lower(found: Path | None, straight: Path) -> Path:
    if found is None or not math.isfinite(found.height):
        return straight
    return straight if straight.height < found.height else found


@dataclass(frozen=True, eq=False)
class Connection:
    """Points of a landscape and the paths between them; made by :func:`lossatlas.study.connect`.

    Args:
        name: what the landscape is called.
        method: the path finder.
        labels: a name per point.
        energies: ``(n,)``, loss at the points, in float64.
        distances: ``(n, n)``, straight distances.
        routes: what was found, pair by pair.
        planned: pairs that were to be connected; None where the schedule decides as it goes.
        points: ``(n, d)``, where they are small enough to be kept.
        groups: what each point belongs to, or None.
        metrics: other figures of the points, name to ``(n,)``.
        unit: of the loss, such as ``"nat"``.
        surface: a landscape of two coordinates on a grid.
        notes: what a reader should know, in sentences.
        details: of landscape, method and machine, for people.
    """

    name: str
    method: str
    labels: tuple[str, ...]
    energies: Tensor
    distances: Tensor
    routes: tuple[Route, ...] = ()
    planned: int | None = None
    points: Tensor | None = None
    groups: tuple[str, ...] | None = None
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    unit: str = ""
    surface: Surface | None = None
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def quantity(self) -> str:
        """What the landscape measures: ``"Loss"`` of a network, ``"Energy"`` of anything else."""
        return "Loss" if self.details.get("samples") is not None else "Energy"

    @property
    def complete(self) -> bool:
        """Whether every planned pair has been connected."""
        return self.planned is not None and len(self.routes) >= self.planned

    @property
    def aligned(self) -> bool:
        """Whether ends were aligned."""
        return any(route.best_aligned is not None for route in self.routes)

    @property
    def heights(self) -> Tensor:
        """``(n, n)``: height of the lowest path known between two points, their losses on the diagonal.

        NaN: not computed; inf: no path with finite losses.
        """
        return self._matrix({(r.first, r.second): r.best for r in self.routes})

    @property
    def aligned_heights(self) -> Tensor:
        """The same where hidden units may be reordered, which changes no network: the lower of raw and aligned."""
        found = {(r.first, r.second): r.best for r in self.routes}
        for route in self.routes:
            if route.best_aligned is not None:
                found[route.first, route.second] = _lower(route.best_aligned, route.best)
        return self._matrix(found)

    @property
    def tree(self) -> BarrierTree:
        """The disconnectivity graph of the points."""
        return barrier_tree(self.energies, self.heights, self.labels, self.groups)

    @property
    def aligned_tree(self) -> BarrierTree:
        """The disconnectivity graph where hidden units may be reordered."""
        return barrier_tree(self.energies, self.aligned_heights, self.labels, self.groups)

    def route(self, first: int, second: int) -> Route | None:
        """What was found between two points, in whichever direction; None where nothing was tried."""
        return next((r for r in self.routes if {r.first, r.second} == {first, second}), None)

    def with_route(self, route: Route) -> Connection:
        """The same with one more route."""
        return replace(self, routes=(*self.routes, route))

    def to_tree(self) -> Tree:
        """Return nested dicts, the form in which connections are stored."""
        tree: dict[str, Any] = dict(vars(self))
        tree["routes"] = [route.to_tree() for route in self.routes]
        tree["surface"] = None if self.surface is None else self.surface.to_tree()
        tree["metrics"], tree["details"] = dict(self.metrics), dict(self.details)
        return tree

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Connection:
        """Rebuild a connection from :meth:`to_tree`."""
        routes = tuple(Route.from_tree(route) for route in tree["routes"])
        surface = None if tree["surface"] is None else Surface.from_tree(tree["surface"])
        return cls(**{**tree, "routes": routes, "surface": surface})

    def _matrix(self, paths: Mapping[tuple[int, int], Path]) -> Tensor:
        heights = torch.full((len(self.labels),) * 2, torch.nan, dtype=torch.float64)
        heights.diagonal().copy_(self.energies)
        for (i, j), path in paths.items():
            heights[i, j] = heights[j, i] = path.height if math.isfinite(path.height) else math.inf
        return heights
