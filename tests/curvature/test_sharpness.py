"""Rescaling a ReLU network moves raw sharpness as far as one likes; scaled measures stay where they are."""

from __future__ import annotations

import pytest
import torch
from curved_networks import perceptron, points
from torch import Tensor, nn

from lossatlas import landscape as landscapes
from lossatlas.core.errors import InputError
from lossatlas.curvature import HessianOperator, scaled_hessian, sharpness, weight_scale

ALPHA = 4.0
"""A power of two: rescaling is exact in floating point, so that no unit sits on another side of its kink."""


@pytest.fixture(scope="module")
def relu():
    landscape, *_ = perceptron(8, nn.ReLU)
    return landscape, points(landscape, 2, scale=0.3)


def by_layer(landscape, x: Tensor) -> Tensor:
    """α in the first layer, 1/α in the second: biases of the first follow its weights, those of the second stay."""
    named = dict(landscape.spec.unflatten(x))
    named["layers.0.weight"] = ALPHA * named["layers.0.weight"]
    named["layers.0.bias"] = ALPHA * named["layers.0.bias"]
    named["layers.2.weight"] = named["layers.2.weight"] / ALPHA
    return landscape.spec.flatten(named)


def by_unit(landscape, x: Tensor) -> Tensor:
    """Another factor for each hidden unit of the first layer."""
    named = dict(landscape.spec.unflatten(x))
    factor = 2.0 ** torch.arange(-4, 4, dtype=x.dtype)
    named["layers.0.weight"] = factor[:, None] * named["layers.0.weight"]
    named["layers.0.bias"] = factor * named["layers.0.bias"]
    named["layers.2.weight"] = named["layers.2.weight"] / factor
    return landscape.spec.flatten(named)


def measures(landscape, x: Tensor, scaling: str) -> Tensor:
    """Top eigenvalue and trace of each point, exact."""
    matrices = scaled_hessian(landscape, x, scaling).dense()
    return torch.stack([torch.linalg.eigvalsh(matrices)[..., -1], matrices.diagonal(dim1=-2, dim2=-1).sum(-1)])


@pytest.mark.parametrize(
    ("rescale", "invariant"),
    [(by_layer, {"parameter", "filter", "layer"}), (by_unit, {"parameter"})],
    ids=["layers", "units"],
)
def test_what_follows_a_rescaling_and_what_does_not(relu, rescale, invariant):
    landscape, x = relu
    other = rescale(landscape, x)
    assert torch.allclose(landscape.value(x), landscape.value(other), rtol=1e-13)
    for scaling in ("none", "parameter", "filter", "layer"):
        before, after = measures(landscape, x, scaling), measures(landscape, other, scaling)
        if scaling in invariant:
            assert torch.allclose(before, after, rtol=1e-10), scaling
        else:
            assert float((after / before).log().abs().min()) > 0.1, scaling


def test_a_smooth_network_is_no_longer_the_same(relu):
    """Rescaling a softplus network changes its function: nothing to be invariant under."""
    landscape, *_ = perceptron(8, nn.Softplus)
    x = relu[1]
    assert not torch.allclose(landscape.value(x), landscape.value(by_layer(landscape, x)), rtol=1e-3)


def test_the_estimates_do_not_move_either(relu):
    """The whole function on a network too large to be diagonalised: same vectors, same scaled matrix, same numbers."""
    landscape, x = relu
    before, after = (sharpness(landscape, each, k=2) for each in (x, by_layer(landscape, x)))
    assert bool(before.top.converged.all())
    assert torch.allclose(before.top.values, after.top.values, rtol=1e-9)
    assert torch.allclose(before.trace.value, after.trace.value, rtol=1e-9)
    assert torch.allclose(before.top.values[:, 0], measures(landscape, x, "parameter")[0], rtol=1e-9)
    assert bool((before.trace.low <= measures(landscape, x, "parameter")[1]).all())
    assert before.invariance.startswith("exactly invariant under every rescaling")
    raw = sharpness(landscape, x, scaling="none")
    assert torch.allclose(raw.top.values[:, 0], torch.linalg.eigvalsh(HessianOperator(landscape, x).dense())[:, -1])
    assert raw.invariance == "changes whenever weights are rescaled"


def test_scales_have_the_size_of_the_weights(relu):
    landscape, x = relu
    spec = landscape.spec
    assert torch.equal(weight_scale("parameter", x, spec), x.abs())
    for scaling in ("filter", "layer"):
        named = spec.unflatten(weight_scale(scaling, x, spec))
        for name, weights in spec.unflatten(x).items():
            axes = tuple(range(1, weights.ndim))
            assert torch.allclose(named[name].square().sum(axes), weights.square().sum(axes), rtol=1e-12)
    rows = spec.unflatten(weight_scale("filter", x, spec))["layers.0.weight"]
    weights = spec.unflatten(x)["layers.0.weight"]
    assert torch.allclose(rows[0, 3], weights[0, 3].square().mean().sqrt().expand(7), rtol=1e-12)
    assert torch.equal(weight_scale("none", x, spec), torch.ones_like(x))


def test_energies_have_no_filters():
    bowl = landscapes.get("quadratic", dim=3)
    x = torch.ones(3, dtype=torch.float64)
    assert torch.allclose(scaled_hessian(bowl, -2 * x, "parameter").dense(), 4 * HessianOperator(bowl, x).dense())
    with pytest.raises(InputError, match="named parameters"):
        scaled_hessian(bowl, x, "filter")
    with pytest.raises(InputError, match="did you mean 'filter'"):
        scaled_hessian(bowl, x, "filters")
