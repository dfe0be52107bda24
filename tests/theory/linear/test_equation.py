"""The equation of a mode: Itô's rule, true gradients of mini-batches, and measured orders of its integrators."""

from __future__ import annotations

import pytest
import torch

from lossatlas.theory.linear import (
    LinearTask,
    Method,
    ModeSDE,
    aligned_weights,
    convergence_orders,
    integrate,
    mode_flow,
    multiply,
)
from lossatlas.theory.linear.network import product_gradient


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_the_two_coordinates_are_one_equation(depth: int, noise: float) -> None:
    sde = ModeSDE(depth=depth, target=1.5, rate=0.1, batch=2, noise=noise)
    w = torch.linspace(0.2, 1.3, 30, dtype=torch.float64)
    s, slope = w**depth, depth * w ** (depth - 1)
    bend = depth * (depth - 1) * w ** max(depth - 2, 0)
    drift = slope * sde.drift(w, "w") + bend / 2 * sde.diffusion(w, "w") ** 2
    torch.testing.assert_close(sde.drift(s, "s"), drift)
    torch.testing.assert_close(sde.diffusion(s, "s"), slope * sde.diffusion(w, "w"))
    torch.testing.assert_close(sde.coordinate_of(s, "w"), w)


@pytest.mark.parametrize("coordinate", ["w", "s"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_slope_of_the_diffusion_is_autograds(depth: int, coordinate: str) -> None:
    sde = ModeSDE(depth=depth, target=1.5, rate=0.1, noise=0.3)
    x = torch.linspace(0.2, 1.3, 30, dtype=torch.float64).requires_grad_()
    half_square = sde.diffusion(x, coordinate).square().sum() / 2  # type: ignore[arg-type]
    (slope,) = torch.autograd.grad(half_square, x)
    torch.testing.assert_close(sde.diffusion_slope(x, coordinate).detach(), slope)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 4])
def test_mini_batches_have_the_mean_and_covariance_of_the_equations(batch: int) -> None:
    task = LinearTask(torch.diag(torch.tensor([2.0, 1.0, 0.5])), batch=batch, noise=0.3, width=3)
    s = torch.tensor([1.2, 1.4, 0.1], dtype=torch.float64)
    product = multiply(aligned_weights(task, s))
    count = 100_000
    slopes = product_gradient(task, product.expand(count, 3, 3), torch.Generator().manual_seed(2))
    delta = task.targets - s
    pulls = -task.strengths(slopes)
    mean_z = (pulls.mean(0) - delta) / (pulls.std(0) / count**0.5)
    assert float(mean_z.abs().max()) < 4
    squares = (pulls - delta).square()
    spread_z = (squares.mean(0) - (2 * delta**2 + 0.3**2) / batch) / (squares.std(0) / count**0.5)
    assert float(spread_z.abs().max()) < 4
    crossed = slopes[:, 0, 1] * slopes[:, 1, 0]
    z = (crossed.mean() - delta[0] * delta[1] / batch) / (crossed.std() / count**0.5)
    assert abs(float(z)) < 4


@pytest.mark.slow
@pytest.mark.parametrize(("method", "order"), [("euler-maruyama", 0.5), ("milstein", 1.0), ("heun", 1.0)])
def test_the_strong_order_is_the_theorems(method: Method, order: float) -> None:
    # In s, where the slope of the diffusion is large; in w Euler's error of order 1 hides that of order ½.
    sde = ModeSDE(depth=2, target=1.0, rate=0.1, noise=0.5)
    found = convergence_orders(sde, method=method, coordinate="s", paths=2000)
    assert found.strong_order == pytest.approx(order, abs=0.07)
    assert found.strong_order_error < 0.02
    assert bool((found.strong[1:] < found.strong[:-1]).all())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["euler-maruyama", "milstein", "heun"])
def test_the_weak_order_is_one(method: Method) -> None:
    sde = ModeSDE(depth=2, target=1.0, rate=0.1, noise=0.5)
    found = convergence_orders(sde, method=method, coordinate="w", paths=2000)
    assert found.weak_order_error < 0.06
    assert found.weak_order == pytest.approx(1.0, abs=0.12)
    assert found.method == f"{method} in w"


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("coordinate", ["w", "s"])
def test_without_noise_paths_are_gradient_flow(depth: int, coordinate: str) -> None:
    sde = ModeSDE(depth=depth, target=1.5, rate=1e-16)
    found = integrate(sde, 0.1, time=3.0, steps=600, every=200, method="heun", coordinate=coordinate)  # type: ignore[arg-type]
    torch.testing.assert_close(found.s[:, 0], mode_flow(depth, 1.5, 0.1, found.time), rtol=0, atol=1e-4)


@pytest.mark.parametrize("coordinate", ["w", "s"])
def test_the_same_brownian_path_is_taken_when_it_is_given(coordinate: str) -> None:
    sde = ModeSDE(depth=2, target=1.0, rate=0.05, noise=0.3)
    pushes = torch.randn(400, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * (2 / 400) ** 0.5
    one = integrate(sde, 0.3, time=2.0, steps=400, paths=3, increments=pushes, coordinate=coordinate)  # type: ignore[arg-type]
    other = integrate(sde, torch.full((3,), 0.3), time=2.0, steps=400, increments=pushes, method="heun")
    torch.testing.assert_close(one.s, other.s, atol=0.01, rtol=0)
    assert one.s.shape == (401, 3)
    assert float(one.standard_error[0]) == 0
