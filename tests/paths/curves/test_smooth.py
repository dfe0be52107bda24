"""Curves over energies whose lowest pass is known exactly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import lossatlas as la
from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.landscape import Energy
from lossatlas.paths import CurvePathFinder, FourierPathFinder, PathFinder, find

TOY, BELOW_A, BELOW_C = 0.624393347187, -40.664843508657, -72.248940112325


def _case(name: str, first: str = "", second: str = "", **options: object) -> tuple[Energy, Tensor, Tensor]:
    landscape = la.landscape.get(name, **options)
    if not first:
        assert landscape.ends is not None
        return landscape, *landscape.ends
    minima = {m.name: m.x for m in landscape.minima}
    return landscape, minima[first], minima[second]


CASES: dict[str, tuple[Callable[[], tuple[Energy, Tensor, Tensor]], float]] = {
    "toy": (lambda: _case("paper-toy"), TOY),
    "toy 50-D": (lambda: _case("paper-toy-50d"), TOY),
    "MB A-B": (lambda: _case("muller-brown", "A", "B"), BELOW_A),
    "MB A-C": (lambda: _case("muller-brown", "A", "C"), BELOW_A),
    "MB C-B": (lambda: _case("muller-brown", "C", "B"), BELOW_C),
    "MB 50-D A-B": (lambda: _case("muller-brown-50d", "A", "B"), BELOW_A),
    "MB 50-D A-C": (lambda: _case("muller-brown-50d", "A", "C"), BELOW_A),
    "MB 50-D C-B": (lambda: _case("muller-brown-50d", "C", "B"), BELOW_C),
    "ring 10, 6": (lambda: _case("phi4-ring", sites=10, coupling=6.0), 0.0),
    "ring 10, 2": (lambda: _case("phi4-ring", sites=10, coupling=2.0), -0.6726539101),
    "ring 2, 0.1": (lambda: _case("phi4-ring", sites=2, coupling=0.1), -0.1975),
}


def _excess(finder: PathFinder, case: str) -> float:
    """Height above the exact pass, in units of (pass - lower end)."""
    make, exact = CASES[case]
    landscape, start, end = make()
    path = finder.find(landscape, start, end)
    assert path.evaluations["gradients"] <= 5100
    assert path.refined
    low = float(path.loss[[0, -1]].min())
    assert path.height >= exact - 1e-9
    return (path.height - exact) / (exact - low)


@pytest.mark.parametrize("case", CASES)
def test_the_default_finds_every_known_pass(case: str) -> None:
    assert _excess(FourierPathFinder(saddle=False), case) < 1e-3


@pytest.mark.parametrize("case", ["toy", "MB C-B"])
@pytest.mark.parametrize("basis", ["bezier", "polychain"])
def test_other_families_find_it_too(basis: str, case: str) -> None:
    assert _excess(CurvePathFinder(basis=basis, saddle=False), case) < 1e-3


def test_converged_means_a_stationary_point() -> None:
    toy = la.landscape.get("paper-toy")
    path = find(toy, *toy.ends, method="fourier", saddle=False)
    assert path.status == "converged"
    assert path.history is not None
    assert path.curve is not None
    assert path.refined_t is not None
    top = path.curve.at(torch.tensor([path.refined_t], dtype=torch.float64))[0]
    _, gradient = toy.value_and_grad(top)
    assert float(gradient.norm()) * path.distance < 0.1 * (path.height - float(path.loss[[0, -1]].min()))
    assert bool((path.history["force"][-3:] <= 0.03).all())
    short = find(toy, *toy.ends, method="fourier", budget=330, force=1e-6, saddle=False)
    assert short.status == "iteration limit"
    assert short.evaluations["gradients"] == 330
    assert len(short.history["height"]) == 30 if short.history is not None else False


def test_scale_and_place_do_not_matter() -> None:
    """The same search on 1000 E(x/10 - shift) + 5 is the same path, ten times as large."""
    toy = la.landscape.get("paper-toy")
    shift = torch.tensor([3.0, -2.0], dtype=torch.float64)
    other = la.landscape.from_function(lambda x: 1000 * toy._energy(x / 10 - shift) + 5, dim=2, batched=True)
    finder = FourierPathFinder(saddle=False, budget=900)
    here = finder.find(toy, *toy.ends)
    there = finder.find(other, *((x + shift) * 10 for x in toy.ends))
    assert there.height == pytest.approx(1000 * here.height + 5, rel=1e-4)


def test_a_pair_does_not_notice_its_companions_and_stops_alone() -> None:
    landscape = la.landscape.get("muller-brown")
    a, b, c = (m.x for name in "ABC" for m in landscape.minima if m.name == name)
    finder = FourierPathFinder(saddle=False, tolerance=0, budget=2000)
    together = finder.find_many(landscape, torch.stack([a, c, c]), torch.stack([b, b, a]))
    alone = finder.find_many(landscape, c[None], b[None], numbers=[1])[0]
    torch.testing.assert_close(alone.loss, together[1].loss, rtol=1e-6, atol=1e-6)
    assert alone.evaluations == together[1].evaluations
    assert len({path.evaluations["gradients"] for path in together}) > 1
    for path in together:
        assert path.history is not None
        assert path.evaluations["gradients"] == 11 * len(path.history["height"])


def test_a_path_without_a_barrier_is_converged_at_once() -> None:
    bowl = la.landscape.get("quadratic", dim=3)
    ends = torch.eye(3, dtype=torch.float64)[:2]
    path = find(bowl, *ends, method="fourier", saddle=False)
    assert path.status == "converged"
    assert path.barrier == pytest.approx(0, abs=1e-9)
    assert path.evaluations["gradients"] < 500


def test_a_first_guess_decides_the_pass() -> None:
    """Round the lower bump of the toy to the pass at .637257, which the straight line does not lead to."""
    toy = la.landscape.get("paper-toy")
    start, end = toy.ends
    corner = torch.tensor([0.05, -0.8], dtype=torch.float64)
    guess = torch.stack([start, corner, end])
    path = FourierPathFinder(saddle=False).find(toy, start, end, initial=guess)
    assert path.height == pytest.approx(0.637257237656, rel=1e-3)


def test_nothing_to_spend_and_the_smallest_curves() -> None:
    toy = la.landscape.get("paper-toy")
    line = find(toy, *toy.ends, method="fourier", budget=0, saddle=False)
    assert line.status == "iteration limit"
    assert line.stretch == pytest.approx(1, abs=1e-12)
    assert line.evaluations["gradients"] == 0
    path = find(toy, *toy.ends, method="fourier", coefficients=1, per_step=1, points=2, budget=300, saddle=False)
    assert path.height < line.height


def test_float32() -> None:
    toy = la.landscape.get("paper-toy", dtype=torch.float32)
    path = find(toy, *toy.ends, method="fourier", saddle=False)
    assert path.converged
    assert path.height == pytest.approx(TOY, rel=1e-3)


def test_a_wall_of_nan_is_met() -> None:
    """The bend of the lowest path leads into a region without values: the last finite curve comes back."""

    def energy(x: Tensor) -> Tensor:
        return torch.where(x[1] < -0.3, torch.nan, (x[0] ** 2 - 1) ** 2 + x[1] * (1 - x[0] ** 2))

    landscape = la.landscape.from_function(energy, dim=2)
    ends = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    path = find(landscape, *ends, method="fourier", saddle=False)
    assert path.status == "not finite"
    assert path.curve is not None
    assert bool(path.curve.coefficients.isfinite().all())
    assert float(path.curve.coefficients.abs().max()) > 0.05


def test_refusals() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'bezier'"):
        CurvePathFinder(basis="beziers")
    with pytest.raises(ConfigurationError, match="no family of curves 'linear'"):
        CurvePathFinder(basis="linear")
    with pytest.raises(ConfigurationError, match="did you mean 'smooth'"):
        CurvePathFinder(strategy="smoth")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="use fewer coefficients"):
        CurvePathFinder(basis="bezier", coefficients=60)
    with pytest.raises(InputError, match="late as a part"):
        CurvePathFinder(late=2.0)
    with pytest.raises(InputError, match="budget as a finite number of at least 0"):
        CurvePathFinder(budget=float("inf"))
