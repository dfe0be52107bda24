"""Gauss-Newton and Fisher matrices against Jacobians and gradients of single samples, on every kind of network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from curved_networks import perceptron, points
from sample_networks import NETWORKS, rows_of
from torch import nn
from torch.func import functional_call, grad, jacrev, vmap
from torch.utils.data import DataLoader, TensorDataset

from lossatlas import landscape as landscapes
from lossatlas.core.errors import InputError
from lossatlas.curvature import (
    FisherOperator,
    GaussNewtonOperator,
    HessianOperator,
    eigenvalues,
    spectral_density,
    trace,
)
from lossatlas.landscape import NetworkLandscape, Numerics


def dense_gauss_newton(network, landscape, data, x):
    """Σ Jᵀ (diag p - p pᵀ) J / N, the Hessian of cross-entropy by its logits written out."""
    inputs, _ = data

    def outputs(flat):
        return functional_call(network, landscape.spec.unflatten(flat), (inputs.double(),))

    jacobian, p = jacrev(outputs)(x.double()), outputs(x.double()).softmax(-1)
    middle = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    return torch.einsum("nci,ncd,ndj->ij", jacobian, middle, jacobian) / len(inputs)


def dense_fisher(network, landscape, data, x):
    """Σ g gᵀ / N from the gradients of single samples."""

    def one(flat, sample, target):
        output = functional_call(network, landscape.spec.unflatten(flat), (sample[None].double(),))
        return F.cross_entropy(output, target[None])

    g = vmap(grad(one), (None, 0, 0))(x.double(), *data)
    return g.T @ g / len(g)


TRUTHS = {GaussNewtonOperator: dense_gauss_newton, FisherOperator: dense_fisher}


@pytest.mark.parametrize("operator", TRUTHS)
def test_products_at_many_points_are_those_of_the_matrix(operator):
    landscape, network, data = perceptron(4)
    x = points(landscape, 3, scale=0.5)
    matrix = operator(landscape, x.reshape(3, 1, -1))
    truth = torch.stack([TRUTHS[operator](network, landscape, data, row) for row in x])
    assert torch.allclose(matrix.dense()[:, 0], truth, rtol=1e-10, atol=1e-14)
    assert matrix.data == "all 40 examples"
    assert matrix.method.endswith("matrix: Jacobian by reverse over reverse")
    check = matrix.check()
    assert check.differences.shape == (3, 1, 3)
    assert bool((check.differences < 1e-8).all())
    assert float(check.differences.max()) > 0, "differences are another way to the same number"


@pytest.mark.parametrize("operator", TRUTHS)
def test_every_algorithm_works_on_them(operator):
    landscape, network, data = perceptron(8)
    x = points(landscape, 1, scale=0.5)
    truth = torch.linalg.eigvalsh(TRUTHS[operator](network, landscape, data, x[0]))
    matrix = operator(landscape, x)
    found = eigenvalues(matrix, k=4)
    assert torch.allclose(found.values[0], truth.flip(0)[:4], rtol=1e-6)
    assert float(truth[0]) > -1e-12
    total = trace(matrix)
    assert float(total.low) <= float(truth.sum()) <= float(total.high)
    moment = spectral_density(matrix, probes=20, steps=6).moment(2)
    assert float(moment.low) <= float(truth.square().mean()) <= float(moment.high)


@pytest.mark.parametrize("operator", TRUTHS)
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_kept_graphs_memory_and_differences_agree_on_every_network(name, operator):
    landscape = NETWORKS[name](numerics=Numerics(data_chunk=7), dtype=torch.float64)
    x = rows_of(landscape, 1)[0]
    v = torch.randn(landscape.dim, dtype=torch.float64)
    kept = operator(landscape, x)
    first = kept @ v
    assert torch.allclose(kept @ v, first, rtol=1e-12, atol=0)
    poor = operator(NETWORKS[name](numerics=Numerics(data_chunk=7), dtype=torch.float64, memory=1), x)
    assert torch.allclose(poor @ v, first, rtol=1e-12, atol=1e-15)
    assert bool((kept.check(directions=1).differences < 1e-6).all())


def test_where_every_sample_is_fitted_it_is_the_hessian():
    g = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    inputs = torch.randn(6, 2, generator=g, dtype=torch.float64)
    landscape = NetworkLandscape(net, F.mse_loss, (inputs, net(inputs).detach()))
    w = landscape.flatten(net)
    assert torch.allclose(GaussNewtonOperator(landscape, w).dense(), HessianOperator(landscape, w).dense(), atol=1e-12)
    elsewhere = w + 0.3
    assert not torch.allclose(
        GaussNewtonOperator(landscape, elsewhere).dense(), HessianOperator(landscape, elsewhere).dense(), atol=1e-3
    )


def test_loaders_mini_batches_and_sums():
    landscape, network, data = perceptron(4)
    x = points(landscape, 2)
    loader = NetworkLandscape(network, F.cross_entropy, DataLoader(TensorDataset(*data), batch_size=16))
    for operator, truth in TRUTHS.items():
        whole = operator(landscape, x).dense()
        assert torch.allclose(operator(loader, x).dense(), whole, atol=1e-14)
        batches = torch.tensor([[0, 1, 2, 3], [9, 8, 7, 6]])
        matrix = operator(landscape.on(batches), x)
        assert matrix.data == "mini-batch of 4 examples"
        own = [truth(network, landscape, tuple(part[batch] for part in data), row) for batch, row in zip(batches, x)]  # noqa: B905
        assert torch.allclose(matrix.dense(), torch.stack(own), atol=1e-14)
        summed = NetworkLandscape(
            network, lambda out, y: F.cross_entropy(out, y, reduction="sum"), data, reduction="sum"
        )
        assert torch.allclose(operator(summed, x).dense(), 40 * whole, atol=1e-12)


class NoDouble(torch.autograd.Function):
    """tanh with a backward pass that cannot be differentiated."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x.tanh())
        return x.tanh()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        (y,) = ctx.saved_tensors
        return slope * (1 - y * y)


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.out = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.out(NoDouble.apply(self.inp(x)))


def test_a_kernel_without_second_derivative_falls_back_on_differences_and_says_so():
    net = Odd().double()
    data = torch.randn(9, 3, dtype=torch.float64), torch.randint(0, 2, (9,))
    landscape = NetworkLandscape(net, F.cross_entropy, data, numerics=Numerics(data_chunk=4))
    plain = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    same = NetworkLandscape(plain, F.cross_entropy, data)
    w = landscape.flatten(net)
    matrix = GaussNewtonOperator(landscape, w)
    assert torch.allclose(matrix.dense(), GaussNewtonOperator(same, w).dense(), atol=1e-8)
    assert matrix.method == "Gauss-Newton matrix: Jacobian by central differences of the outputs"
    # The Hessian too: the part that autograd sees, that of the last layer, is not all there is.
    hessian = HessianOperator(landscape, w)
    assert torch.allclose(hessian.dense(), HessianOperator(same, w).dense(), atol=1e-8)
    assert hessian.method == "central differences of the gradient"
    v = torch.randn(landscape.dim, dtype=torch.float64)
    assert torch.allclose(landscape.hvp(w, v), same.hvp(w, v), atol=1e-8)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="no outputs"):
        GaussNewtonOperator(landscapes.get("muller-brown"), torch.zeros(2, dtype=torch.float64))
    net = nn.Linear(2, 2)
    data = torch.randn(4, 2), torch.zeros(4, 2)
    pooled = NetworkLandscape(net, F.mse_loss, data, forward=lambda m, b: (m(b[0]).mean(0), b[1][0]))
    w = pooled.flatten(net)
    assert GaussNewtonOperator(pooled, w).dense().shape == (6, 6)
    with pytest.raises(InputError, match="one output for each of 4 samples"):
        FisherOperator(pooled, w).dense()
    several = NetworkLandscape(
        net, lambda out, y: F.mse_loss(out["a"], y), data, forward=lambda m, b: ({"a": m(b[0])}, b[1])
    )
    with pytest.raises(InputError, match="one tensor"):
        GaussNewtonOperator(several, w)
