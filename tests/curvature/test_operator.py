"""The operator is the Hessian: against an independent dense one, for many points at once, by every route."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from curved_networks import dense_hessian, perceptron, points
from sample_networks import NETWORKS, PLAIN, rows_of
from scipy.sparse.linalg import eigsh
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lossatlas import landscape as landscapes
from lossatlas.core.errors import InputError
from lossatlas.curvature import HessianOperator, ScaledOperator
from lossatlas.landscape import NetworkLandscape, Numerics


@pytest.fixture(scope="module")
def small():
    landscape, network, data = perceptron()
    x = points(landscape, 3)
    return landscape, x, torch.stack([dense_hessian(network, landscape, data, row) for row in x])


def test_products_at_many_points_are_the_hessians(small):
    landscape, x, truth = small
    hessian = HessianOperator(landscape, x.reshape(3, 1, -1))
    v = torch.randn(2, 3, 1, landscape.dim, dtype=torch.float64)
    expected = torch.einsum("nij,mnj->mni", truth, v[:, :, 0])[:, :, None]
    assert torch.allclose(hessian @ v, expected, rtol=1e-11, atol=1e-12)
    assert hessian.products.tolist() == [[2], [2], [2]]
    assert torch.allclose(hessian.dense()[:, 0], truth, rtol=1e-11, atol=1e-12)
    assert hessian.method == "reverse over reverse"
    assert hessian.data == "all 40 examples"


def test_a_vector_meets_the_row_it_names(small):
    landscape, x, truth = small
    v = torch.randn(4, landscape.dim, dtype=torch.float64)
    found = HessianOperator(landscape, x).multiply(v, torch.tensor([2, 0, 2, 1]))
    assert torch.allclose(found, torch.einsum("nij,nj->ni", truth[[2, 0, 2, 1]], v), rtol=1e-11, atol=1e-12)


def test_differences_are_named_and_near(small):
    landscape, x, truth = small
    hessian = HessianOperator(landscape, x, method="differences")
    v = torch.randn(3, landscape.dim, dtype=torch.float64)
    assert torch.allclose(hessian @ v, torch.einsum("nij,nj->ni", truth, v), rtol=0, atol=1e-6)
    assert hessian.method == "central differences of the gradient"


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_kept_graphs_give_the_products_of_the_landscape(name):
    """The same products to rounding, whether the graph is kept or memory allows none to be.

    Not the same bits everywhere: where parts of a row begin in memory changes the order of sums on some processors.
    """
    landscape = NETWORKS[name](numerics=Numerics(data_chunk=7))
    x = rows_of(landscape, 2)
    v = torch.randn_like(x)
    expected = landscape.hvp(x, v)
    rounding = {"rtol": 1e-5, "atol": 1e-6 * float(expected.abs().max())}
    kept = landscape.hessian_at(x)
    for _ in range(2):
        torch.testing.assert_close(kept.multiply(v, torch.arange(2)), expected, **rounding)
    assert kept.method == landscape.hvp_method
    poor = NETWORKS[name](numerics=Numerics(data_chunk=7), memory=1).hessian_at(x)
    torch.testing.assert_close(poor.multiply(v, torch.arange(2)), expected, **rounding)


def test_a_loader_is_read_again_for_each_product(small):
    landscape, x, truth = small
    _, network, data = perceptron()
    loader = DataLoader(TensorDataset(*data), batch_size=16)
    reading = NetworkLandscape(network, F.cross_entropy, loader)
    v = torch.randn(3, landscape.dim, dtype=torch.float64)
    expected = torch.einsum("nij,nj->ni", truth, v)
    assert torch.allclose(HessianOperator(reading, x) @ v, expected, rtol=1e-11, atol=1e-12)


def test_mini_batches_of_each_row_are_labelled_and_used():
    landscape, network, (inputs, targets) = perceptron()
    x = points(landscape, 2)
    batches = torch.tensor([[0, 1, 2, 3], [9, 8, 7, 6]])
    hessian = HessianOperator(landscape.on(batches), x)
    assert hessian.data == "mini-batch of 4 examples"
    v = torch.randn(landscape.dim, dtype=torch.float64)
    for row in (1, 0):
        truth = dense_hessian(network, landscape, (inputs[batches[row]], targets[batches[row]]), x[row])
        found = hessian.multiply(v[None], torch.tensor([row]))[0]
        assert torch.allclose(found, truth @ v, rtol=1e-11, atol=1e-12)
    shared = HessianOperator(landscape.on(torch.arange(40)), x)
    assert shared.data == "mini-batch of 40 examples"
    whole = HessianOperator(landscape, x)
    assert torch.allclose(shared @ v.expand(2, -1), whole @ v.expand(2, -1), rtol=1e-12, atol=1e-14)


def test_float32_products_are_accumulated_in_float64(small):
    landscape, x, truth = small
    single = landscape.to(dtype=torch.float32)
    hessian = HessianOperator(single, x.float(), dtype=torch.float32)
    v = torch.randn(3, landscape.dim, dtype=torch.float64)
    product = hessian @ v
    assert product.dtype == torch.float64
    expected = torch.einsum("nij,nj->ni", truth, v)
    assert 1e-9 < float((product - expected).abs().max()) < 1e-5
    assert hessian.method == "reverse over reverse in float32"
    # By default in float64: points and data are rounded, products are not.
    by_default = HessianOperator(single, x.float())
    assert torch.equal(by_default @ v, HessianOperator(single.to(dtype=torch.float64), x.float().double()) @ v)
    with pytest.raises(InputError, match="float32 or float64"):
        HessianOperator(single, x.float(), dtype=torch.float16)


def test_a_tiny_loss_needs_float64():
    """Fitted to 1e-6, the slopes of float32 cross-entropy are differences of numbers next to 1."""
    landscape, network, data = perceptron(dtype=torch.float32)
    w = landscape._initial_point()
    optimizer = torch.optim.LBFGS([w.requires_grad_()], max_iter=4, line_search_fn="strong_wolfe", tolerance_grad=0)

    def closure() -> torch.Tensor:
        loss, w.grad = landscape.value_and_grad(w.detach())
        return loss

    # No farther: rounding of float64 shows too where the loss is as small as its own.
    for _ in range(100):
        if float(landscape.value(w.detach())) < 1e-6:
            break
        optimizer.step(closure)
    w = w.detach()
    assert float(landscape.value(w)) < 1e-6
    truth = dense_hessian(network.double(), landscape, data, w)
    network.float()
    v = torch.linalg.eigh(truth)[1][:, -1:].T
    errors = [
        float(torch.linalg.vector_norm(HessianOperator(landscape, w, dtype=dtype) @ v[0] - truth @ v[0]))
        / float(torch.linalg.vector_norm(truth @ v[0]))
        for dtype in (torch.float32, torch.float64)
    ]
    assert errors[0] > 1e-5
    assert errors[1] < 1e-9


def test_scipy_takes_one_row(small):
    landscape, x, truth = small
    operator = HessianOperator(landscape, x).linear_operator(1)
    assert operator.shape == (landscape.dim, landscape.dim)
    found = eigsh(operator, k=3, which="LA", return_eigenvectors=False)
    assert torch.allclose(torch.as_tensor(found), torch.linalg.eigvalsh(truth[1])[-3:], rtol=1e-9)


@pytest.mark.parametrize("name", ["rosenbrock", "muller-brown", "quadratic", "phi4-ring"])
def test_energies_use_their_own_products(name):
    energy = landscapes.get(name)
    x = 0.3 + 0.1 * torch.arange(energy.dim, dtype=torch.float64).remainder(5)
    hessian = HessianOperator(energy, x)
    assert float(hessian.check().differences.max()) < 1e-6
    by_differences = HessianOperator(energy, x, method="differences")
    assert torch.allclose(
        by_differences.dense(), hessian.dense(), rtol=1e-6, atol=1e-5 * float(hessian.dense().abs().max())
    )
    assert hessian.data == "no data"
    assert "differences" in by_differences.method
    assert "differences" not in hessian.method


def test_the_check_finds_a_wrong_product(small):
    landscape, x, _ = small
    good = HessianOperator(landscape, x).check()
    assert good.differences.shape == (3, 3)
    assert float(good.differences.max()) < 1e-6
    assert good.method == "reverse over reverse"
    wrong = landscapes.get("quadratic", dim=5)
    wrong._hessian_product = lambda x, v: 2 * v  # type: ignore[method-assign]
    assert float(HessianOperator(wrong, torch.zeros(5, dtype=torch.float64)).check().differences.min()) > 0.1


def test_the_check_sees_the_kinks_of_relu():
    """At a point where units switch off, the Hessian of the pieces is not that of the loss."""
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU()).double()
    data = (torch.ones(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    landscape = NetworkLandscape(net, F.mse_loss, data, numerics=PLAIN)
    x = torch.zeros(2, dtype=torch.float64)  # exactly on the kink
    assert float(HessianOperator(landscape, x).check().differences.min()) > 0.9
    assert float(HessianOperator(landscape, x + 1).check().differences.max()) < 1e-6


def test_scaling_is_on_both_sides(small):
    landscape, x, truth = small
    scale = torch.rand(3, landscape.dim, dtype=torch.float64)
    scaled = ScaledOperator(HessianOperator(landscape, x), scale)
    assert torch.allclose(scaled.dense(), scale[:, :, None] * truth * scale[:, None, :], rtol=1e-11, atol=1e-12)
    assert (scaled.method, scaled.data) == ("reverse over reverse", "all 40 examples")


def test_bad_input_is_refused(small):
    landscape, x, _ = small
    with pytest.raises(InputError, match="expected rows of 163"):
        HessianOperator(landscape, x[:, :-1])
    with pytest.raises(InputError, match="'auto' or 'differences'"):
        HessianOperator(landscape, x, method="exact")
    hessian = HessianOperator(landscape, x)
    with pytest.raises(InputError, match=r"shape \(3, 163\)"):
        hessian.multiply(x[:2])
    with pytest.raises(InputError, match="expected vectors of shape"):
        hessian @ x[0]
    with pytest.raises(InputError, match=r"row in 0\.\.2"):
        hessian.linear_operator(3)
    with pytest.raises(InputError, match="finite scale"):
        ScaledOperator(hessian, torch.ones(2))
