"""Straight lines against published and closed-form heights."""

from __future__ import annotations

import pytest
import torch

import lossatlas as la
from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.core.path import Path
from lossatlas.landscape.contract import Landscape
from lossatlas.paths import LinearPathFinder, find


def line(landscape: Landscape, start: torch.Tensor, end: torch.Tensor, points: int) -> Path:
    return find(landscape, start, end, method="linear", points=points)


def test_the_papers_straight_line() -> None:
    toy = la.landscape.get("paper-toy")
    path = line(toy, *toy.ends, 2001)
    # Reference value 1.102346 at full resolution; the paper prints 1.102.
    assert path.height == pytest.approx(1.102346, abs=1e-6)
    assert line(toy, *toy.ends, 101).height == pytest.approx(1.102, abs=5e-4)
    assert path.distance == pytest.approx(float((toy.ends[1] - toy.ends[0]).norm()))


def test_muller_brown_between_its_two_lowest_minima() -> None:
    landscape = la.landscape.get("muller-brown")
    minima = {m.name: m.x for m in landscape.minima}
    assert line(landscape, minima["A"], minima["B"], 4001).height == pytest.approx(12.676228, abs=1e-4)


def test_barriers_of_a_double_well_in_closed_form() -> None:
    tilted = la.landscape.from_function(lambda x: (x[0] ** 2 - 1) ** 2 + 0.25 * x[0], dim=1)
    ends = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    path = line(tilted, *ends, 201)
    assert path.t[0] == 0
    assert path.t[-1] == 1
    top = 1.0 + 0.25**2 / 8  # (x² - 1)² + x/4 is 1 - 2x² + x/4 near its maximum at x = 1/16
    assert path.height == pytest.approx(top, abs=1e-4)
    assert path.barrier == pytest.approx(path.height - 0.25)
    assert path.forward_barrier == pytest.approx(path.height + 0.25)
    assert path.reverse_barrier == pytest.approx(path.height - 0.25)
    # The tilt is linear, so above the chord only the symmetric well remains, whose height is exactly 1.
    assert path.linear_interpolation_barrier == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
@pytest.mark.parametrize(("which", "name"), [(0, "start"), (1, "end")])
def test_coordinates_that_are_not_finite_are_told_of_the_right_end(wrong: float, which: int, name: str) -> None:
    toy = la.landscape.get("paper-toy")
    ends = [end.clone() for end in toy.ends]
    ends[which][1] = wrong
    for method in ("linear", "neb"):
        with pytest.raises(InputError, match=f"expected finite coordinates at both ends, got .* at the {name}"):
            find(toy, *ends, method=method)


def test_ends_are_exact_and_direction_only_mirrors() -> None:
    landscape = la.landscape.get("paper-toy-50d")
    start, end = landscape.ends
    there, back = line(landscape, start, end, 11), line(landscape, end, start, 11)
    # Rows evaluated together may round differently from one alone; the points themselves are exact.
    assert there.points is not None
    assert torch.equal(there.points[0], start)
    assert torch.equal(there.points[-1], end)
    assert float(there.loss[0]) == pytest.approx(float(landscape.value(start)), rel=1e-12)
    assert float(there.loss[-1]) == pytest.approx(float(landscape.value(end)), rel=1e-12)
    torch.testing.assert_close(back.reversed().loss, there.loss, rtol=1e-12, atol=1e-12)
    assert there.evaluations["values"] == 11
    assert there.evaluations["gradients"] == 0


def test_a_networks_path_is_float64_and_carries_its_metrics() -> None:
    problem = la.problems.get("fcp", train_size=50, test_size=20)
    a, b = problem.initial_weights(0, [0, 1])
    path = line(problem.train, a, b, 5)
    assert path.loss.dtype == torch.float64
    assert path.metrics is not None
    assert set(path.metrics) == {"accuracy"}
    exact = problem.train.to(dtype=torch.float64)
    middle = 0.5 * a.double() + 0.5 * b.double()
    assert float(path.loss[2]) == pytest.approx(float(exact.value(middle)), rel=1e-12)


def test_refusals() -> None:
    toy = la.landscape.get("paper-toy")
    start, end = toy.ends
    with pytest.raises(InputError, match="at least 2 points"):
        LinearPathFinder(points=1)
    with pytest.raises(InputError, match="ends of shape"):
        find(toy, start[None], end)
    with pytest.raises(InputError, match="expected rows of 2 coordinates"):
        find(toy, start[:1], end)
    with pytest.raises(ConfigurationError, match="did you mean 'linear'"):
        find(toy, start, end, method="liner")
    with pytest.raises(ConfigurationError, match="did you mean 'points'"):
        find(toy, start, end, pionts=3)


def test_a_first_guess_is_refused_and_not_left_out_silently() -> None:
    toy = la.landscape.get("paper-toy")
    guess = torch.stack([toy.ends[0], (toy.ends[0] + toy.ends[1]) / 2 + 0.1, toy.ends[1]])
    with pytest.raises(InputError, match="no first guess for the straight line, got one: leave out initial"):
        find(toy, *toy.ends, method="linear", initial=guess)
