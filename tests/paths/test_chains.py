"""Chains of images against exact passes, closed forms and other units."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import lossatlas as la
from lossatlas.core.errors import InputError
from lossatlas.core.path import Path
from lossatlas.landscape.analytic import Energy
from lossatlas.paths import AutoNEBPathFinder, AutoPathFinder, NEBPathFinder, StringPathFinder, find, finders
from lossatlas.paths.chains.chain import Places, evaluate
from lossatlas.paths.chains.forces import Nudged
from lossatlas.paths.chains.spacing import spline_resample, spline_tangents, spread
from lossatlas.paths.chains.tangents import improved_tangents

_METHODS = ("neb", "string", "autoneb", "auto")


def oracles() -> Iterator[tuple[str, Energy, Tensor, Tensor, float]]:
    for name in ("paper-toy", "muller-brown", "paper-toy-50d", "muller-brown-50d"):
        landscape = la.landscape.get(name)
        for known in landscape.passes:
            title = f"{name} {known.start.name}-{known.end.name}"
            yield title, landscape, known.start.x, known.end.x, known.value
    for sites, coupling in ((10, 6.0), (10, 2.0), (2, 0.1)):
        ring = la.landscape.get("phi4-ring", sites=sites, coupling=coupling)
        assert ring.ends is not None
        yield f"ring {sites} {coupling}", ring, *ring.ends, ring.passes[0].value


def find_with_guess(method: str, landscape: Energy, start: Tensor, end: Tensor, guess: Tensor) -> Path:
    return finders[method](saddle=False).find(landscape, start, end, initial=guess)


_ORACLES = {title: rest for title, *rest in oracles()}


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("title", list(_ORACLES))
def test_defaults_reach_the_exact_pass(title: str, method: str) -> None:
    landscape, start, end, known = _ORACLES[title]
    path = find(landscape, start, end, method=method, saddle=False)
    lower = float(path.loss[[0, -1]].min())
    assert path.refined
    assert path.converged
    assert -1e-9 <= path.height - known <= 1e-3 * (known - lower)
    # Published: about 880 for ASE's climbing band in two dimensions, 5 100 the budget of the published method.
    assert path.evaluations["gradients"] <= 600


@pytest.mark.parametrize("method", _METHODS)
def test_the_pass_is_found_from_the_papers_ends_too(method: str) -> None:
    toy = la.landscape.get("paper-toy")
    assert toy.ends is not None
    path = find(toy, *toy.ends, method=method, saddle=False)
    assert path.height == pytest.approx(0.624393347187, abs=1e-4)
    assert path.height >= 0.624393347187 - 1e-12


@pytest.mark.parametrize("method", ["neb", "string", "autoneb"])
def test_units_of_loss_and_length_and_a_rotation_change_nothing(method: str) -> None:
    inner = la.landscape.get("muller-brown")
    known = inner.passes[0]
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    shift, length, loss, offset = torch.tensor([3.0, -2.0], dtype=torch.float64), 1e3, 1e-4, 7.0

    def there(x: Tensor) -> Tensor:
        return length * (x @ turn.T + shift)

    def moved(rows: Tensor) -> Tensor:
        # Written out, so that autograd sees it: the landscape itself refuses graphs.
        return loss * inner._energy((rows / length - shift) @ turn) + offset

    outer = la.landscape.from_function(moved, dim=2, batched=True, library="torch")
    plain = find(inner, known.start.x, known.end.x, method=method, saddle=False)
    other = find(outer, there(known.start.x), there(known.end.x), method=method, saddle=False)
    assert other.status == plain.status == "converged"
    assert abs(other.evaluations["gradients"] - plain.evaluations["gradients"]) <= 2 * len(plain.t)
    assert (other.height - offset) / loss == pytest.approx(plain.height, rel=1e-4)


def test_a_ridge_is_left_and_the_cost_is_small_where_there_is_none() -> None:
    ring = la.landscape.get("phi4-ring", sites=10, coupling=2.0)
    assert ring.ends is not None
    kept = NEBPathFinder(escapes=0, saddle=False).find(ring, *ring.ends)
    assert kept.height == pytest.approx(0, abs=1e-9)  # the straight line, over the top of everything
    assert kept.converged
    left = NEBPathFinder(saddle=False).find(ring, *ring.ends)
    assert left.height == pytest.approx(-0.6726539101, abs=2e-3)
    stiff = la.landscape.get("phi4-ring", sites=10, coupling=6.0)
    path = NEBPathFinder(saddle=False).find(stiff, *ring.ends)
    assert path.height == pytest.approx(0, abs=1e-9)
    assert path.evaluations["gradients"] <= 7 + 9  # one look at the chain, and at most d - 1 directions


def test_perturbed_starts_leave_a_ridge_too() -> None:
    ring = la.landscape.get("phi4-ring", sites=2, coupling=0.1)
    assert ring.ends is not None
    path = NEBPathFinder(escapes=0, starts=3, saddle=False).find(ring, *ring.ends)
    assert path.height == pytest.approx(ring.passes[0].value, abs=1e-3)
    assert path.message.startswith("the lowest of 3 starts")
    again = NEBPathFinder(escapes=0, starts=3, saddle=False).find(ring, *ring.ends)
    assert torch.equal(path.loss, again.loss)


def test_tangents_by_hand() -> None:
    x = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]])
    # A maximum, E = 1, 3, 2: the higher neighbour is ahead, weights max(2, 1) ahead and min(2, 1) back.
    tangent = improved_tangents(x, torch.tensor([[1.0, 3.0, 2.0]]))[0, 0]
    by_hand = torch.tensor([1.0, 4.0])
    torch.testing.assert_close(tangent, by_hand / by_hand.norm())
    # A minimum, E = 3, 1, 2: the higher neighbour is back.
    tangent = improved_tangents(x, torch.tensor([[3.0, 1.0, 2.0]]))[0, 0]
    by_hand = torch.tensor([2.0, 2.0])
    torch.testing.assert_close(tangent, by_hand / by_hand.norm())
    # Flat: between the neighbours; one point: nothing, and no NaN.
    flat = improved_tangents(x, torch.zeros(1, 3))[0, 0]
    torch.testing.assert_close(flat, torch.tensor([1.0, 2.0]) / math.sqrt(5))
    assert torch.equal(improved_tangents(torch.zeros(1, 3, 2), torch.zeros(1, 3)), torch.zeros(1, 1, 2))
    tiny = improved_tangents(1e-30 * x, torch.tensor([[0.0, 1e-30, 0.0]]))
    assert bool(tiny.isfinite().all())


def test_the_nudged_force_by_hand() -> None:
    slope = torch.tensor([3.0, 5.0], dtype=torch.float64)
    plane = la.landscape.from_function(lambda x: slope @ x, dim=2)
    x = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [4.0, 0.0]]], dtype=torch.float64)
    ends = plane.value(x[:, [0, -1]])
    batch = evaluate(plane, Places(x, ends, torch.ones(1, 2, dtype=torch.float64)), torch.tensor([2.0]))
    still, climbing = torch.tensor([False]), torch.tensor([True])
    force = Nudged(0.5).force(batch, still)
    # Across: -5 in y. Along: k (3 - 1) with k = 0.5 · 2. The tangent is the x axis.
    torch.testing.assert_close(force.motion[0, 0], torch.tensor([2.0, -5.0], dtype=torch.float64))
    torch.testing.assert_close(force.residual, torch.tensor([[5.0]], dtype=torch.float64))
    # The highest image is an end, so nothing climbs even where it may.
    torch.testing.assert_close(Nudged(0.5).force(batch, climbing).motion, force.motion)
    hill = la.landscape.from_function(lambda x: 3 * x[0] + 5 * x[1] - (x[0] - 1).abs() * 100, dim=2)
    ends = hill.value(x[:, [0, -1]])
    batch = evaluate(hill, Places(x, ends, torch.ones(1, 2, dtype=torch.float64)), torch.tensor([2.0]))
    climbs = Nudged(0.5).force(batch, climbing).motion[0, 0]
    torch.testing.assert_close(climbs, torch.tensor([3.0, -5.0], dtype=torch.float64))


def test_splines_are_those_of_scipy() -> None:
    from scipy.interpolate import CubicSpline

    images = torch.randn(2, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shares = torch.rand(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.2
    moved = spline_resample(images, shares, torch.tensor([0, 4]))
    tangents = spline_tangents(images)
    for i, fixed in enumerate((0, 4)):
        arc = torch.cat([torch.zeros(1, dtype=torch.float64), images[i].diff(dim=0).norm(dim=1).cumsum(0)])
        goal = torch.cat([torch.zeros(1, dtype=torch.float64), shares[i].cumsum(0)])
        at = goal / goal[-1] * arc[-1]
        if fixed:
            before = goal[: fixed + 1] / goal[fixed] * arc[fixed]
            after = arc[fixed] + (goal[fixed:] - goal[fixed]) / (goal[-1] - goal[fixed]) * (arc[-1] - arc[fixed])
            at = torch.cat([before[:-1], after])
            assert torch.equal(moved[i, fixed], images[i, fixed])
        spline = CubicSpline(arc.numpy(), images[i].numpy(), bc_type="natural")
        torch.testing.assert_close(moved[i], torch.from_numpy(spline(at.numpy())), atol=1e-12, rtol=1e-12)
        slopes = torch.from_numpy(spline(arc.numpy(), 1))[1:-1]
        torch.testing.assert_close(tangents[i], slopes / slopes.norm(dim=1, keepdim=True), atol=1e-12, rtol=1e-12)
    even = spread(images, torch.ones(2, 6, dtype=torch.float64))
    assert torch.equal(even[:, [0, -1]], images[:, [0, -1]])
    assert bool(spread(torch.zeros(1, 4, 2), torch.ones(1, 3)).isfinite().all())


def test_images_are_added_where_segments_are_poor() -> None:
    # Between its two ends the valley turns sharply: few images cut the corner.
    bent = la.landscape.from_function(
        lambda x: torch.sin(2 * x[0]) ** 2 + 10 * (x[1] - torch.tanh(4 * x[0])) ** 2, dim=2
    )
    start, end = torch.tensor([[-1.5707963267948966, -1.0], [1.5707963267948966, 1.0]], dtype=torch.float64)
    few = NEBPathFinder(points=5, saddle=False).find(bent, start, end)
    more = AutoNEBPathFinder(points=5, saddle=False).find(bent, start, end)
    assert len(more.t) > len(few.t)
    assert more.height < few.height - 0.05
    assert len(AutoNEBPathFinder(points=5, most_points=6, saddle=False).find(bent, start, end).t) <= 6
    alone = AutoNEBPathFinder(points=5, cycles=0, saddle=False).find(bent, start, end)
    assert len(alone.t) == 5


def test_mini_batches_lower_a_networks_path_and_count_in_full_batches() -> None:
    problem = la.problems.get("fcp", train_size=20, test_size=10)
    a, b = problem.initial_weights(0, [0, 1])
    straight = find(problem.train, a, b, method="linear", points=4, tolerance=0)
    finder = AutoNEBPathFinder(points=4, batch_size=5, iterations=16, cycles=0, tolerance=0)
    path = finder.find(problem.train, a, b)
    assert float(path.loss[1:-1].max()) < float(straight.loss[1:-1].min()) - 0.1
    assert path.evaluations["gradients"] == pytest.approx(2 * (16 * 5 / 20 + 1))
    assert path.history is not None
    assert len(path.history["height"]) == 17
    again = finder.find(problem.train, a, b)
    assert torch.equal(path.loss, again.loss)


def test_mini_batches_need_samples() -> None:
    toy = la.landscape.get("paper-toy")
    assert toy.ends is not None
    with pytest.raises(InputError, match="samples for mini-batches"):
        AutoNEBPathFinder(batch_size=8).find(toy, *toy.ends)


def test_auto_says_what_it_picked() -> None:
    problem = la.problems.get("fcp", train_size=10, test_size=10)
    assert AutoPathFinder().pick(problem.train)[1] == "a loss over data"
    toy = la.landscape.get("paper-toy")
    assert AutoPathFinder().pick(toy) == ("autoneb", "an energy")
    assert toy.ends is not None
    path = find(toy, *toy.ends, points=21, saddle=False)
    assert (path.method, len(path.t)) == ("autoneb", 21)
    assert path.message.startswith("autoneb, picked for an energy: ")


def test_the_string_without_projection_is_as_low() -> None:
    landscape, start, end, known = _ORACLES["muller-brown C-B"]
    path = StringPathFinder(project=False, iterations=60, saddle=False).find(landscape, start, end)
    assert 0 <= path.height - known < 1e-3 * (known - float(path.loss.min()))


@pytest.mark.parametrize(
    ("option", "value", "match"),
    [
        ("iterations", -1, "iterations"),
        ("starts", 0, "starts"),
        ("escapes", -1, "escapes"),
        ("force_tolerance", 0.0, "force_tolerance"),
        ("step_error", float("nan"), "step_error"),
        ("newton", 1, "newton"),
        ("climb_from", True, "climb_from"),
        ("amplitude", "big", "amplitude"),
        ("spring", -1.0, "spring"),
        ("most_points", 1, "most_points"),
        ("batch_size", 0, "batch_size"),
        ("deviation", -0.1, "deviation"),
    ],
)
def test_refusals(option: str, value: object, match: str) -> None:
    with pytest.raises(InputError, match=match):
        AutoNEBPathFinder(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["neb", "string", "autoneb"])
def test_paths_without_a_pass_converge(method: str) -> None:
    quadratic = la.landscape.get("quadratic")
    assert quadratic.ends is not None
    path = find(quadratic, *quadratic.ends, method=method, saddle=False)
    assert path.converged
    assert path.height == pytest.approx(float(quadratic.value(quadratic.ends[0])), rel=1e-9)
    flat = la.landscape.from_function(lambda x: (0 * x).sum() + 2.0, dim=3)
    path = find(flat, *torch.eye(3, dtype=torch.float64)[:2], method=method, saddle=False)
    assert path.converged
    assert path.height == 2
    assert path.evaluations["gradients"] <= 9


@pytest.mark.parametrize("method", ["neb", "string", "autoneb"])
@pytest.mark.parametrize("copies", [(3, 2), (5, 4)])
def test_a_guess_with_images_in_one_place_opens(method: str, copies: tuple[int, int]) -> None:
    landscape, start, end, known = _ORACLES["muller-brown A-B"]
    guess = torch.cat([start.expand(copies[0], -1), end.expand(copies[1], -1)])
    path = find_with_guess(method, landscape, start, end, guess)
    assert path.converged
    assert path.height == pytest.approx(known, abs=0.1)


@pytest.mark.parametrize("method", ["neb", "string"])
def test_many_images_and_tight_tolerances(method: str) -> None:
    landscape, start, end, known = _ORACLES["muller-brown A-B"]
    many = find(landscape, start, end, method=method, points=31, saddle=False)
    assert many.converged
    assert many.height == pytest.approx(known, abs=0.01)
    tight = find(landscape, start, end, method=method, force_tolerance=1e-9, saddle=False)
    assert tight.converged
    assert tight.sampled_height == pytest.approx(known, abs=1e-9)
    # In float32 such a tolerance cannot be met, and that is said.
    single = landscape.to(dtype=torch.float32)
    path = find(single, start.float(), end.float(), method=method, force_tolerance=1e-9, saddle=False)
    assert path.status == "iteration limit"
    assert "rounding" in path.message
    assert path.sampled_height == pytest.approx(known, abs=1e-3)
