"""Planes of trajectories: against PCA by a library, the random walk, and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from curved_networks import perceptron, points
from sklearn.decomposition import PCA
from torch import Tensor

from lossatlas import landscape as landscapes
from lossatlas import slices
from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.randomness import generator
from lossatlas.core.trajectory import Trajectory


def walk(steps: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(steps, dim, generator=generator("walk", seed), dtype=torch.float64).cumsum(0)


def descent(landscape, w: Tensor, steps: int = 12, lr: float = 0.4) -> Tensor:
    """Weights along plain gradient descent."""
    rows = [w]
    for _ in range(steps):
        rows.append(rows[-1] - lr * landscape.value_and_grad(rows[-1])[1])
    return torch.stack(rows)


def test_components_are_those_of_a_library():
    rows = walk(30, 80) @ torch.diag(torch.linspace(0.1, 3, 80, dtype=torch.float64)) + 50
    found = slices.trajectory_plane(rows, count=3)
    pca = PCA().fit(rows.numpy())
    np.testing.assert_allclose(found.explained.numpy(), pca.explained_variance_ratio_[:29], rtol=1e-9, atol=1e-12)
    for own, other in zip(found.plane.directions.numpy(), pca.components_[:3], strict=True):
        assert abs(own @ other) == pytest.approx(1, abs=1e-9)
    assert torch.equal(found.plane.origin, rows[-1])
    identity = torch.eye(3, dtype=torch.float64)
    assert torch.allclose(found.plane.directions @ found.plane.directions.T, identity, atol=1e-12)


def test_projections_and_residuals_are_pythagorean():
    rows = walk(20, 40)
    found = slices.trajectory_plane(rows)
    offsets = rows - rows[-1]
    inside = found.projection.coordinates.square().sum(1)
    outside = found.projection.residuals.square()
    assert torch.allclose(inside + outside, offsets.square().sum(1), rtol=1e-10)
    assert bool((found.projection.coordinates[0] >= 0).all())
    assert not found.projection.coordinates[-1].any()
    assert float(found.projection.residuals.max()) > 1


def test_a_random_walk_explains_what_theory_says():
    found = slices.trajectory_plane(walk(400, 2000))
    assert found.explained[:3].tolist() == pytest.approx([0.608, 0.152, 0.068], abs=0.012)
    assert found.null[:3].tolist() == pytest.approx([0.608, 0.152, 0.068], abs=5e-4)
    assert found.shown_by_chance == pytest.approx(0.76, abs=1e-3)
    assert "random walk: 60.8 %" in found.plane.names[0]


@pytest.mark.parametrize("steps", [3, 6, 15])
def test_the_null_of_short_walks_is_exact(steps):
    """In many dimensions the steps of a walk are orthogonal: then there is nothing random left."""
    increments = torch.eye(steps, dtype=torch.float64)
    rows = increments.cumsum(0)
    found = slices.trajectory_plane(rows, count=1)
    assert torch.allclose(found.explained, found.null, atol=1e-12)
    assert float(found.null.sum()) == pytest.approx(1, abs=1e-12)


def test_a_run_far_from_zero_keeps_its_digits():
    """Centring by the mean of float32 weights would lose a short run beside large weights."""
    rows = 1e-3 * walk(15, 50)
    near, far = slices.trajectory_plane(rows), slices.trajectory_plane(rows + 2.0**20)
    assert torch.allclose(near.explained, far.explained, atol=1e-6)


def test_recorded_runs_end_at_their_last_finite_weights():
    rows = walk(12, 6).float()
    run = Trajectory.of(torch.cat([rows, torch.full((2, 6), torch.nan)]))
    found, plain = slices.trajectory_plane(run), slices.trajectory_plane(rows)
    assert torch.equal(found.plane.directions, plain.plane.directions)
    bowl = landscapes.get("quadratic", dim=6)
    seen = slices.trace(bowl, found.plane, run, "recorded")
    assert torch.allclose(seen.losses, bowl.value(rows.double()))
    with pytest.raises(InputError, match="diverged before the first"):
        slices.trajectory_plane(Trajectory.of(torch.full((3, 6), torch.nan)))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.zeros(5, 3), "at a single point"),
        (torch.arange(5.0)[:, None] * torch.ones(3), "on a line"),
        (torch.randn(2, 3), "more than 2 points"),
        (torch.randn(6), "more than 2 points"),
        (torch.randn(6, 3).index_fill(0, torch.tensor([4]), torch.inf), "at point 4"),
    ],
)
def test_runs_that_span_nothing(rows, message):
    with pytest.raises(InputError, match=message):
        slices.trajectory_plane(rows)


# ------------------------------------------------------------------ refined planes
def mismatch(landscape, rows: Tensor, losses: Tensor, columns: Tensor) -> Tensor:
    """The objective as it is written, with a pseudo-inverse that autograd differentiates."""
    offsets = rows - rows[-1]
    on_plane = rows[-1] + (columns @ torch.linalg.pinv(columns) @ offsets.T).T
    return sum((landscape(x) - loss) ** 2 for x, loss in zip(on_plane, losses, strict=True))


def test_the_gradient_is_that_of_autograd():
    def energy(x: Tensor) -> Tensor:
        return (x**2).sum() / 2 + (2 * x[:-1] * x[1:]).sin().sum()

    landscape = landscapes.from_function(energy, dim=9)
    rows = walk(8, 9, seed=1) / 3
    losses = landscape.value(rows)
    for seed in range(3):
        directions = torch.randn(2, 9, generator=generator("D", seed), dtype=torch.float64)
        value, gradient = slices.mismatch_and_gradient(landscape, rows, losses, directions)
        columns = directions.T.clone().requires_grad_()
        total = mismatch(energy, rows, losses, columns)
        (expected,) = torch.autograd.grad(total, columns)
        assert value == pytest.approx(float(total.detach()), rel=1e-12)
        assert torch.allclose(gradient, expected.T, rtol=1e-9, atol=1e-10)


def test_the_gradient_of_a_network_is_that_of_differences():
    landscape, *_ = perceptron()
    rows = descent(landscape, points(landscape, 1)[0], steps=6)
    losses = landscape.value(rows)
    directions = slices.trajectory_plane(rows).plane.directions + 0.1 * slices.gaussian_directions(landscape.dim)
    _, gradient = slices.mismatch_and_gradient(landscape, rows, losses, directions)
    step = slices.gaussian_directions(landscape.dim, 2, seed=5)
    h = 1e-6
    ahead, _ = slices.mismatch_and_gradient(landscape, rows, losses, directions + h * step)
    behind, _ = slices.mismatch_and_gradient(landscape, rows, losses, directions - h * step)
    assert (ahead - behind) / (2 * h) == pytest.approx(float((gradient * step).sum()), rel=1e-5)


def test_refinement_makes_projected_losses_those_of_the_run():
    landscape, *_ = perceptron()
    rows = descent(landscape, points(landscape, 1, scale=0.6)[0], steps=15)
    start = slices.trajectory_plane(rows).plane
    found = slices.refine_plane(landscape, rows, start, iterations=40)
    course = found.objective
    assert bool((course.diff() < 0).all())
    assert float(course[-1]) < 0.3 * float(course[0])
    losses = landscape.value(rows)
    before, after = (
        landscape.value(plane.rows(plane.project(rows).coordinates)).sub(losses).square().sum()
        for plane in (start, found.plane)
    )
    assert float(before) == pytest.approx(float(course[0]), rel=1e-6)
    assert float(after) == pytest.approx(float(course[-1]), rel=1e-6)
    assert torch.equal(found.plane.origin, rows[-1])
    identity = torch.eye(2, dtype=torch.float64)
    assert torch.allclose(found.plane.directions @ found.plane.directions.T, identity, atol=1e-12)
    assert found.evaluations["gradients"] >= len(rows) * (len(course) - 1)


def test_a_plane_that_holds_the_run_is_left_alone():
    landscape = landscapes.get("quadratic", dim=6)
    rows = walk(7, 2) @ torch.eye(2, 6, dtype=torch.float64)
    start = slices.trajectory_plane(rows).plane
    found = slices.refine_plane(landscape, rows, start)
    assert float(found.objective[0]) < 1e-20
    assert torch.allclose(found.plane.directions, start.directions, atol=1e-6)


def test_refinements_that_cannot_be():
    landscape = landscapes.get("quadratic", dim=6)
    rows = walk(7, 6)
    start = slices.trajectory_plane(rows).plane
    with pytest.raises(InputError, match="through the last point"):
        slices.refine_plane(landscape, rows.flip(0), start)
    with pytest.raises(InputError, match="at least 0"):
        slices.refine_plane(landscape, rows, start, iterations=-1)
    walled = landscapes.from_function(lambda x: torch.where(x[0] > -1e9, torch.nan, x.sum()), dim=6)
    with pytest.raises(DivergenceError, match="along the run"):
        slices.refine_plane(walled, rows, start)
