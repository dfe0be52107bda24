"""Eigenpairs against dense float64 Hessians, scipy and matrices with known spectra."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from curved_networks import MatrixOperator, dense_hessian, perceptron, points, symmetric
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from scipy.sparse.linalg import eigsh

from lossatlas import landscape as landscapes
from lossatlas.core.errors import InputError
from lossatlas.curvature import HessianOperator, eigenvalues
from lossatlas.landscape import NetworkLandscape

# Above the size at which the matrix is simply made.
DIM = 300


def spectrum(dim: int = DIM) -> torch.Tensor:
    """Like a network's: a few large values, a bulk near zero, some negative."""
    values = 10.0 / torch.arange(1, dim + 1, dtype=torch.float64) ** 1.3
    values[dim // 2 :] *= -0.3
    return values


@cache
def diagonalised(hidden: int) -> tuple[NetworkLandscape, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A network of 163 or 1 903 parameters, a point, and the eigenpairs of its dense Hessian there, ascending."""
    landscape, network, data = perceptron(hidden)
    x = points(landscape, 1, scale=0.5)
    return landscape, x, *torch.linalg.eigh(dense_hessian(network, landscape, data, x[0]))


@pytest.mark.parametrize("hidden", [8, 38])
@pytest.mark.parametrize("which", ["largest", "smallest", "both"])
def test_networks_against_their_dense_hessians(hidden, which):
    landscape, x, values, vectors = diagonalised(hidden)
    found = eigenvalues(landscape, x, k=3, which=which)
    assert bool(found.converged.all())
    places = {"largest": [-1, -2, -3], "smallest": [0, 1, 2], "both": [-1, -2, -3, 2, 1, 0]}[which]
    assert torch.allclose(found.values[0], values[places], rtol=1e-6, atol=0)
    assert subspace_angles(found.vectors[0].T.numpy(), vectors[:, places].numpy()).max() < 1e-4
    assert found.method == "reverse over reverse; thick-restart Lanczos"
    assert found.data == "all 40 examples"


def test_many_restarts_end_at_scipys_values():
    values = torch.cat([torch.linspace(1.0, 1.05, 20, dtype=torch.float64), torch.linspace(-1, 0.99, 480).double()])
    matrix = symmetric(values)
    found = eigenvalues(MatrixOperator(matrix[None]), k=10, tolerance=1e-8, max_products=3000)
    assert int(found.products) > 150  # more than one basis holds
    assert bool(found.converged.all())
    reference = eigsh(matrix.numpy(), k=10, which="LA", return_eigenvectors=False)[::-1]
    assert torch.allclose(found.values[0], torch.as_tensor(reference.copy()), rtol=1e-10)
    assert torch.allclose(found.vectors[0] @ found.vectors[0].T, torch.eye(10, dtype=torch.float64), atol=1e-10)


def test_each_minimum_has_the_same_eigenpairs_alone_and_in_company():
    landscape, *_ = perceptron(12)
    x = points(landscape, 5, scale=0.6)
    together = eigenvalues(landscape, x, k=4)
    assert len(set(together.products.tolist())) > 1, "choose points that stop at different times"
    for part in ([3], [4, 1]):
        alone = eigenvalues(landscape, x[part], k=4)
        # To rounding: where a row begins in memory changes the order of sums on some processors.
        torch.testing.assert_close(alone.values, together.values[part], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(alone.vectors, together.vectors[part], rtol=1e-6, atol=1e-6)
        assert torch.equal(alone.products, together.products[part])


def test_all_minima_advance_by_the_same_calls():
    operator = MatrixOperator(torch.stack([symmetric(spectrum(), seed) for seed in range(4)]))
    found = eigenvalues(operator, k=2)
    assert operator.calls[0].tolist() == [0, 1, 2, 3]
    # As many calls as the slowest needs; the certificate is one call.
    assert len(operator.calls) == int(found.products.max()) - 2 + 1


def test_residuals_are_true_and_flags_follow_them():
    operator = MatrixOperator(symmetric(spectrum())[None])
    found = eigenvalues(operator, k=5, max_products=14)
    true = operator.matrices[0] @ found.vectors[0].T - found.vectors[0].T * found.values[0]
    assert torch.allclose(found.residuals[0], torch.linalg.vector_norm(true, dim=0), rtol=1e-6, atol=1e-12)
    assert not bool(found.converged.all())
    assert int(found.products) <= 14
    settled = found.residuals <= found.tolerance * found.values.abs().clamp_min(1e-3 * float(found.values.max()))
    assert torch.equal(found.converged, settled)
    for value, residual in zip(found.values[0], found.residuals[0], strict=True):
        assert float((spectrum() - value).abs().min()) <= float(residual) * (1 + 1e-9) + 1e-12


def test_float32_reaches_what_its_products_allow():
    landscape, network, data = perceptron(12, dtype=torch.float32)
    x = points(landscape, 2, scale=0.5)
    hessian = HessianOperator(landscape, x, dtype=torch.float32)
    found = eigenvalues(hessian, k=3)
    assert found.values.dtype == torch.float64
    assert bool(found.converged.all())
    for row in range(2):
        truth = torch.linalg.eigvalsh(dense_hessian(network.double(), landscape, data, x[row])).flip(0)[:3]
        assert torch.allclose(found.values[row], truth, rtol=1e-5)
        network.float()
    strict = eigenvalues(hessian, k=3, tolerance=1e-12, max_products=200)
    assert not bool(strict.converged.any())


@pytest.mark.parametrize("seed", range(5))
def test_a_repeated_eigenvalue_is_found_as_often_as_the_block_is_wide(seed):
    values = spectrum()
    values[:4] = 20.0
    operator = MatrixOperator(symmetric(values)[None])
    wide, narrow = (eigenvalues(operator, k=5, block=block, seed=seed) for block in (4, 1))
    assert bool(wide.converged.all())
    assert torch.allclose(wide.values[0], values[:5], rtol=1e-9)
    # One vector at a time sees one copy; rounding errors bring the others, soon or late.
    assert abs(float(narrow.values[0, 0]) - 20) < 1e-6


@pytest.mark.parametrize("rank", [0, 1, 5])
def test_low_rank_matrices_end_in_zeros(rank):
    """The space that products span is exhausted; the search goes on in the rest."""
    values = torch.zeros(DIM, dtype=torch.float64)
    values[:rank] = torch.arange(rank, 0, -1, dtype=torch.float64)
    found = eigenvalues(MatrixOperator(symmetric(values)[None]), k=8)
    assert torch.allclose(found.values[0], values[:8], atol=1e-9)
    assert torch.allclose(found.vectors[0] @ found.vectors[0].T, torch.eye(8, dtype=torch.float64), atol=1e-9)
    assert bool(found.converged[0, :rank].all())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1e-8, 1.0, 1e8]), st.floats(-3, 3))
def test_scaled_and_shifted_matrices_have_scaled_and_shifted_eigenvalues(seed, scale, shift):
    values = spectrum(120) + shift
    found = eigenvalues(MatrixOperator(symmetric(values, seed)[None] * scale), k=2, which="both", max_products=2000)
    truth = values.sort(descending=True).values[[0, 1, -2, -1]] * scale
    assert bool(found.converged.all())
    assert torch.allclose(found.values[0], truth, rtol=1e-6, atol=1e-9 * scale)


def test_toys_are_diagonalised_whole():
    toy = landscapes.get("muller-brown")
    x = torch.stack([point.x for point in toy.minima + toy.saddles])
    found = eigenvalues(toy, x, k=2)
    assert found.method.endswith("dense")
    assert (found.values[:, 1] < 0).tolist() == [point.index == 1 for point in toy.minima + toy.saddles]
    assert bool((found.values[:, 0] > 0).all())
    assert bool(found.converged.all())
    assert found.products.tolist() == [2] * len(x)
    peak = found.vectors.gather(-1, found.vectors.abs().argmax(-1, keepdim=True))
    assert bool((peak > 0).all())


@pytest.mark.parametrize("dim", [6, DIM])
def test_a_minimum_that_is_not_finite_spoils_no_other(dim):
    good = symmetric(spectrum(dim))
    found = eigenvalues(MatrixOperator(torch.stack([good, torch.full_like(good, torch.nan), good])), k=2)
    assert bool(found.values[1].isnan().all())
    assert found.converged.tolist() == [[True, True], [False, False], [True, True]]
    assert torch.equal(found.values[0], found.values[2])


@pytest.mark.parametrize("dim", [6, DIM])
def test_no_minima_are_no_eigenvalues(dim):
    found = eigenvalues(MatrixOperator(torch.empty(0, dim, dim, dtype=torch.float64)), k=2)
    assert found.values.shape == (0, 2)
    assert found.vectors.shape == (0, 2, dim)


def test_the_random_state_is_left_alone():
    landscape, *_ = perceptron()
    state = torch.random.get_rng_state()
    eigenvalues(landscape, points(landscape, 1), k=1)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_bad_input_is_refused():
    landscape, *_ = perceptron()
    x = points(landscape, 1)
    with pytest.raises(InputError, match="1 to 163 eigenvalues"):
        eigenvalues(landscape, x, k=164)
    with pytest.raises(InputError, match="'largest', 'smallest' or 'both'"):
        eigenvalues(landscape, x, which="LA")
    with pytest.raises(InputError, match="max_products of at least 1"):
        eigenvalues(landscape, x, max_products=0)
    with pytest.raises(InputError, match="got none"):
        eigenvalues(landscape)
    with pytest.raises(InputError, match="leave them out"):
        eigenvalues(HessianOperator(landscape, x), x)
