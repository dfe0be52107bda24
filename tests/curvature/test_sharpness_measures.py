"""Worst loss, SAM, slices and volume against closed forms; and what a rescaled ReLU network does to each of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from curved_networks import perceptron, points
from torch import Tensor, nn

from lossatlas import landscape as landscapes
from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.core.randomness import generator
from lossatlas.curvature import (
    HessianOperator,
    epsilon_sharpness,
    local_volume,
    measure,
    measures,
    sam_sharpness,
    slice_flatness,
)
from lossatlas.landscape import from_function

EIGENVALUES = [0.5, 1.0, 2.0, 3.0, 7.0]
CENTER = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.1], dtype=torch.float64)


@pytest.fixture
def bowl():
    """Rotated, and not at the origin."""
    return landscapes.get("quadratic", dim=5, eigenvalues=EIGENVALUES, center=CENTER)


def near(seed: int = 0) -> Tensor:
    return CENTER + 0.1 * torch.randn(3, 5, dtype=torch.float64, generator=generator(seed, "near"))


# ------------------------------------------------------------------ worst loss
def test_the_worst_loss_of_a_bowl_at_its_minimum(bowl):
    """½ ρ² λ_max along its eigenvector, from random starts: there the gradient says nothing."""
    found = epsilon_sharpness(bowl, CENTER, radius=0.3, norm="euclidean", scaling="none", tolerance=1e-8)
    assert float(found.rise) == pytest.approx(0.5 * 0.09 * 7.0, rel=1e-8)
    assert bool(found.converged)
    assert int(found.agreement) == found.starts
    assert float(found.displacement.norm()) == pytest.approx(0.3)
    assert float(bowl.value(CENTER + found.displacement)) == pytest.approx(float(found.worst), rel=1e-14)


def test_the_worst_loss_in_a_ball_is_the_trust_region_maximum(bowl):
    """Against the exact solution of max g·s + ½ sᵀHs over a ball, by its secular equation."""
    x, rho = near(), 0.4
    found = epsilon_sharpness(bowl, x, radius=rho, norm="euclidean", scaling="none", tolerance=1e-9)
    for i, point in enumerate(x):
        hessian = HessianOperator(bowl, point).dense().numpy()
        slope = bowl.value_and_grad(point)[1].numpy()
        values, vectors = np.linalg.eigh(hessian)
        b = vectors.T @ slope

        def outside(mu, b=b, values=values):
            return np.linalg.norm(b / (mu - values)) - rho

        mu = scipy.optimize.brentq(outside, values[-1] + 1e-12, values[-1] + 1e6, xtol=1e-14)
        s = vectors @ (b / (mu - values))
        best = slope @ s + 0.5 * s @ hessian @ s
        assert float(found.rise[i]) == pytest.approx(best, rel=1e-7)
    assert bool(found.converged.all())


def test_the_worst_corner_of_a_box(bowl):
    """Against all 32 corners; a convex loss has its maximum at one of them."""
    x = near()
    found = epsilon_sharpness(bowl, x, radius=0.05, starts=16)
    corners = torch.tensor(np.array(np.meshgrid(*[[-1.0, 1.0]] * 5)).reshape(5, -1).T)
    for i, point in enumerate(x):
        best = bowl.value(point + 0.05 * (point.abs() + 1) * corners).max()
        assert float(found.worst[i]) == pytest.approx(float(best), rel=1e-12)
    assert torch.allclose(found.displacement.abs(), 0.05 * (x.abs() + 1), rtol=1e-12)
    assert torch.allclose(found.percent, 100 * found.rise / (1 + bowl.value(x)))


def test_a_maximum_inside_the_region():
    """A concave loss: the gap bounds what is missing."""
    hill = landscapes.get("quadratic", dim=2, eigenvalues=[-1.0, -4.0], center=[0.3, 0.1])
    x = torch.zeros(2, dtype=torch.float64)
    found = epsilon_sharpness(hill, x, radius=1.0, norm="euclidean", scaling="none", tolerance=1e-6)
    assert float(found.worst) == pytest.approx(0.0, abs=1e-6)
    rough = epsilon_sharpness(
        hill, x, radius=1.0, norm="euclidean", scaling="none", tolerance=1e-6, starts=1, max_iterations=3
    )
    assert float(rough.worst) < -1e-12
    assert float(rough.worst + rough.gap) >= 0.0
    assert not bool(rough.converged)


def test_minima_together_are_minima_alone():
    landscape, *_ = perceptron()
    x = points(landscape, 3)
    together = epsilon_sharpness(landscape, x, radius=0.01)
    for i in range(3):
        alone = epsilon_sharpness(landscape, x[i], radius=0.01)
        assert float(alone.worst) == pytest.approx(float(together.worst[i]), rel=1e-12)
    assert bool((together.rise > 0).all())
    assert bool(((landscape.value(x + together.displacement) - together.worst).abs() < 1e-12).all())


def test_walls_of_infinite_loss_are_found():
    well = from_function(lambda x: (x**2).sum() - torch.log(1 - x[0]), dim=2)
    found = epsilon_sharpness(well, torch.zeros(2).double(), radius=1.5, norm="euclidean", scaling="none")
    assert math.isinf(float(found.worst))
    assert bool(found.converged)


# ------------------------------------------------------------------ SAM
@pytest.mark.parametrize(("scaling", "rho", "eta"), [("none", 0.05, 0.0), ("parameter", 0.5, 0.01)])
def test_sam_and_asam_on_a_bowl(bowl, scaling, rho, eta):
    """ε·g + ½ εᵀHε with the published step and constants."""
    x = near()
    found = sam_sharpness(bowl, x, scaling=scaling)
    _, g = bowl.value_and_grad(x)
    t = torch.ones_like(x) if scaling == "none" else x.abs() + eta
    step = rho * t**2 * g / (t * g).norm(dim=-1, keepdim=True)
    exact = (step * g).sum(-1) + 0.5 * (step * (HessianOperator(bowl, x) @ step)).sum(-1)
    assert torch.allclose(found.rise, exact, rtol=1e-10)
    assert torch.allclose(found.gradient_norm, (t * g).norm(dim=-1))
    assert (found.radius, found.offset) == (rho, eta)


def test_a_vanishing_gradient_has_no_direction(bowl):
    assert bool(sam_sharpness(bowl, CENTER).rise.isnan())


def test_rises_on_mini_batches():
    landscape, *_ = perceptron()
    x = points(landscape, 2)
    batches = torch.arange(40).reshape(4, 10)
    found = sam_sharpness(landscape, x, batches=batches)
    each = torch.stack([sam_sharpness(landscape.on(batch), x).rise for batch in batches])
    assert torch.allclose(found.rise, each.mean(0))
    assert torch.allclose(found.error, each.std(0) / 2)
    assert bool((found.rise > sam_sharpness(landscape, x).rise).all())
    assert found.data == "4 mini-batches of 10 examples"
    with pytest.raises(InputError, match=r"\(m, B\)"):
        sam_sharpness(landscape, x, batches=torch.arange(5))


# ------------------------------------------------------------------ slices
def test_slices_of_a_bowl(bowl):
    directions = torch.randn(4, 5, dtype=torch.float64, generator=generator("slices"))
    found = slice_flatness(bowl, torch.stack([CENTER, CENTER]), directions=directions, points=201, span=2.0)
    bent = (directions * (HessianOperator(bowl, CENTER.expand(4, 5)) @ directions)).sum(-1)
    exact = 0.5 * bent[:, None] * found.alphas**2
    assert torch.allclose(found.rises[0], exact, atol=1e-10)
    assert torch.equal(found.rises[0], found.rises[1])
    assert float(found.mean_rise[0]) == pytest.approx(float(bent.mean()) * 4 / 6, rel=1e-3)
    assert float(found.width(0.5 * float(bent.mean()))[0]) == pytest.approx(1.0, rel=1e-3)
    assert float(found.width(1e9)[0]) == 2.0


def test_slices_need_a_network_or_directions(bowl):
    with pytest.raises(InputError, match="directions of your own"):
        slice_flatness(bowl, CENTER)
    with pytest.raises(InputError, match=r"\(n, 5\)"):
        slice_flatness(bowl, CENTER, directions=torch.ones(2, 4))
    with pytest.raises(InputError, match="odd number of points"):
        slice_flatness(bowl, CENTER, directions=torch.ones(2, 5), points=10)


# ------------------------------------------------------------------ volume
def test_the_volume_of_a_bowl(bowl):
    """4/3 π ... in five dimensions: the unit ball has 8π²/15."""
    found = local_volume(bowl, CENTER, rise=0.5, damping=1e-9)
    exact = 8 * math.pi**2 / 15 / math.sqrt(math.prod(EIGENVALUES))
    assert math.exp(float(found.log_volume.value)) == pytest.approx(exact, rel=1e-6)
    assert float(found.log_volume.error) == 0.0


def test_a_sampled_volume_holds_the_exact_one():
    landscape, *_ = perceptron(12)
    x = points(landscape, 2)
    exact = local_volume(landscape, x)
    sampled = local_volume(landscape, x, probes=3, steps=80)
    assert exact.method.endswith("dense")
    assert sampled.method.endswith("quadrature")
    for name in ("log_volume", "log_det"):
        low, value, high = (getattr(getattr(sampled, name), part) for part in ("low", "value", "high"))
        truth = getattr(exact, name).value
        assert bool(((low < truth) & (truth < high) & (low < value) & (value < high)).all()), name


# ------------------------------------------------------------------ the known catch
def rescaled(landscape, x: Tensor, alpha: float = 8.0) -> Tensor:
    """α in the first layer, 1/α in the second: the same outputs. A power of two, so exact in floating point."""
    named = dict(landscape.spec.unflatten(x))
    named["layers.0.weight"] = alpha * named["layers.0.weight"]
    named["layers.0.bias"] = alpha * named["layers.0.bias"]
    named["layers.2.weight"] = named["layers.2.weight"] / alpha
    return landscape.spec.flatten(named)


@pytest.mark.parametrize("name", list(measures))
def test_scale_invariant_measures_do_not_move_and_raw_ones_do(name):
    """Dinh et al. 2017: a ReLU network can be rescaled to look as sharp as you like."""
    landscape, *_ = perceptron(8, nn.ReLU)
    x = points(landscape, 2, scale=0.3)
    twin = rescaled(landscape, x)
    assert torch.allclose(landscape.value(x), landscape.value(twin), rtol=1e-13)
    before, after = measure(landscape, x, [name])[name], measure(landscape, twin, [name])[name]
    if measures[name].invariant:
        assert torch.allclose(before, after, rtol=1e-8), name
    else:
        assert bool(((after / before).log().abs() > 0.05).all()), name


def test_a_rescaled_network_looks_as_sharp_as_you_like():
    landscape, *_ = perceptron(8, nn.ReLU)
    x = points(landscape, 1, scale=0.3)
    family = torch.cat([rescaled(landscape, x, 2.0**k) for k in range(0, 7, 2)])
    top = measure(landscape, family, ["top eigenvalue"])["top eigenvalue"]
    assert bool((top.diff()[1:] > 10 * top[1:-1]).all())


def test_measures_by_name(bowl):
    found = measure(bowl, near())
    assert set(found) == set(measures) - {"filter slices"}
    assert all(values.shape == (3,) and bool(values.isfinite().all()) for values in found.values())
    with pytest.raises(ConfigurationError, match="did you mean 'trace'"):
        measure(bowl, near(), ["tracer"])
