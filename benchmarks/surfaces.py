"""Surfaces against a point-by-point loop that writes weights into the model, as existing tools do."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.timing import Comparison, seconds
from lossatlas import problems, slices
from lossatlas.problems import Problem

__all__ = ["agreement", "point_by_point", "surface_against_point_by_point"]

POINTS = 51
_BATCH = 128

Batches = Iterable[tuple[Tensor, Tensor]]


def point_by_point(problem: Problem, plane: slices.Plane, points: int, batches: Batches) -> Callable[[], Tensor]:
    """A function that writes the weights of each grid point into a module and passes the data through it.

    Args:
        problem: whose network.
        plane: of the surface.
        points: along each direction, from −1 to 1.
        batches: of the data; iterated anew at each point.

    Returns:
        A function without arguments that gives the losses, ``(points, points)``.
    """
    module = problem.module(plane.origin)
    module.eval()
    weights = [p.detach().clone() for p in module.parameters()]
    first, second = (list(problem.train.spec.unflatten(row).values()) for row in plane.directions)
    axis = torch.linspace(-1, 1, points).tolist()

    def run() -> Tensor:
        losses = torch.empty(points, points)
        with torch.no_grad():
            for i, a in enumerate(axis):
                for j, b in enumerate(axis):
                    for p, w, u, v in zip(module.parameters(), weights, first, second, strict=True):
                        p.copy_(w + a * u + b * v)
                    total, count = 0.0, 0
                    for inputs, targets in batches:
                        total += F.cross_entropy(module(inputs), targets).item() * len(targets)
                        count += len(targets)
                    losses[i, j] = total / count
        return losses

    return run


def _loader(problem: Problem) -> DataLoader[tuple[Tensor, ...]]:
    inputs, targets = problem.data["train"]  # type: ignore[misc]
    return DataLoader(TensorDataset(inputs, targets), batch_size=_BATCH)


def agreement(name: str, points: int = 7) -> float:
    """Largest difference of the two ways, relative to the loss: both see the same points."""
    problem = problems.get(name)
    plane = slices.plane_at(problem.train, problem.initial_weights(0, range(1))[0])
    ours = slices.surface_on(problem.train, plane, points=points).values
    theirs = point_by_point(problem, plane, points, _loader(problem))().double()
    return float(((ours - theirs) / theirs).abs().max())


def surface_against_point_by_point(name: str, points: int = POINTS, *, loader: bool = True) -> tuple[Comparison, str]:
    """Time a surface of filter-normalised directions of one network both ways, once each after a few points.

    Args:
        name: of a named problem, on the digits.
        points: along each direction.
        loader: the loop reads a ``DataLoader`` as tools do; else batches that lie in memory.

    Returns:
        The ratio of the times, and a note with the memory of both ways.
    """
    problem = problems.get(name)
    plane = slices.plane_at(problem.train, problem.initial_weights(0, range(1))[0])
    landscape = problem.train.with_numerics(problem.train.numerics)
    inputs, targets = problem.data["train"]  # type: ignore[misc]
    memory = list(zip(inputs.split(_BATCH), targets.split(_BATCH), strict=True))
    batches: Batches = _loader(problem) if loader else memory  # type: ignore[assignment]
    slices.surface_on(landscape, plane, points=3)
    point_by_point(problem, plane, 3, batches)()
    ours = seconds(lambda: slices.surface_on(landscape, plane, points=points))
    theirs = seconds(point_by_point(problem, plane, points, batches))
    found = Comparison(theirs / ours, theirs / ours, theirs / ours, ours, theirs)
    rows = points**2 * plane.dim * plane.origin.itemsize
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    note = (
        f"{points}x{points} points, {'DataLoader' if loader else 'batches in memory'}; all weights at once would be "
        f"{rows / 2**20:.0f} MiB; peak of the process {peak / 2**20:.0f} MiB; {landscape.numerics}"
    )
    return found, note
