"""Walkers against laws that are known: von Mises-Fisher, Boltzmann, Fokker-Planck."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.linalg import random_rotation
from lossatlas.theory.annealing import (
    CircleToy,
    Constant,
    Exponential,
    InfoNCE,
    Linear,
    LinearEnergy,
    Logarithmic,
    Quench,
    Spheres,
    anneal,
    evolve_density,
)

E1 = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0]).double()


def alignment(energy: LinearEnergy, beta: float, h: float, method: str, seed: int = 0, walkers: int = 4000) -> float:
    """⟨μ·x⟩ over walkers and over times, after the start is forgotten."""
    times = [4.0 + 0.8 * k for k in range(20)]
    run = anneal(energy, beta, time=times[-1], step=h, walkers=walkers, method=method, seed=seed, at=times)
    return -float(run.observed.mean())


@pytest.mark.parametrize(("dim", "beta"), [(2, 1.0), (3, 2.0), (5, 4.0)])
def test_von_mises_fisher(dim: int, beta: float) -> None:
    energy = LinearEnergy(E1[:dim])
    assert abs(alignment(energy, beta, 0.02, "geodesic") - energy.mean_alignment(beta)) < 0.01


def test_von_mises_fisher_by_projected_steps() -> None:
    # Its bias at h = 0.02 is above 0.01 where it is hot (see below), so the step is halved.
    for dim, beta, h in ((2, 1.0, 0.01), (5, 4.0, 0.02)):
        energy = LinearEnergy(E1[:dim])
        assert abs(alignment(energy, beta, h, "projected") - energy.mean_alignment(beta)) < 0.01


def test_projected_steps_are_colder_as_much_as_they_fall_short() -> None:
    """arctan v in place of v: diffusion (1 − 2σ²), drift (1 − σ²), σ² = 2h/β, so β is larger by the factor 1 + σ²."""
    energy, beta, h = LinearEnergy(E1[:2]), 1.0, 0.02
    m = energy.mean_alignment(beta)
    more = 2 * h / beta * beta * (1 - m / beta - m * m)
    apart = [alignment(energy, beta, h, method, walkers=6000) for method in ("projected", "geodesic")]
    assert apart[0] - apart[1] == pytest.approx(more, abs=0.006)


def test_von_mises_fisher_turned_and_stretched() -> None:
    mu = 2.0 * random_rotation(5, 3) @ E1
    energy = LinearEnergy(mu)
    run = anneal(energy, 2.0, time=8.0, step=0.02, walkers=4000, seed=1)
    along = run.points @ mu
    assert abs(float(along.mean()) - energy.mean_alignment(2.0)) < 0.02
    across = run.points - along[:, None] * mu / 4
    assert float((across.mean(0) / across.std(0)).norm()) * math.sqrt(4000) < 5


@pytest.mark.parametrize("method", ["geodesic", "projected"])
def test_the_bias_falls_in_proportion_to_the_step(method: str) -> None:
    energy, beta = LinearEnergy(E1[:3]), 4.0
    bias = [alignment(energy, beta, h, method, walkers=20000) - energy.mean_alignment(beta) for h in (0.4, 0.2, 0.1)]
    assert abs(bias[0]) > abs(bias[1]) > abs(bias[2]) > 0.001
    order = math.log2(bias[0] / bias[2]) / 2
    assert 0.5 < order < 1.6


def test_the_fast_path_and_the_general_one_have_one_law() -> None:
    toy = CircleToy()

    def plain(x: Tensor) -> Tensor:
        return -(x[0] ** 2 - x[1] ** 2) - 0.25 * x[0]

    kept = {"time": 4.0, "step": 0.02, "walkers": 4000, "observe": toy.in_global_basin}
    fast = anneal(toy, 2.0, seed=1, **kept).observed.double().mean()
    projected = anneal(toy, 2.0, seed=2, method="projected", **kept).observed.double().mean()
    general = anneal(plain, 2.0, seed=3, spheres=Spheres(2), **kept).observed.double().mean()
    error = math.sqrt(2 * 0.25 / 4000)
    assert abs(float(fast - projected)) < 4 * error
    assert abs(float(fast - general)) < 4 * error


class TemperedLinear(LinearEnergy):
    """An energy that is divided by its temperature, for which both readings have one stationary law."""

    def at_temperature(self, temperature: float) -> LinearEnergy:
        return LinearEnergy(E1[:3] / temperature)


def test_both_readings_of_temperature() -> None:
    energy = TemperedLinear(E1[:3])
    noise = anneal(energy, 3.0, time=6.0, step=0.01, walkers=4000, seed=1)
    loss = anneal(energy, 1.0, tau=3.0, time=6.0, step=0.01, walkers=4000, seed=2)
    assert loss.temperatures is not None
    assert loss.temperatures.tolist() == pytest.approx([1 / 3])
    for run in (noise, loss):
        assert abs(float(run.points[:, 0].mean()) - energy.mean_alignment(3.0)) < 0.02


def test_annealing_the_temperature_of_infonce_ends_near_its_optimum() -> None:
    loss = InfoNCE(4, 3, 1.0)
    run = anneal(loss, 2000.0, tau=Linear(0.5, start=1.0), time=10.0, step=0.02, walkers=64, at=[1.0, 10.0])
    assert run.temperatures is not None
    assert run.temperatures[-1] == pytest.approx(1 / 5.995)
    cold = loss.at_temperature(float(run.temperatures[-1]))
    torch.testing.assert_close(run.observed[-1], cold.value(run.points))
    assert float(run.observed[-1].median()) < cold.optimum + 0.01


def test_descent_is_the_limit_without_noise() -> None:
    toy = CircleToy()
    start = toy.spheres.uniform(200, 7)
    cold = anneal(toy, math.inf, time=20.0, step=0.05, start=start, method="projected")
    fast = anneal(toy, Constant(math.inf), time=20.0, step=0.05, start=start)
    torch.testing.assert_close(cold.points, fast.points, atol=1e-8, rtol=0)
    assert torch.equal(toy.in_global_basin(fast.points), toy.in_global_basin(start))


def test_runs_repeat_and_leave_everything_alone() -> None:
    loss = InfoNCE(3, 2)
    start = loss.spheres.uniform(10, 1)
    kept, state = start.clone(), torch.random.get_rng_state()
    one, two = (anneal(loss, 5.0, time=1.0, step=0.1, start=start, seed=3, at=[0.5]) for _ in range(2))
    assert torch.equal(one.points, two.points)
    assert torch.equal(start, kept)
    assert torch.equal(state, torch.random.get_rng_state())
    assert one.times.tolist() == [0.5, 1.0]
    assert one.evaluations == 100
    other = anneal(loss, 5.0, time=1.0, step=0.1, start=start, seed=4)
    assert not torch.equal(one.points, other.points)
    single = anneal(loss.to(dtype=torch.float32), 5.0, time=1.0, step=0.1, walkers=3)
    assert single.points.dtype == torch.float32
    Spheres(2, 3).check(single.points)


def test_a_schedule_may_start_from_zero() -> None:
    toy = CircleToy()
    run = anneal(toy, Linear(0.1), time=1.0, step=0.01, walkers=100)
    assert run.betas[-1] == pytest.approx(0.0995)
    assert bool(run.points.isfinite().all())


def test_walkers_move_on_after_any_heat() -> None:
    toy = CircleToy()

    def heat(t: float) -> float:
        return 1e-30 if t < 0.1 else 3.0

    run = anneal(toy, heat, time=20.0, step=0.02, walkers=4000, observe=toy.in_global_basin)
    settled = evolve_density(toy, 3.0, [19.9]).success[0]
    assert abs(float(run.observed.double().mean()) - settled) < 4 * math.sqrt(0.25 / 4000)


def _cliff(x: Tensor) -> Tensor:
    return torch.where(x[0] > -2, x[0] * torch.inf, x[0])


def test_walkers_that_are_lost_are_named() -> None:
    with pytest.raises(DivergenceError, match="smaller step"):
        anneal(_cliff, 1.0, time=1.0, step=0.1, walkers=3, spheres=Spheres(2))


TOY = CircleToy()
GOOD = {"time": 1.0, "step": 0.1, "walkers": 5}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"beta": -1.0}, "beta of an annealing schedule"),
        ({"beta": lambda t: 1 - 4 * t}, "got -0.0[0-9]+ at t = .* from the function <lambda>"),
        ({"beta": 0.0}, "above 0"),
        ({"beta": Exponential(1.0, 1000.0), "time": 10.0}, "overflow"),
        ({"beta": 1e-320}, "finite strength"),
        ({"step": 0.0}, "above 0"),
        ({"step": -0.1}, "above 0"),
        ({"time": math.inf}, "finite"),
        ({"time": 0.25}, "whole number of steps"),
        ({"walkers": 0}, "walkers"),
        ({"start": torch.ones(3, 2).double()}, "length 1.41421"),
        ({"start": torch.ones(3, 3).double()}, "got \\(3, 3\\)"),
        ({"start": Spheres(2).uniform(1)[0]}, "shape \\(walkers, 2\\)"),
        ({"start": Spheres(2).uniform(2, dtype=torch.float32)}, "expected start as torch.float64"),
        ({"start": [[1.0, 0.0]]}, "floating tensor"),
        ({"method": "euler"}, "'geodesic' or 'projected'"),
        ({"tau": Logarithmic(1.0)}, "at_temperature"),
        ({"at": [0.5, 0.5]}, "ascending times"),
        ({"at": [0.0, 0.5]}, "ascending times"),
        ({"at": [2.0]}, "ascending times"),
        ({"at": []}, "ascending times"),
        ({"observe": lambda x: x.sum()}, "5 rows"),
        ({"observe": lambda x: 1.0}, "got float"),
        ({"spheres": Spheres(3)}, "got one of 2"),
        ({"energy": lambda x: x[0]}, "expected spheres="),
        ({"energy": InfoNCE(3, 2), "beta": 10.0, "tau": lambda t: -1.0}, "got -1"),
    ],
)
def test_what_cannot_be_is_refused(options: dict, words: str) -> None:  # type: ignore[type-arg]
    given = {"energy": TOY, "beta": 1.0} | GOOD | options
    with pytest.raises(InputError, match=words):
        anneal(given.pop("energy"), given.pop("beta"), **given)


def test_a_quench_traps() -> None:
    toy = CircleToy()
    run = anneal(toy, Quench(60.0), time=10.0, step=0.02, walkers=4000, observe=toy.in_global_basin)
    z = (1 - float(run.observed.double().mean()) - 0.480) / math.sqrt(0.48 * 0.52 / 4000)
    assert abs(z) < 4
