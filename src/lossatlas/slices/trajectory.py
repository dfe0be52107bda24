"""The plane in which a training run moves most, beside what a random walk would show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.core.trajectory import Trajectory
from lossatlas.slices.plane import Plane, Projection, covering

__all__ = ["TrajectoryPlane", "finite_rows", "random_walk_fractions", "trajectory_plane"]

# Columns converted to float64 at a time.
_BLOCK = 1 << 18
# A component below this part of the first is rounding.
_RANK = 1e-12


@dataclass(frozen=True, eq=False)
class TrajectoryPlane:
    """Principal components of a run.

    Args:
        plane: through the last point, spanned by the leading components, orthonormal.
        explained: ``(m,)``, part of the variance that each component explains, all of them, descending.
        null: ``(m,)``, the same for a random walk of as many points in very many dimensions; see
            :func:`random_walk_fractions`.
        projection: of every point of the run on the plane.
    """

    plane: Plane
    explained: Tensor
    null: Tensor
    projection: Projection

    @property
    def shown(self) -> float:
        """Part of the variance that the plane explains."""
        return float(self.explained[: self.plane.count].sum())

    @property
    def shown_by_chance(self) -> float:
        """Part that the same number of components explains of a random walk."""
        return float(self.null[: self.plane.count].sum())


def random_walk_fractions(points: int, count: int | None = None) -> Tensor:
    """Part of the variance that each principal component explains of a random walk, ``-> (count,)`` in float64.

    The steps of a walk in very many dimensions are orthogonal, so the Gram matrix of its centred points is the
    pseudo-inverse of the Laplacian of a chain of n points, whose eigenvalues are 4 sin²(πk/2n), k = 1 .. n − 1:

        f_k = 6 / ((n² − 1) 4 sin²(πk/2n))  →  6 / (π² k²)  for long walks: .608, .152, .068, ...

    Args:
        points: of the walk, n ≥ 2.
        count: how many components; None: all n − 1.

    Raises:
        InputError: fewer than two points.

    Example:
        >>> random_walk_fractions(1000, 3).round(decimals=3)
        tensor([0.6080, 0.1520, 0.0680], dtype=torch.float64)

    Antognini & Sohl-Dickstein 2018, *PCA of high dimensional random walks with comparison to neural network training*
    (the limit of long walks).
    """
    if points < 2:
        raise InputError(f"expected a walk of at least two points, got {points}")
    k = torch.arange(1, points, dtype=torch.float64)
    fractions = 6 / ((points**2 - 1) * 4 * torch.sin(math.pi * k / (2 * points)).square())
    return fractions[:count]


def finite_rows(run: Trajectory) -> Tensor:
    """The weights of a recorded run up to the last that are finite, ``-> (n, d)``.

    Raises:
        InputError: none are.
    """
    if run.last_finite is None:
        raise InputError("expected a run with finite weights, got none: it diverged before the first were recorded")
    return run.weights[: run.last_finite + 1]


def _gram(rows: Tensor) -> Tensor:
    """⟨θ_i − mean, θ_j − mean⟩ in float64, ``(n, d) -> (n, n)``, without a copy of all rows."""
    gram = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    for part in torch.split(rows, _BLOCK, dim=1):
        # Relative to the last point first: runs are short beside the size of their weights.
        near = part.double() - part[-1].double()
        near -= near.mean(0)
        gram += near @ near.T
    return gram


def trajectory_plane(rows: Tensor | Trajectory, spec: ParamSpec | None = None, *, count: int = 2) -> TrajectoryPlane:
    """Principal components of the points of a run, by the Gram matrix of its points.

    PCA of θ_i − θ_n, centred; the plane passes through θ_n, the last point. The n x n Gram matrix takes the place of
    the d x d covariance. Read the variance explained beside that of a random walk: two components of a long walk, which
    goes nowhere, explain 76 %. Read losses on the plane beside the residuals, the distances from it: the loss at a
    projected point is not the loss of the run.

    Args:
        rows: ``(n, d)``, the points in their order, the first steps first; or a recorded run, up to its last finite
            weights.
        spec: names and shapes of the parameters.
        count: directions wanted, 1 to 3.

    Returns:
        The plane, variance explained, the null, and all points as the plane shows them.

    Raises:
        InputError: too few points, points that are not finite, or that span too little.

    Example:
        >>> t = torch.linspace(0, 6, 40, dtype=torch.float64)
        >>> spiral = torch.stack([t.cos() * t, t.sin() * t, 0.01 * t], dim=1)
        >>> found = trajectory_plane(spiral)
        >>> bool(found.shown > 0.999), bool(found.projection.residuals.max() < 0.1)
        (True, True)

    Li, Xu, Taylor, Studer & Goldstein 2018, *Visualizing the loss landscape of neural nets*, section 7.2; Antognini &
    Sohl-Dickstein 2018, *PCA of high dimensional random walks with comparison to neural network training*.
    """
    if isinstance(rows, Trajectory):
        spec, rows = spec or rows.spec, finite_rows(rows)
    if rows.ndim != 2 or len(rows) <= count:
        raise InputError(
            f"expected more than {count} points of a run as (n, d), got shape {tuple(rows.shape)}: store weights more "
            "often, or draw the line between the first and the last"
        )
    finite = rows.isfinite().all(1)
    if not bool(finite.all()):
        raise InputError(
            f"expected finite weights along the run, got NaN or infinity at point {int((~finite).nonzero()[0])}: "
            "leave out what came after it diverged"
        )
    values, vectors = torch.linalg.eigh(_gram(rows))
    values, vectors = values.flip(0)[:-1].clamp_min(0), vectors.flip(1)[:, :-1]
    if not float(values[0]) > 0 or float(values[count - 1]) <= _RANK * float(values[0]):
        raise InputError(
            f"expected a run that spans {count} directions, got one on a line or at a single point: ask for fewer"
        )
    components = _components(rows, vectors[:, :count], values[:count])
    # The run begins on the positive side of every axis.
    start = components @ (rows[0].double() - rows[-1].double())
    components = components * start.sign().where(start != 0, torch.ones_like(start))[:, None]
    explained = (values / values.sum()).cpu()
    null = random_walk_fractions(len(rows))
    percent = [(100 * float(own), 100 * float(chance)) for own, chance in zip(explained, null, strict=True)][:count]
    names = tuple(
        f"component {k}: {own:.1f} % (random walk: {chance:.1f} %)" for k, (own, chance) in enumerate(percent, 1)
    )
    bare = Plane(rows[-1].detach().clone(), components.to(rows.dtype))
    projection = bare.project(rows)
    details = {"explained": explained[:count].tolist(), "null": null[:count].tolist(), "points": len(rows)}
    window = covering(projection.coordinates)
    plane = Plane(bare.origin, bare.directions, "trajectory", names, window, spec, details)
    return TrajectoryPlane(plane, explained, null, projection)


def _components(rows: Tensor, vectors: Tensor, values: Tensor) -> Tensor:
    """Unit vectors Σ_i u_ik (θ_i − mean) / √λ_k, ``-> (k, d)`` in float64."""
    parts = []
    for part in torch.split(rows, _BLOCK, dim=1):
        near = part.double() - part[-1].double()
        parts.append(vectors.T @ (near - near.mean(0)))
    components = torch.cat(parts, dim=1) / values.sqrt()[:, None]
    # Small components carry the rounding of the Gram matrix: orthonormal again.
    q, r = torch.linalg.qr(components.T)
    basis: Tensor = (q * r.diagonal().sign()).T
    return basis
