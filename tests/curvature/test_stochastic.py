"""Trace, diagonal and density: inside their own intervals as often as they say, exact where they claim to be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from curved_networks import MatrixOperator, dense_hessian, perceptron, points, symmetric

from lossatlas.core.errors import InputError
from lossatlas.curvature import diagonal, eigenvalues, spectral_density, trace

SEEDS = 300


@pytest.fixture(scope="module")
def network():
    """The dense Hessian of a perceptron of 323 parameters, positive and negative eigenvalues."""
    landscape, module, data = perceptron(12)
    x = points(landscape, 1, scale=0.5)
    return landscape, x, dense_hessian(module, landscape, data, x[0])


class Fast(MatrixOperator):
    """One matrix, multiplied at once."""

    def _multiply(self, v, where):
        return v @ self.matrices[0]


def spectra() -> dict[str, torch.Tensor]:
    rank = torch.arange(1, 201, dtype=torch.float64)
    return {
        "fast decay": 10 / rank**2,
        "slow decay": 1 / rank**0.5,
        "indefinite": torch.cos(rank) + 0.5,
        "flat": 0 * rank + 2,
    }


@pytest.mark.parametrize("name", [*spectra(), "network"])
@pytest.mark.parametrize("tolerance", [0.1, 10.0], ids=["adaptive", "first probes only"])
def test_the_trace_is_inside_its_interval_as_often_as_promised(name, tolerance, network):
    matrix = network[2] if name == "network" else symmetric(spectra()[name])
    truth = float(matrix.trace())
    operator = Fast(matrix[None])
    found = [trace(operator, tolerance=tolerance, seed=seed) for seed in range(SEEDS)]
    inside = sum(bool(each.low - 1e-9 <= truth <= each.high + 1e-9) for each in found)
    assert inside >= 0.97 * SEEDS
    if tolerance < 1:
        assert len({int(each.samples) for each in found}) > 1 or name != "network"
        assert all(bool(each.converged) == bool(each.error <= tolerance * abs(each.value)) for each in found)
    # The intervals are not simply wide: the errors they state are the errors there are.
    true = torch.tensor([float(each.value) - truth for each in found]).square().mean().sqrt()
    stated = torch.stack([each.error.square() for each in found]).mean().sqrt()
    assert 0.8 < float((true + 1e-12) / (stated + 1e-12)) < 1.25


def test_a_network_meets_its_tolerance(network):
    landscape, x, dense = network
    found = trace(landscape, x, tolerance=0.05, seed=1)  # one seed in a hundred is outside, as promised
    assert bool(found.converged.all())
    assert float(found.low) <= float(dense.trace()) <= float(found.high)
    assert int(found.products) == 20 + int(found.samples)
    assert found.method == "reverse over reverse; Hutch++"
    assert found.data == "all 40 examples"
    on_batch = trace(landscape.on(torch.arange(8)), x)
    assert on_batch.data == "mini-batch of 8 examples"


def test_eigenvectors_take_the_place_of_the_sketch(network):
    landscape, x, dense = network
    pairs = eigenvalues(landscape, x, k=10)
    deflated = trace(landscape, x, tolerance=0.1, deflate=pairs)
    plain = trace(landscape, x, tolerance=0.1, sketch=0)
    assert float(deflated.low) <= float(dense.trace()) <= float(deflated.high)
    assert int(deflated.samples) < int(plain.samples)


def test_a_matrix_of_low_rank_is_exact():
    values = torch.zeros(200, dtype=torch.float64)
    values[:6] = torch.tensor([9.0, 5.0, 4.0, -3.0, 2.0, 1.0])
    found = trace(Fast(symmetric(values)[None]))
    assert abs(float(found.value) - 18) < 1e-9
    assert float(found.error) < 1e-9


@pytest.mark.parametrize("dim", [5, 100])
def test_minima_do_not_influence_each_other(dim):
    matrices = torch.stack([symmetric(torch.linspace(1, 3 + seed, dim).double(), seed) for seed in range(3)])
    matrices[1] = torch.nan
    together = trace(MatrixOperator(matrices), tolerance=0.005)
    alone = trace(MatrixOperator(matrices[2:]), tolerance=0.005)
    assert torch.equal(together.value[2:], alone.value)
    assert torch.equal(together.error[2:], alone.error)
    assert bool(together.value[1].isnan())
    assert together.converged.tolist() == [True, False, True]
    assert bool(((together.low <= matrices.diagonal(dim1=1, dim2=2).sum(1)) | together.value.isnan()).all())
    assert bool((together.error[[0, 2]] == 0).all()) == (dim == 5)


def test_the_diagonal_is_inside_its_intervals(network):
    landscape, x, dense = network
    found = diagonal(landscape, x, samples=60, confidence=0.99)
    truth = dense.diagonal()
    inside = (found.low[0] - 1e-12 <= truth) & (truth <= found.high[0] + 1e-12)
    assert float(inside.double().mean()) > 0.95
    assert 0.6 < float(((found.value[0] - truth).square().mean() / found.error[0].square().mean()).sqrt()) < 1.6
    more = diagonal(landscape, x, samples=240)
    assert 0.4 < float(more.error.norm() / found.error.norm()) < 0.6
    assert int(more.products) == 240 + 20


def test_the_diagonal_of_eigenvectors_found_before(network):
    landscape, x, dense = network
    pairs = eigenvalues(landscape, x, k=10, which="both")
    found = diagonal(landscape, x, samples=60, deflate=pairs)
    plain = diagonal(landscape, x, samples=60, sketch=0)
    assert float((found.value[0] - dense.diagonal()).norm()) < float((plain.value[0] - dense.diagonal()).norm())


def test_a_diagonal_no_longer_than_its_probes_is_exact():
    matrix = symmetric(torch.linspace(-1, 4, 50).double())
    found = diagonal(MatrixOperator(matrix[None]))
    assert torch.allclose(found.value[0], matrix.diagonal(), atol=1e-12)
    assert float(found.error.max()) == 0
    assert found.samples == 0


def test_moments_of_the_density_are_within_their_error(network):
    dense = network[2]
    # Five steps are exact to degree 9. Every ten probes are a study of their own.
    density = spectral_density(Fast(dense[None]), steps=5, probes=1000)
    for power in (1, 2, 3, 4):
        truth = float((torch.linalg.eigvalsh(dense) ** power).mean())
        whole = density.moment(power)
        assert float(whole.low) <= truth <= float(whole.high)
        inside = 0
        for part in range(0, 1000, 10):
            study = replace(
                density, nodes=density.nodes[:, part : part + 10], weights=density.weights[:, part : part + 10]
            )
            moment = study.moment(power)
            inside += bool(moment.low <= truth <= moment.high)
        assert inside >= 95


def test_moments_are_those_of_the_probes_exactly(network):
    """Quadrature of m steps is exact to degree 2m - 1: no error besides that of the probes."""
    landscape, x, _ = network
    density = spectral_density(landscape, x, probes=4, steps=4)
    longer = spectral_density(landscape, x, probes=4, steps=30)
    assert torch.allclose(density.weights.sum(-1), torch.ones(1, 4, dtype=torch.float64), rtol=1e-12)
    for power in range(8):
        a, b = density.moment(power), longer.moment(power)
        assert torch.allclose(a.value, b.value, rtol=1e-9)
    assert not torch.allclose(density.moment(8).value, longer.moment(8).value, rtol=1e-9)
    assert int(longer.products) == 120


def test_the_density_counts_eigenvalues():
    values = torch.cat([torch.full((150,), -1.0), torch.full((50,), 2.0)]).double()
    density = spectral_density(Fast(symmetric(values)[None]), probes=50, steps=10)
    part = density.below(torch.tensor([-2.0, 0.0, 3.0]))
    assert part.value.shape == (1, 3)
    assert float(part.low[0, 1]) < 0.75 < float(part.high[0, 1])
    assert part.value[0, [0, 2]].tolist() == pytest.approx([0, 1])
    t = torch.linspace(-5, 6, 2001).double()
    curve = density.smoothed(t, 0.1)
    assert float(torch.trapezoid(curve.value[0], t)) == pytest.approx(1, abs=1e-6)
    assert float(curve.value[0].max()) == pytest.approx(0.75 / (0.1 * (2 * torch.pi) ** 0.5), rel=0.1)


def test_more_steps_than_coordinates_are_as_many_as_there_are():
    density = spectral_density(MatrixOperator(symmetric(torch.tensor([1.0, 2.0, 3.0]).double())[None]), steps=60)
    assert density.nodes.shape == (1, 10, 3)
    assert torch.allclose(density.nodes[0], torch.tensor([1.0, 2.0, 3.0]).double().expand(10, 3))


def test_a_minimum_that_is_not_finite_has_no_density():
    matrices = torch.stack([torch.full((5, 5), torch.nan).double(), torch.eye(5).double()])
    density = spectral_density(MatrixOperator(matrices))
    assert bool(density.nodes[0].isnan().all())
    assert density.moment(1).value[1].item() == pytest.approx(1)


def test_bad_input_is_refused(network):
    landscape, x, _ = network
    with pytest.raises(InputError, match="confidence"):
        trace(landscape, x, confidence=1.0)
    with pytest.raises(InputError, match="tolerance above 0"):
        trace(landscape, x, tolerance=0)
    with pytest.raises(InputError, match="max_products of at least 30"):
        trace(landscape, x, max_products=20)
    with pytest.raises(InputError, match="find them at the same points"):
        trace(landscape, x, deflate=eigenvalues(landscape, x.expand(2, -1), k=1))
    with pytest.raises(InputError, match="2 samples"):
        diagonal(landscape, x, samples=1)
    with pytest.raises(InputError, match="2 probes"):
        spectral_density(landscape, x, probes=1)
    with pytest.raises(InputError, match="width above 0"):
        spectral_density(landscape, x, probes=2, steps=2).smoothed(torch.zeros(1), 0)
