"""Stationary laws against published numbers, closed forms and simulation; where diffusion is largest."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad

from lossatlas.theory.linear import (
    Coordinate,
    LinearTask,
    ModeSDE,
    aligned_weights,
    boltzmann_variance,
    diffusion_peak,
    integrate,
    measure_diffusion,
    stationary_law,
    train_network,
)


@pytest.mark.parametrize(("depth", "variance"), [(1, 0.00255), (2, 0.00797), (3, 0.01429)])
def test_variances_are_the_reference_numbers(depth: int, variance: float) -> None:
    sde = ModeSDE(depth=depth, target=1.5, rate=0.02, noise=0.5)
    law = stationary_law(sde)
    assert law.variance == pytest.approx(variance, abs=5.1e-6)
    assert float(law.probability.sum()) == pytest.approx(1, abs=1e-12)
    assert boltzmann_variance(sde) == pytest.approx(law.variance, rel=0.15)
    # The two agree as noise goes to zero.
    cold = ModeSDE(depth=depth, target=1.5, rate=2e-4, noise=0.5)
    assert boltzmann_variance(cold) == pytest.approx(stationary_law(cold).variance, rel=2e-3)


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_moments_of_the_law_are_balanced(depth: int, rate: float) -> None:
    # Under a stationary law E (f' b + ½ f'' a) = 0; f falls off, since s itself has fat tails where noise is strong.
    sde = ModeSDE(depth=depth, target=1.0, rate=rate, noise=0.5)
    law = stationary_law(sde)
    for fall in (1.0, 3.0):

        def rate_of(s: torch.Tensor, fall: float = fall) -> torch.Tensor:
            return torch.exp(-fall * s) * (fall**2 / 2 * sde.diffusion(s, "s").square() - fall * sde.drift(s, "s"))

        assert abs(law.expectation(rate_of)) < 1e-8 * law.expectation(lambda s: rate_of(s).abs())


def test_the_density_is_that_of_adaptive_quadrature() -> None:
    sde = ModeSDE(depth=2, target=1.0, rate=0.1, noise=0.5)

    def log(s: float) -> float:
        x = torch.tensor(s, dtype=torch.float64)
        inner, _ = quad(
            lambda r: 2 * float(sde.drift(x.new_tensor(r), "s") / sde.diffusion(x.new_tensor(r), "s") ** 2), 1.0, s
        )
        return inner - 2 * math.log(float(sde.diffusion(x, "s")))

    law = stationary_law(sde)
    near = [int((law.s - s).abs().argmin()) for s in (0.5, 0.9, 1.3)]
    ratios = [math.exp(log(float(law.s[i])) - log(float(law.s[near[0]]))) for i in near]
    torch.testing.assert_close(
        law.density[near] / law.density[near[0]], torch.tensor(ratios, dtype=torch.float64), rtol=1e-5, atol=0
    )


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_paths_and_sgd_come_to_rest_in_the_law(depth: int) -> None:
    sde = ModeSDE(depth=depth, target=1.5, rate=0.02, noise=0.5)
    law = stationary_law(sde)
    paths = integrate(sde, 1.5, time=10.0, steps=1000, paths=2000, every=50, method="milstein").s[8:]
    assert float(paths.var()) == pytest.approx(law.variance, rel=0.08)
    assert float(paths.mean()) == pytest.approx(law.mean, abs=0.005)
    task = LinearTask(torch.tensor([[1.5]]), depth=depth, width=1, rate=0.02, noise=0.5)
    run = train_network(task, aligned_weights(task, 1.5), steps=500, replicas=2000, every=25)
    assert float(run.strengths[8:].var()) == pytest.approx(law.variance, rel=0.08)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_without_label_noise_all_mass_ends_at_the_target(depth: int) -> None:
    sde = ModeSDE(depth=depth, target=1.5, rate=0.02, batch=4)
    law = stationary_law(sde)
    assert law.point_mass
    assert (law.mean, law.variance, boltzmann_variance(sde)) == (1.5, 0.0, 0.0)
    paths = integrate(sde, 0.3, time=30.0, steps=1500, paths=20, every=1500)
    assert float((paths.s[-1] - 1.5).abs().max()) < 1e-12
    task = LinearTask(torch.diag(torch.tensor([1.5, 1.0])), depth=depth, width=3, rate=0.02, batch=4)
    run = train_network(task, aligned_weights(task, 0.3), steps=2500, replicas=10, every=2500)
    assert float((run.strengths[-1] - task.targets).abs().max()) < 1e-12
    assert float(run.loss[-1].max()) < 1e-24


def test_peaks_of_diffusion_are_where_the_formulas_say() -> None:
    for depth in (2, 3, 4, 7):
        assert diffusion_peak(depth, 2.0, coordinate="s") == pytest.approx(4 * (depth - 1) / (3 * depth - 2))
        assert diffusion_peak(depth, 2.0, coordinate="w") == pytest.approx(2 * (depth - 1) / (2 * depth - 1))
    for noise in (0.1, 0.3, 0.49):
        exact = 1 - (1 + math.sqrt(1 - 4 * noise**2)) / 4
        assert diffusion_peak(2, 1.0, noise, coordinate="s") == pytest.approx(exact)
        # And a maximum it is: on a grid.
        valley = 1 - (1 - math.sqrt(1 - 4 * noise**2)) / 4
        grid = torch.linspace(0.05, valley, 10_000, dtype=torch.float64)
        top = grid[ModeSDE(noise=noise).diffusion(grid, "s").argmax()]
        assert float(top) == pytest.approx(exact, abs=1e-4)
    assert math.isnan(diffusion_peak(2, 1.0, 0.5, coordinate="s"))
    assert math.isnan(diffusion_peak(1, coordinate="w"))


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "coordinates"), [(2, "sw"), (3, "s"), (4, "s")])
def test_the_noise_of_sgd_peaks_before_the_mode_is_learned(depth: int, coordinates: str) -> None:
    task = LinearTask(torch.tensor([[1.0]]), depth=depth, width=1, rate=0.01, batch=16)
    run = train_network(task, aligned_weights(task, 0.1), steps=400, replicas=3000)
    s, sde = run.strengths[:, :, 0], task.mode(0)
    for name in coordinates:
        coordinate: Coordinate = "s" if name == "s" else "w"
        expected = diffusion_peak(depth, coordinate=coordinate)
        window = (expected - 0.2, expected + 0.2)
        found = measure_diffusion(run.time, s, depth=depth, window=window, coordinate=coordinate)
        assert found.peak == pytest.approx(expected, abs=0.02)
        predicted = sde.diffusion(sde.coordinate_of(found.s, coordinate), coordinate)
        torch.testing.assert_close(found.squared, predicted**2, rtol=0.1, atol=0)
