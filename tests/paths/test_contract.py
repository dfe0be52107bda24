"""What every path finder keeps; a finder joins by being registered."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from path_finders import Counting, accepts, limit_of, small
from torch import Tensor

import lossatlas as la
from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.paths import finders
from lossatlas.study.checks import make_finder

EVERY = pytest.mark.parametrize("name", list(finders))


def muller_brown() -> tuple[la.landscape.Energy, Tensor, Tensor]:
    landscape = la.landscape.get("muller-brown")
    minima = {m.name: m.x for m in landscape.minima}
    return landscape, minima["A"], minima["C"]


@EVERY
def test_ends_are_exact_and_nothing_is_touched(name: str) -> None:
    landscape, start, end = muller_brown()
    copies = start.clone(), end.clone()
    before = torch.random.get_rng_state()
    path = small(name, points=9).find(landscape, start, end)
    assert torch.equal(start, copies[0])
    assert torch.equal(end, copies[1])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert path.curve is not None
    assert torch.equal(path.curve.start, start)
    assert torch.equal(path.curve.end, end)
    assert torch.equal(path.curve.at(torch.tensor([0.0, 1.0])), torch.stack([start, end]))
    assert path.t[0] == 0
    assert path.t[-1] == 1
    assert path.t.diff().min() > 0
    assert float(path.loss[0]) == pytest.approx(float(landscape.value(start)), rel=1e-12)
    assert float(path.loss[-1]) == pytest.approx(float(landscape.value(end)), rel=1e-12)
    assert path.loss.dtype == torch.float64
    assert path.refined
    assert path.height >= path.sampled_height
    assert path.message


@EVERY
def test_identical_ends(name: str) -> None:
    landscape, start, end = muller_brown()
    path = small(name).find(landscape, start, start.clone())
    assert path.height == pytest.approx(float(landscape.value(start)), rel=1e-12)
    assert path.length == path.distance == 0
    assert path.stretch == 1
    assert path.converged
    assert path.evaluations["gradients"] == 0
    assert path.method == (name if name != "curve" else "fourier")
    # Beside other pairs too.
    both = small(name).find_many(landscape, torch.stack([start, start]), torch.stack([start, end]))
    assert [p.length > 0 for p in both] == [False, True]


@EVERY
def test_the_way_back_is_as_high(name: str) -> None:
    landscape, start, end = muller_brown()
    there = small(name, 200).find(landscape, start, end)
    back = small(name, 200).find(landscape, end, start)
    scale = there.height - float(there.loss.min())
    # A search that draws random numbers draws others for each direction; one that converged has one answer.
    assert back.height == pytest.approx(there.height, abs=(5e-3 if there.converged and back.converged else 0.2) * scale)
    assert back.forward_barrier == pytest.approx(there.reverse_barrier, abs=0.2 * scale)


@EVERY
def test_pairs_do_not_see_each_other(name: str) -> None:
    landscape = la.landscape.get("paper-toy-50d")
    start, end = landscape.ends or (torch.empty(0), torch.empty(0))
    points = torch.stack([start, end, (start + end) / 2 + 0.05, start - 0.03])
    first, second = torch.tensor([0, 0, 2, 3]), torch.tensor([1, 2, 1, 1])
    finder = small(name, 12)
    many = finder.find_many(landscape, points[first], points[second], numbers=[5, 6, 7, 8])
    for i, together in enumerate(many):
        a, b = points[first[i]][None], points[second[i]][None]
        (alone,) = finder.find_many(landscape, a, b, numbers=[5 + i])
        assert together.height == pytest.approx(alone.height, rel=1e-7, abs=1e-9)
        assert together.evaluations["gradients"] == alone.evaluations["gradients"]
        assert together.status == alone.status


@EVERY
def test_the_same_seed_is_the_same_path(name: str) -> None:
    landscape, start, end = muller_brown()
    first, second = (small(name, seed=3).find(landscape, start, end) for _ in range(2))
    assert torch.equal(first.loss, second.loss)
    assert first.refined_height == second.refined_height


@EVERY
def test_nan_on_the_way_is_told(name: str) -> None:
    inner, start, end = muller_brown()
    landscape = Counting(inner, centre=(start + end) / 2, hole=0.1)
    path = small(name).find(landscape, start, end)
    assert path.curve is not None
    assert bool(path.curve.coefficients.isfinite().all())
    if path.status == "not finite":
        assert "finite" in path.message or "NaN" in path.message
        # The search met the hole; the path that it ended with need not.
        assert not path.refined or bool(path.loss.isfinite().all())
    else:
        # Round the hole: every loss is finite.
        assert bool(path.loss.isfinite().all())


@EVERY
def test_nan_everywhere_but_at_the_ends(name: str) -> None:
    inner, start, end = muller_brown()
    landscape = Counting(inner, centre=(start + end) / 2, hole=0.499 * float((end - start).norm()))
    path = small(name).find(landscape, start, end)
    assert path.status == "not finite"
    assert not path.converged
    assert path.refined_height is None


@EVERY
def test_no_iterations_return_the_first_path(name: str) -> None:
    limit = limit_of(name)
    landscape, start, end = muller_brown()
    if limit is None:
        assert name in {"linear", "auto"}, "a finder limits its work by iterations or steps"
        return
    path = small(name, 0).find(landscape, start, end)
    straight = small("linear").find(landscape, start, end)
    assert path.status == "iteration limit"
    assert path.height == pytest.approx(straight.height, rel=1e-9)
    assert path.evaluations["gradients"] == 0


@EVERY
@pytest.mark.parametrize("points", [2, 3])
def test_very_few_points(name: str, points: int) -> None:
    landscape, start, end = muller_brown()
    path = small(name, points=points).find(landscape, start, end)
    assert path.height >= landscape.passes[1].value - 1e-9
    assert path.status != "not finite"


@EVERY
def test_float32_landscapes(name: str) -> None:
    double, start, end = muller_brown()
    landscape = double.to(dtype=torch.float32)
    path = small(name).find(landscape, start.float(), end.float())
    exact = small(name).find(double, start, end)
    assert path.loss.dtype == torch.float64
    assert path.status != "not finite"
    assert path.height >= double.passes[1].value - 1e-4
    straight = small("linear").find(double, start, end)
    assert path.height == pytest.approx(exact.height, abs=0.3 * (straight.height - double.passes[1].value) + 1e-3)


@EVERY
def test_a_first_guess_is_taken(name: str) -> None:
    if name == "linear":
        return
    # Two ways round a bump: a guess on either side stays there.
    ring = la.landscape.from_function(lambda x: 4 * ((x**2).sum() - 1) ** 2 + 0.3 * x[1] ** 2, dim=2)
    start, end = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    angles = torch.linspace(torch.pi, 0, 11, dtype=torch.float64)
    for side in (1, -1):
        guess = torch.stack([angles.cos(), side * angles.sin()], dim=1)
        guess[0], guess[-1] = start, end
        path = small(name, 60).find(ring, start, end, initial=guess)
        assert path.curve is not None
        # Somewhere on the way: a curve may run faster on one half than on the other, so not at t = 1/2.
        across = side * path.curve.at(torch.linspace(0, 1, 101))[:, 1]
        assert float(across.max()) > 0.8
        assert float(across.min()) > -0.2
        assert path.height < 0.5


@EVERY
@pytest.mark.parametrize("limit", [1, 7])
def test_every_gradient_is_counted(name: str, limit: int) -> None:
    inner, start, end = muller_brown()
    # A float32 landscape: the diagnosis works on its own float64 copy, so this one sees the search alone.
    counting = Counting(inner.to(dtype=torch.float32))
    path = small(name, limit).find(counting, start.float(), end.float())
    assert path.evaluations["gradients"] == counting.gradients
    assert path.evaluations["values"] == counting.values + len(path.t)


@EVERY
def test_converged_is_not_claimed_too_early(name: str) -> None:
    limit = limit_of(name)
    landscape, start, end = muller_brown()
    path = small(name, 1).find(landscape, start, end)
    if limit is not None:
        assert path.status == "iteration limit"
    if path.history is not None and accepts(name, "iterations"):
        assert len(path.history["height"]) == 1


@pytest.mark.parametrize("name", ["neb", "string"])
def test_a_search_is_told_by_its_history(name: str) -> None:
    landscape, start, end = muller_brown()
    path = small(name, 500).find(landscape, start, end)
    assert path.converged
    assert path.history is not None
    every = len(path.history["height"]) * (len(path.t) - 2) + 1
    # All images of a string move in every iteration; images of a band that are at rest are not evaluated.
    assert path.evaluations["gradients"] == every if name == "string" else path.evaluations["gradients"] < every
    assert float(path.history["force"][-1]) <= 0.02
    assert float(path.history["height"][0]) > float(path.history["height"][-1])


@EVERY
@pytest.mark.parametrize(("option", "value"), [("tolerance", "x"), ("seed", "x"), ("seed", 1.5), ("saddle", "yes")])
def test_options_of_another_type_are_refused(name: str, option: str, value: object) -> None:
    with pytest.raises(InputError, match=f"expected .*{option}.*got {value!r}"):
        finders[name](**{option: value})


@EVERY
def test_guesses_that_cannot_be_are_refused(name: str) -> None:
    landscape, start, end = muller_brown()
    guess = torch.stack([start, start * torch.nan, end])
    with pytest.raises(InputError, match="first guesses of finite coordinates"):
        small(name).find(landscape, start, end, initial=guess)
    with pytest.raises(InputError, match="take the ends from the guess"):
        small(name).find(landscape, start, end, initial=torch.stack([start, end + 1e-9]))
    with pytest.raises(InputError, match="torch tensor"):
        small(name).find(landscape, start, end, initial=[start, end])  # type: ignore[arg-type]


@EVERY
def test_kinks_do_not_break_a_search(name: str) -> None:
    # Its gradient jumps: models of the second order are wrong everywhere on the ridge.
    kinks = la.landscape.from_function(
        lambda x: (x[0].abs() - 1).abs() + (x[1] - torch.cos(2 * x[0])).abs(), dim=2, name="kinks"
    )
    height = math.cos(2)
    path = finders[name]().find(kinks, *torch.tensor([[-1.0, height], [1.0, height]], dtype=torch.float64))
    assert path.height >= 1 - 1e-9
    assert path.saddle is None or not path.saddle.converged or path.saddle.gradient_norm < 1e-4


@pytest.mark.parametrize("name", ["fourier", "bezier", "polychain"])
def test_no_budget_is_told_without_figures_that_do_not_exist(name: str) -> None:
    landscape, start, end = muller_brown()
    assert "nan" not in finders[name](budget=0).find(landscape, start, end).message


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [("fourier-published", "method", "converged"), ("bezier", "basis", "fourier"), ("polychain", "basis", "bezier")],
)
def test_a_name_stands_for_what_runs(name: str, option: str, value: str) -> None:
    landscape, start, end = muller_brown()
    assert small(name, 1).find(landscape, start, end).method == name
    with pytest.raises(ConfigurationError, match=f"expected no option '{option}'.*got '{value}'"):
        finders[name](**{option: value})
    # In a recipe or on the command line it is an option that this finder does not have.
    with pytest.raises(ConfigurationError, match=f"no option '{option}'"):
        make_finder(name, {option: value})
    assert option not in inspect.signature(finders[name]).parameters


def test_what_rises_between_images_on_a_plateau_is_found() -> None:
    # A narrow bump on a plane: every image of the first chain is beside it, at the same loss.
    plane = la.landscape.from_function(lambda x: torch.relu(1 - 36 * ((x[0] - 0.17) ** 2 + (x[1] - 0.01) ** 2)) ** 2, 2)
    ends = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    path = finders["autoneb"](points=7).find(plane, *ends)
    assert path.height < 1e-3
