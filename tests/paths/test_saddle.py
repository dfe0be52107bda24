"""Minimum-mode following and steepest descent against exact saddles, dense Hessians and an independent integrator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from torch import Tensor

import lossatlas as la
from lossatlas.core.curve import Curve
from lossatlas.core.errors import InputError
from lossatlas.core.linalg import random_rotation
from lossatlas.core.path import Path
from lossatlas.core.randomness import generator
from lossatlas.landscape import Landscape
from lossatlas.paths import diagnose, follow_minimum_mode, steepest_descent
from lossatlas.paths.saddle.finish import slide
from lossatlas.paths.saddle.image_step import image_step
from lossatlas.paths.saddle.probe import Probe
from lossatlas.paths.saddle.spectrum import lowest_spectrum

# Landscape, pass, whether it joins the ends directly.
PASSES = [
    ("paper-toy", {}, ("left", "right"), "between the bumps", True),
    ("muller-brown", {}, ("A", "B"), "A-C", False),
    ("muller-brown", {}, ("A", "C"), "A-C", True),
    ("muller-brown", {}, ("C", "B"), "C-B", True),
    ("paper-toy-50d", {}, ("left", "right"), "between the bumps", True),
    ("muller-brown-50d", {}, ("A", "B"), "A-C", False),
    ("muller-brown-50d", {}, ("A", "C"), "A-C", True),
    ("muller-brown-50d", {}, ("C", "B"), "C-B", True),
    ("phi4-ring", {"sites": 10, "coupling": 6.0}, ("down", "up"), "origin", True),
    ("phi4-ring", {"sites": 10, "coupling": 2.0}, ("down", "up"), "walls 0", True),
    ("phi4-ring", {"sites": 2, "coupling": 0.1}, ("down", "up"), "walls 0", False),
]


def normal(*shape: int, name: str = "test saddle") -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(name, *shape))


def dense_hessian(landscape: Landscape, x: Tensor) -> Tensor:
    return torch.stack([landscape.hvp(x, e) for e in torch.eye(len(x), dtype=x.dtype)])


def through(landscape: Landscape, names: tuple[str, str], middle: Tensor, *, points: int = 41) -> Path:
    ends = {point.name: point.x for point in landscape.minima}
    curve = Curve.through(torch.stack([ends[names[0]], middle, ends[names[1]]]))
    t = torch.linspace(0, 1, points, dtype=torch.float64)
    return diagnose(landscape, curve, t, method="polychain", saddle=True)


def mediocre(landscape: Landscape, names: tuple[str, str], saddle: Tensor, part: float = 0.05) -> Path:
    """A path that misses the pass by a part of the distance between the ends."""
    ends = {point.name: point.x for point in landscape.minima}
    aside = normal(landscape.dim)
    aside *= part * (ends[names[0]] - ends[names[1]]).norm() / aside.norm()
    return through(landscape, names, saddle + aside)


@pytest.mark.parametrize(("name", "options", "ends", "saddle", "direct"), PASSES)
def test_a_mediocre_path_leads_to_the_exact_pass(name, options, ends, saddle, direct):
    landscape = la.landscape.get(name, **options)
    exact = next(point for point in landscape.saddles if point.name == saddle)
    path = mediocre(landscape, ends, exact.x)
    found = path.saddle
    assert path.height > exact.value + 1e-6
    assert found is not None
    assert found.converged
    assert found.value == pytest.approx(exact.value, abs=1e-8)
    assert found.gradient_norm < 1e-9
    assert found.index == 1
    # The norm is the landscape's own, not the search's word for it.
    assert float(landscape.value_and_grad(found.x)[1].norm()) < 1e-9
    values = torch.linalg.eigvalsh(dense_hessian(landscape, found.x))
    torch.testing.assert_close(found.eigenvalues, values[: len(found.eigenvalues)], rtol=1e-6, atol=1e-6)
    assert found.connects is direct
    assert found.end_distances is not None
    if direct:
        assert max(found.end_distances) < 1e-6
        assert "reaches both ends" in found.message
    else:
        assert min(found.end_distances) < 1e-6 < 0.1 < max(found.end_distances)
        assert "stops at another minimum" in found.message
    assert path.evaluations["saddle_gradients"] == found.evaluations["gradients"]
    assert path.evaluations["hessian_products"] == found.evaluations["hessian_products"]


@pytest.mark.parametrize(("name", "budget"), [("paper-toy", 30), ("muller-brown", 30), ("muller-brown-50d", 120)])
def test_the_search_costs_few_gradients_and_products(name, budget):
    landscape = la.landscape.get(name)
    saddle = landscape.passes[0].saddle
    start = saddle.x + 0.1 * normal(landscape.dim) / math.sqrt(landscape.dim)
    direction = torch.linalg.eigh(dense_hessian(landscape, saddle.x))[1][:, 0]
    found = follow_minimum_mode(landscape, start, direction)
    assert found.value == pytest.approx(saddle.value, abs=1e-8)
    assert found.evaluations["gradients"] + found.evaluations["hessian_products"] <= budget


def test_what_is_counted_is_what_was_called():
    calls = {"gradients": 0, "hessian_products": 0}
    inner = la.landscape.get("muller-brown")

    class Counted(type(inner)):
        def value_and_grad(self, x):
            calls["gradients"] += x.shape[:-1].numel()
            return super().value_and_grad(x)

        def hvp(self, x, v):
            calls["hessian_products"] += v.shape[:-1].numel()
            return super().hvp(x, v)

    landscape = Counted()
    found = follow_minimum_mode(landscape, torch.tensor([-0.75, 0.55], dtype=torch.float64))
    assert found.evaluations == calls
    calls.update(gradients=0, hessian_products=0)
    assert steepest_descent(landscape, found.x + 0.01).evaluations == calls


def test_the_papers_ends_are_not_minima_but_lie_in_the_basins_that_the_pass_joins():
    toy = la.landscape.get("paper-toy")
    path = la.paths.find(toy, *toy.ends, saddle=True)  # straight over the bumps, height 1.10
    assert path.saddle is not None
    assert path.saddle.value == pytest.approx(0.624393347187, abs=1e-11)
    assert path.saddle.connects
    assert path.saddle.end_distances == pytest.approx((0.0077, 0.0029), abs=1e-4)


def test_a_walk_in_the_other_direction_finds_the_same_with_ends_exchanged():
    surface = la.landscape.get("muller-brown")
    saddle = next(point for point in surface.saddles if point.name == "A-C").x
    there, back = (through(surface, ends, saddle + 0.03).saddle for ends in (("A", "B"), ("B", "A")))
    assert there.value == pytest.approx(back.value, abs=1e-10)
    assert there.end_distances == pytest.approx(back.end_distances[::-1], abs=1e-8)
    assert "between it and the end" in there.message
    assert "between it and the start" in back.message


def test_the_origin_of_a_strongly_coupled_ring_is_the_pass_and_costs_one_gradient():
    ring = la.landscape.get("phi4-ring", sites=10, coupling=6.0)
    found = follow_minimum_mode(ring, torch.zeros(10, dtype=torch.float64), torch.ones(10, dtype=torch.float64))
    assert (found.value, found.index, found.converged) == (0.0, 1, True)
    assert found.evaluations["gradients"] == 1


def test_a_stationary_point_of_higher_index_is_left_and_said_so():
    ring = la.landscape.get("phi4-ring", sites=10, coupling=2.0)
    found = follow_minimum_mode(ring, torch.zeros(10, dtype=torch.float64), torch.ones(10, dtype=torch.float64))
    assert found.value == pytest.approx(-0.672653910066361579, abs=1e-12)
    assert found.index == 1
    assert "index 3 at 0" in found.message


@pytest.mark.parametrize("name", ["muller-brown", "muller-brown-50d"])
def test_a_start_in_a_convex_region_climbs_out_of_it(name):
    landscape = la.landscape.get(name)
    low, saddle = landscape.passes[-1].start.x, landscape.passes[-1].saddle.x
    near = low + 0.1 * (saddle - low)
    assert float(torch.linalg.eigvalsh(dense_hessian(landscape, near))[0]) > 0
    for start in (near, low):
        found = follow_minimum_mode(landscape, start, saddle - start)
        assert (found.index, found.converged) == (1, True)
        assert min(abs(found.value - each.value) for each in landscape.saddles) < 1e-8


@given(st.floats(-6, 6), st.floats(-3, 3), st.floats(-100, 100), st.integers(0, 1000), st.sampled_from([2, 5]))
@settings(max_examples=15, deadline=None)
def test_units_rotations_and_shifts_change_nothing(energy_unit, length_unit, shift, seed, dim):
    # E(q) = (q₀² - 1)² + 3/2 |q' - 0.3 q₀²|²: the pass is the origin, E = 1.
    energy, length = 10.0**energy_unit, 10.0**length_unit
    rotation = random_rotation(dim, seed)
    center = shift * length * torch.ones(dim, dtype=torch.float64)

    def f(x: Tensor) -> Tensor:
        q = rotation @ ((x - center) / length)
        return energy * ((q[0] ** 2 - 1) ** 2 + 1.5 * ((q[1:] - 0.3 * q[0] ** 2) ** 2).sum() + 7)

    landscape = la.landscape.from_function(f, dim, library="torch")
    start = center + length * 0.2 * normal(dim) / math.sqrt(dim)
    direction = rotation[0] * 5.0
    found = follow_minimum_mode(landscape, start, direction, radius=0.2 * length)
    assert found.converged
    assert found.index == 1
    assert found.value / energy == pytest.approx(8.0, abs=1e-12)
    assert float((found.x - center).norm()) < 1e-6 * length
    # Rounding of x by ε |x| is all that may decide otherwise.
    assert found.evaluations["gradients"] <= 15
    down = steepest_descent(landscape, found.x + 0.05 * length * rotation[0], scale=length)
    assert down.converged
    assert down.value / energy == pytest.approx(7.0, abs=1e-12)
    assert float(rotation[0] @ (down.x - center)) == pytest.approx(length, rel=1e-6)


def test_without_hessian_products_differences_of_gradients_take_their_place():
    surface = la.landscape.get("muller-brown")

    class Plain:
        dim, dtype, device, spec, samples = 2, torch.float64, torch.device("cpu"), None, None
        value, value_and_grad, on = surface.value, surface.value_and_grad, surface.on

        def to(self, **_):
            return self

    found = follow_minimum_mode(Plain(), torch.tensor([-0.75, 0.55], dtype=torch.float64))
    assert found.value == pytest.approx(-40.664843508657, abs=1e-8)
    assert (found.index, found.evaluations["hessian_products"]) == (1, 0)
    assert steepest_descent(Plain(), found.x + 0.02).converged


def test_float32_landscapes_are_searched_in_float64():
    surface = la.landscape.get("muller-brown", dtype=torch.float32)
    found = follow_minimum_mode(surface, torch.tensor([-0.75, 0.55]))
    assert found.x.dtype == torch.float64
    assert found.value == pytest.approx(-40.664843508657, abs=1e-8)


def test_many_coordinates_never_make_the_hessian():
    ring = la.landscape.get("phi4-ring", sites=200, coupling=2.0)
    site = torch.arange(200, dtype=torch.float64)
    walls = torch.tanh(site - 66.6) * torch.tanh(133.3 - site)
    found = follow_minimum_mode(ring, walls, radius=0.5)
    assert found.converged
    assert found.evaluations["hessian_products"] < 400
    values = torch.linalg.eigvalsh(dense_hessian(ring, found.x))
    assert found.index == int((values < -1e-6 * values.abs().max()).sum())
    assert float(found.eigenvalues[0]) == pytest.approx(float(values[0]), abs=1e-3)


@pytest.mark.parametrize("negative", [0, 1, 3])
def test_repeated_negative_eigenvalues_are_all_counted(negative):
    values = [-1.0] * negative + [0.5 + 0.01 * k for k in range(150 - negative)]
    bowl = la.landscape.get("quadratic", dim=150, eigenvalues=values)
    x = torch.zeros(150, dtype=torch.float64)
    found = lowest_spectrum(Probe(bowl), x, 0.0, x, normal(1, 150))
    assert found.index == negative


def test_a_mode_that_leads_uphill_and_away_is_not_called_a_pass():
    # The softest mode of the toy's left minimum climbs to the plateau outside, where there is nothing to find.
    toy = la.landscape.get("paper-toy")
    low = toy.passes[0].start.x
    found = follow_minimum_mode(toy, low, toy.passes[0].saddle.x - low)
    assert not found.converged
    assert found.index is None
    assert found.value > low.new_tensor(0.2)
    assert "not converged" in found.message


def test_a_plateau_is_not_a_pass():
    bump = la.landscape.from_function(lambda x: torch.exp(-(x**2).sum()), dim=2)
    found = follow_minimum_mode(bump, torch.tensor([1.5, 0.2], dtype=torch.float64), iterations=100)
    assert found.index != 1 or not found.converged


def test_a_loss_that_is_not_finite_on_the_way_shortens_the_steps():
    surface = la.landscape.get("muller-brown")
    wall = torch.tensor([-0.9, 0.5], dtype=torch.float64)

    class Broken(type(surface)):
        def value_and_grad(self, x):
            values, grads = super().value_and_grad(x)
            lost = (x - wall).norm(dim=-1) < 0.1
            return values.where(~lost, torch.nan), grads

    found = follow_minimum_mode(Broken(), torch.tensor([-0.7, 0.6], dtype=torch.float64), radius=1.0)
    assert found.value == pytest.approx(-40.664843508657, abs=1e-8)
    with pytest.raises(InputError, match="finite"):
        follow_minimum_mode(Broken(), wall)
    with pytest.raises(InputError, match="finite"):
        steepest_descent(Broken(), wall)


def test_a_gradient_that_is_not_finite_at_the_top_leaves_the_path_whole():
    tent = la.landscape.from_function(lambda x: 1 - x.abs().sqrt().sum(), dim=1)
    path = la.paths.find(tent, *torch.tensor([[-1.0], [1.0]], dtype=torch.float64), saddle=True)
    assert path.height == pytest.approx(1.0, abs=1e-3)
    assert path.saddle is not None
    assert not path.saddle.converged
    assert path.saddle.connects is None


def test_limits_are_reported_and_bad_options_refused():
    surface = la.landscape.get("muller-brown")
    x = torch.tensor([-0.7, 0.5], dtype=torch.float64)
    stopped = follow_minimum_mode(surface, x, iterations=0)
    assert (stopped.converged, stopped.index) == (False, None)
    assert torch.equal(stopped.x, x)
    assert not steepest_descent(surface, x, iterations=2).converged
    for options in ({"radius": 0.0}, {"tolerance": -1.0}, {"iterations": -1}, {"radius": math.nan}):
        with pytest.raises(InputError, match="expected"):
            follow_minimum_mode(surface, x, **options)
    for options in ({"scale": 0.0}, {"tolerance": 0.0}, {"iterations": 1.5}, {"accuracy": 1.0}):
        with pytest.raises(InputError, match="expected"):
            steepest_descent(surface, x, **options)
    with pytest.raises(InputError, match="one point"):
        follow_minimum_mode(surface, x[None])


@pytest.mark.parametrize(("name", "time"), [("muller-brown", 3.0), ("paper-toy", 300.0)])
def test_descent_ends_where_an_independent_integrator_ends(name, time):
    landscape = la.landscape.get(name)
    for start in normal(12, 2, name=name) * 0.4 + torch.tensor([-0.2, 0.4], dtype=torch.float64):
        found = steepest_descent(landscape, start)
        flow = solve_ivp(
            lambda _, y: -landscape.value_and_grad(torch.from_numpy(y))[1].numpy(),
            (0, time), start.numpy(), method="LSODA", rtol=1e-8, atol=1e-10,
        )  # fmt: skip
        np.testing.assert_allclose(found.x.numpy(), flow.y[:, -1], atol=1e-4)
        assert found.converged
        assert bool((found.values.diff() < 1e-12).all())
        assert torch.equal(found.points[0], start)


def test_descent_from_a_minimum_stays_and_from_a_ridge_says_so():
    surface = la.landscape.get("muller-brown")
    low = surface.minima[0]
    stay = steepest_descent(surface, low.x)
    assert stay.converged
    assert stay.evaluations["gradients"] <= 3
    assert float((stay.x - low.x).norm()) < 1e-9
    saddle = la.landscape.get("quadratic", dim=2, eigenvalues=[-1.0, 2.0])
    stuck = steepest_descent(saddle, torch.tensor([0.0, 0.0], dtype=torch.float64))
    assert stuck.value == 0.0


def test_the_image_step_against_dense_linear_algebra():
    values = torch.tensor([-1.0, 0.5, 4.0], dtype=torch.float64).numpy()
    slopes = np.array([0.3, -0.2, 1.0])
    np.testing.assert_allclose(image_step(values, slopes, 0, radius=10.0), -slopes / values)
    short = image_step(values, slopes, 0, radius=0.1)
    assert np.linalg.norm(short) == pytest.approx(0.1)
    assert short[0] * slopes[0] > 0  # uphill along the mode
    assert short[1] * slopes[1] < 0
    assert short[2] * slopes[2] < 0
    # No slope along an upward mode: all of the radius goes there, to the side that was asked for.
    hard = image_step(np.array([1.0, 2.0]), np.array([0.0, 0.1]), 0, radius=0.5, uphill=-1.0)
    assert np.linalg.norm(hard) == pytest.approx(0.5)
    assert hard[0] < -0.49


@given(
    curvatures=st.lists(st.floats(-1, 1).filter(lambda c: abs(c) > 0.01), min_size=2, max_size=2),
    slopes=st.lists(st.floats(0.01, 2), min_size=2, max_size=2),
    size=st.floats(-20, -10),
    radius=st.floats(1e-3, 1),
)
def test_steps_where_the_loss_is_all_but_straight(curvatures, slopes, size, radius):
    # As at a kink: curvatures are rounding, and the Newton step is longer than any radius.
    step = image_step(np.array(curvatures) * 10**size, np.array(slopes), 0, radius=radius)
    assert np.linalg.norm(step) == pytest.approx(radius, rel=1e-9)


def test_the_image_step_of_a_straight_loss():
    step = image_step(np.array([3.6e-15, 2.6e-15]), np.array([-1.2654214710460525, -0.62327446]), 0, radius=1e-3)
    assert np.linalg.norm(step) == pytest.approx(1e-3)
    assert np.linalg.norm(image_step(np.array([1e-17, -1e-17]), np.array([0.7, 0.3]), 0, radius=0.3)) == pytest.approx(
        0.3
    )


def test_rigid_motions_belong_to_no_index_and_part_no_minima():
    # Three masses on springs in the plane, one spring bistable: rotation and translations cost nothing.
    def f(x: Tensor) -> Tensor:
        a, b, c = x.reshape(3, 2)
        stretch = (a - c).norm() - 1.5
        return ((a - b).norm() - 1) ** 2 + ((b - c).norm() - 1) ** 2 + 30 * (stretch**2 - 0.1) ** 2

    inner = la.landscape.from_function(f, 6)

    class Springs(type(inner)):
        def null_space(self, x):
            arms = x.reshape(3, 2) - x.reshape(3, 2).mean(0)
            turned = torch.stack([-arms[:, 1], arms[:, 0]], 1)
            moves = [torch.tensor([1.0, 0.0] * 3), torch.tensor([0.0, 1.0] * 3), turned.flatten()]
            return torch.stack([move.to(x) / move.norm() for move in moves])  # orthogonal about the mean

    springs = Springs(f, 6)
    start = torch.tensor([0.0, 0.0, 0.6, 0.75, 1.2, 0.0], dtype=torch.float64)
    low = steepest_descent(springs, start)
    high = steepest_descent(springs, torch.tensor([0.0, 0.0, 0.95, 0.3, 1.8, 0.0], dtype=torch.float64))
    assert low.converged
    assert high.converged
    turn = torch.linalg.matrix_exp(torch.tensor([[0.0, -0.5], [0.5, 0.0]], dtype=torch.float64))
    moved = (high.x.reshape(3, 2) @ turn.T + 0.3).flatten()
    torch.testing.assert_close(slide(Probe(springs), moved, high.x, 1.0), high.x, rtol=0, atol=2e-5)
    path = la.paths.find(springs, low.x, moved, saddle=True)
    found = path.saddle
    assert found is not None
    assert found.index == 1
    assert found.value == pytest.approx(0.3, abs=1e-9)  # the bistable spring at its middle: 30 × 0.1²
    assert len(found.eigenvalues) == 3
    assert float(found.eigenvalues[1]) > 0.1
    assert found.connects
    assert max(found.end_distances) < 1e-4


def test_networks_are_searched_without_their_hessian():
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)).double()
    data = normal(40, 8), torch.arange(40) % 3
    landscape = la.landscape.NetworkLandscape(model, torch.nn.functional.cross_entropy, data)
    a, b = 0.3 * normal(2, landscape.dim)
    before = [parameter.clone() for parameter in model.parameters()]
    found = follow_minimum_mode(landscape, a, b - a, radius=1.0, iterations=3)
    assert found.evaluations["hessian_products"] <= 3 * 42
    assert (found.converged, found.index) == (False, None)
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_descent_on_a_network_of_many_parameters():
    problem = la.problems.get("fcp", train_size=20, test_size=10)
    down = steepest_descent(problem.train, problem.initial_weights(0, [0])[0], iterations=2, scale=1.0)
    assert down.x.dtype == torch.float64
    assert bool((down.values.diff() < 0).all())
    assert down.points is not None
    assert len(down.points) == len(down.values)
