"""Planes as a user names them; the one place where slices meet curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas import curvature, slices
from lossatlas.core.errors import InputError
from lossatlas.landscape.contract import Landscape
from lossatlas.slices.measures import Measure

__all__ = ["KINDS", "MEASURES", "Made", "make_plane"]

KINDS = ("filter", "layer", "random", "coordinates", "minima", "eigenvector", "trajectory")
"""Values of ``--directions``."""

_MOST_MINIMA = 3


def _smallest(landscape: Landscape, rows: Tensor) -> Tensor:
    return curvature.eigenvalues(landscape, rows, k=1, which="smallest", tolerance=1e-3).values[..., 0]


def _largest(landscape: Landscape, rows: Tensor) -> Tensor:
    return curvature.eigenvalues(landscape, rows, k=1, tolerance=1e-3).values[..., 0]


MEASURES: dict[str, Measure] = {"smallest eigenvalue": _smallest, "largest eigenvalue": _largest}
"""Metrics of a surface that are no business of the landscape's."""


@dataclass(frozen=True)
class Made:
    """A plane and what was learnt while it was made.

    Args:
        plane: the plane.
        notes: what a reader should know.
    """

    plane: slices.Plane
    notes: tuple[str, ...] = ()


def make_plane(
    landscape: Landscape,
    kind: str,
    points: Tensor,
    labels: Sequence[str],
    *,
    run: Tensor | None = None,
    dimensions: int | None = None,
    refine: bool = False,
    seed: int = 0,
) -> Made:
    """Make the plane of a surface.

    Args:
        landscape: where.
        kind: one of :data:`KINDS`.
        points: ``(n, d)``, given points; the first is the origin where one is needed.
        labels: a name each.
        run: ``(n, d)``, for ``"trajectory"``; None: the given points, in their order.
        dimensions: directions wanted; None: two, or one between two minima.
        refine: turn the plane of a run until losses on it are those of the run.
        seed: of random directions.

    Returns:
        The plane.

    Raises:
        InputError: too few or too many points for the kind, or points that span too little.
    """
    count = dimensions or 2
    if refine and kind != "trajectory":
        raise InputError(f"expected --refine with --directions trajectory, got it with {kind}")
    if kind == "minima":
        return Made(_through(landscape, points, labels, dimensions))
    if kind == "trajectory":
        rows = points if run is None else run
        found = slices.trajectory_plane(rows, landscape.spec, count=count)
        if not refine:
            return Made(found.plane)
        turned = slices.refine_plane(landscape, rows, found.plane)
        note = f"The plane was refined to the losses of the run; {turned.message}."
        return Made(turned.plane, (note,))
    if kind == "eigenvector":
        return _eigenvectors(landscape, points[0], count)
    return Made(slices.plane_at(landscape, points[0], kind, count=count, seed=seed))


def _through(landscape: Landscape, points: Tensor, labels: Sequence[str], dimensions: int | None) -> slices.Plane:
    wanted = len(points) - 1 if dimensions is None else dimensions
    if len(points) < 2 or wanted not in (1, 2) or wanted >= len(points):
        raise InputError(
            f"expected two points for a line between minima, or three for a plane, got {len(points)}"
            + ("" if dimensions is None else f" for {dimensions} directions")
        )
    if wanted == 1:
        return slices.line_between(points[0], points[1], landscape.spec, labels=labels[:2])
    a, b, c = points[:_MOST_MINIMA]
    return slices.plane_through(a, b, c, landscape.spec, labels=labels[:_MOST_MINIMA])


def _eigenvectors(landscape: Landscape, w: Tensor, count: int) -> Made:
    if landscape.dim < count:
        raise InputError(f"expected at most {landscape.dim} directions, got {count}: the landscape has no more")
    found = curvature.eigenvalues(landscape, w, k=count, tolerance=1e-4)
    rows = slices.eigenvector_directions(found.vectors, w)
    labels = tuple(f"eigenvector {k + 1} (eigenvalue {value:.3g})" for k, value in enumerate(found.values.tolist()))
    plane = slices.Plane(w, rows, "eigenvector", labels, None, landscape.spec, {"eigenvalues": found.values.tolist()})
    over = "" if landscape.samples is None else f" over {found.data}"
    notes = [f"Eigenvectors belong to the largest eigenvalues of the Hessian{over}: {found.method}."]
    if not bool(torch.all(found.converged)):
        notes.append("Not all eigenvectors have converged: the directions are near the largest curvature, not exact.")
    return Made(plane, tuple(notes))
