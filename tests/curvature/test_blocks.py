"""Blocks of a Hessian, its condition number and null space, and mini-batches of it, against dense ones."""

from __future__ import annotations

import pytest
import torch
from curved_networks import MatrixOperator, dense_hessian, perceptron, points, symmetric

from lossatlas import landscape as landscapes
from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.core.randomness import generator
from lossatlas.curvature import (
    AssembledOperator,
    BlockOperator,
    FisherOperator,
    HessianOperator,
    batch_spread,
    block_operators,
    blockwise,
    classify,
    conditioning,
    eigenvalues,
    parameter_groups,
    spectral_density,
    trace,
)
from lossatlas.curvature.operator import SomeRows


@pytest.fixture(scope="module")
def small():
    landscape, network, data = perceptron(9)
    x = points(landscape, 2, scale=0.5)
    return landscape, network, data, x, torch.stack([dense_hessian(network, landscape, data, row) for row in x])


# ------------------------------------------------------------------ blocks
def test_groups_are_layers_parameters_or_the_users_own():
    spec = ParamSpec(("scale", "0.weight", "0.bias", "2.weight"), ((), (2, 2), (2,), (1, 2)))
    assert {name: where.tolist() for name, where in parameter_groups(spec).items()} == {
        "network": [0],
        "0": [1, 2, 3, 4, 5, 6],
        "2": [7, 8],
    }
    assert list(parameter_groups(spec, "parameter")) == list(spec.names)
    own = parameter_groups(spec, {"weights": ["2.weight", "0.weight"]})
    assert own["weights"].tolist() == [7, 8, 1, 2, 3, 4]
    for groups, message in (
        ({"a": ["0.wieght"]}, "did you mean '0.weight'"),
        ({"a": []}, "at least one"),
        ("no", "'no'"),
    ):
        with pytest.raises(InputError, match=message):
            parameter_groups(spec, groups)


@pytest.mark.parametrize("by", ["layer", "parameter"])
def test_blocks_are_parts_of_the_matrix(small, by):
    landscape, _, _, x, truth = small
    blocks = block_operators(HessianOperator(landscape, x), by)
    for name, where in parameter_groups(landscape.spec, by).items():
        assert torch.allclose(blocks[name].dense(), truth[:, where][:, :, where], atol=1e-13), name
    found = blockwise(landscape, x, by=by)
    assert found.names == tuple(blocks)
    assert sum(found.sizes) == landscape.dim
    for i, where in enumerate(parameter_groups(landscape.spec, by).values()):
        part = truth[:, where][:, :, where]
        assert torch.allclose(found.top[:, i], torch.linalg.eigvalsh(part)[:, -1], rtol=1e-6)
        total = part.diagonal(dim1=1, dim2=2).sum(1)
        assert bool(((found.low[:, i] - 1e-9 <= total) & (total <= found.high[:, i] + 1e-9)).all())
    assert bool(found.converged.all())
    assert torch.allclose(found.step_limit, torch.where(found.top > 0, 2 / found.top, torch.inf))
    assert found.data == "all 40 examples"


def test_blocks_of_other_matrices_and_of_mini_batches(small):
    landscape, _, _, x, _ = small
    fisher = FisherOperator(landscape.on(torch.arange(8)), x)
    found = blockwise(fisher)
    assert found.data == "mini-batch of 8 examples"
    assert found.method.startswith("empirical Fisher")
    whole = fisher.dense()
    first = next(iter(parameter_groups(landscape.spec).values()))
    assert torch.allclose(found.top[:, 0], torch.linalg.eigvalsh(whole[:, first][:, :, first])[:, -1], rtol=1e-6)


def test_bad_blocks_are_refused():
    toy = landscapes.get("muller-brown")
    hessian = HessianOperator(toy, toy.minima[0].x)
    for wrong in ([0, 0], [2], [-1], []):
        with pytest.raises(InputError, match="different coordinates"):
            BlockOperator(hessian, torch.tensor(wrong, dtype=torch.int64))
    with pytest.raises(InputError, match="got a landscape without"):
        blockwise(toy, toy.minima[0].x)
    with pytest.raises(InputError, match="use BlockOperator"):
        blockwise(MatrixOperator(torch.eye(3).double()[None]))
    with pytest.raises(InputError, match="rows in"):
        SomeRows(hessian, torch.tensor([1]))


# ------------------------------------------------------------------ matrices that are known
def test_a_matrix_that_is_known_is_what_every_estimate_sees(small):
    """More than one point, all estimates against the dense Hessians, and no product beyond those of the matrices."""
    landscape, _, _, x, truth = small
    hessian = HessianOperator(landscape, x)
    known = AssembledOperator(hessian)
    assert hessian.products.tolist() == known.products.tolist() == [landscape.dim] * 2
    v = torch.randn(3, 2, landscape.dim, dtype=torch.float64, generator=generator("known"))
    assert torch.allclose(known @ v, torch.einsum("bij,mbj->mbi", truth, v), atol=1e-10)
    values = torch.linalg.eigvalsh(truth)
    found = eigenvalues(known, k=3, which="both")
    assert torch.allclose(found.values, values[:, [-1, -2, -3, 2, 1, 0]], atol=1e-10)
    assert found.method == "reverse over reverse; dense"
    assert torch.allclose(trace(known).value, values.sum(1), atol=1e-10)
    exact = conditioning(known, dense=1)
    assert bool(exact.exact.all())
    assert exact.null.tolist() == (values.abs() <= 1e-6 * values.abs().amax(1, keepdim=True)).sum(1).tolist()
    kind = classify(landscape, x, hessian=known)
    assert kind.index.tolist() == (values < -1e-6 * values.abs().amax(1, keepdim=True)).sum(1).tolist()
    layers = blockwise(known)
    for place, coordinates in enumerate(parameter_groups(landscape.spec).values()):
        block = truth[:, coordinates[:, None], coordinates]
        assert torch.allclose(layers.top[:, place], torch.linalg.eigvalsh(block)[:, -1], atol=1e-10)
        assert torch.allclose(layers.trace[:, place], block.diagonal(dim1=1, dim2=2).sum(1), atol=1e-10)
    assert bool(known.check().agrees.all())
    assert int(hessian.products.max()) == landscape.dim, "nothing was multiplied again"
    with pytest.raises(InputError, match="pass those of inner"):
        AssembledOperator(hessian, truth[0])
    with pytest.raises(InputError, match="at others"):
        classify(landscape, 2 * x, hessian=known)


# ------------------------------------------------------------------ condition number and null space
@pytest.mark.parametrize("null", [0, 3, 40])
def test_small_matrices_are_exact(null):
    values = torch.cat([torch.zeros(null), torch.tensor([-0.5, 0.25]), torch.linspace(1, 8, 60 - null)]).double()
    found = conditioning(MatrixOperator(torch.stack([symmetric(values), 10 * symmetric(values, 1)])))
    assert found.null.tolist() == [null] * 2
    assert found.null_low.tolist() == found.null_high.tolist() == [null] * 2
    assert torch.allclose(found.nonzero, torch.tensor(32.0).double(), rtol=1e-9)
    assert torch.allclose(found.largest, torch.tensor([8.0, 80.0]).double())
    assert bool(found.exact.all())
    assert bool((found.condition > 1e12).all()) == (null > 0)


def test_the_tolerance_says_what_counts_as_zero():
    values = torch.tensor([1.0, 1e-3, 1e-5, 1e-7]).double()
    for zero, null in ((1e-8, 0), (1e-6, 1), (1e-4, 2), (1e-2, 3)):
        found = conditioning(MatrixOperator(symmetric(values)[None]), zero=zero)
        assert int(found.null) == null
        assert float(found.nonzero) == pytest.approx(float(1 / values[3 - null]), rel=1e-6)


def test_large_matrices_that_are_definite_are_exact_too():
    values = torch.linspace(0.5, 20, 300).double()
    for sign in (1, -1):
        found = conditioning(MatrixOperator(sign * symmetric(values)[None]), dense=100)
        assert bool(found.exact)
        assert float(found.condition) == pytest.approx(40, rel=1e-6)
        assert float(found.null) == 0


@pytest.mark.parametrize("seed", range(4))
def test_large_matrices_give_bounds_that_hold(seed):
    values = torch.cat([torch.zeros(120), torch.linspace(-2, -1, 60), torch.logspace(0, 1, 120)]).double()
    matrix = MatrixOperator(symmetric(values, seed)[None])
    found = conditioning(matrix, dense=100, probes=20, steps=80, seed=seed)
    assert not bool(found.exact)
    assert float(found.null_low) <= 120 <= float(found.null_high)
    assert abs(float(found.null) - 120) < 25
    assert float(found.condition) <= 1e15
    assert float(found.smallest) < 1e-7, "the null space is seen"
    assert bool(found.nonzero.isnan())
    coarse = conditioning(matrix, dense=100, probes=20, steps=5, seed=seed)
    assert float(coarse.null_low) <= 120 <= float(coarse.null_high), "few steps leave more open, not less true"
    assert float(coarse.condition) <= float(found.condition)


@pytest.mark.parametrize("seed", range(3))
def test_a_null_space_that_hides_among_small_eigenvalues_is_not_estimated(seed):
    """As in a network: the eigenvalues fall to nothing without a gap, and a node near zero stands for all of them."""
    values = torch.cat([torch.zeros(200), torch.logspace(-5.8, 0, 200), -torch.logspace(-5.8, -1, 60)]).double()
    matrix = MatrixOperator(symmetric(values, seed)[None])
    found = conditioning(matrix, dense=100, probes=5, steps=40, seed=seed)
    assert not bool(found.exact)
    assert bool(found.null.isnan())
    assert float(found.null_low) <= 200 <= float(found.null_high) <= 460
    gap = torch.cat([torch.zeros(200), torch.linspace(1, 2, 200), torch.linspace(-2, -1, 60)]).double()
    seen = conditioning(MatrixOperator(symmetric(gap, seed)[None]), dense=100, probes=5, steps=60, seed=seed)
    assert not bool(seen.exact)
    assert float(seen.null) == pytest.approx(200, abs=35)


def test_a_density_that_is_known_is_used():
    values = torch.cat([torch.zeros(100), torch.linspace(-1, 3, 200)]).double()
    operator = MatrixOperator(symmetric(values)[None])
    density = spectral_density(operator, probes=5, steps=20)
    with_it = conditioning(operator, dense=100, density=density)
    assert torch.equal(with_it.null_high, conditioning(operator, dense=100, probes=5, steps=20).null_high)
    assert int(with_it.products) < 100
    with pytest.raises(InputError, match="density of the same"):
        conditioning(MatrixOperator(symmetric(values[:250])[None]), dense=100, density=density)
    with pytest.raises(InputError, match="zero in"):
        conditioning(operator, zero=1.0)


def test_residuals_of_the_density_are_those_of_its_nodes():
    """Near every node lies an eigenvalue, within the residual; with all steps there is none left."""
    values = torch.linspace(-1, 3, 90).double() ** 3
    operator = MatrixOperator(symmetric(values)[None])
    density = spectral_density(operator, probes=2, steps=12)
    gap = (density.nodes[..., None] - values).abs().amin(-1)
    assert bool((gap <= density.residuals + 1e-9).all())
    assert float(density.residuals.min()) > 1e-6 or float(gap.max()) < 1
    assert float(spectral_density(operator, probes=2, steps=90).residuals.abs().max()) == 0


def test_what_is_not_finite_has_no_condition():
    matrices = torch.stack([torch.full((3, 3), torch.nan).double(), torch.eye(3).double()])
    found = conditioning(MatrixOperator(matrices))
    assert bool(found.largest[0].isnan())
    assert found.exact.tolist() == [False, True]
    assert float(found.condition[1]) == 1


# ------------------------------------------------------------------ mini-batches
def test_mini_batches_are_labelled_and_their_spread_is_theirs(small):
    landscape, network, data, x, truth = small
    found = batch_spread(landscape, x, size=10, batches=4, tolerance=1e-6)
    assert found.data == "4 mini-batches of 10 of 40 examples"
    assert found.top.shape == found.trace.shape == (2, 4)
    for point in range(2):
        for batch in range(4):
            part = found.indices[batch]
            assert len(part.unique()) == 10
            own = dense_hessian(network, landscape, tuple(each[part] for each in data), x[point])
            assert float(found.top[point, batch]) == pytest.approx(float(torch.linalg.eigvalsh(own)[-1]), rel=1e-6)
            gap = abs(float(found.trace[point, batch]) - float(own.trace()))
            assert gap <= 5 * float(found.trace_error[point, batch]) + 1e-9
    assert torch.allclose(found.top_spread, found.top.std(1))
    assert torch.allclose(found.top_mean.value, found.top.mean(1))
    # The whole as its only batch: no spread, and the Hessian itself.
    whole = batch_spread(landscape, x, size=40, batches=2, tolerance=1e-6)
    assert torch.allclose(whole.top[:, 0], torch.linalg.eigvalsh(truth)[:, -1], rtol=1e-6)
    assert float(whole.top_spread.max()) < 1e-8


def test_mini_batches_need_data(small):
    landscape, _, _, x, _ = small
    toy = landscapes.get("muller-brown")
    with pytest.raises(InputError, match="loss over data"):
        batch_spread(toy, toy.minima[0].x)
    with pytest.raises(InputError, match="1 to 40 examples"):
        batch_spread(landscape, x, size=41)
    with pytest.raises(InputError, match="at least 2 of them"):
        batch_spread(landscape, x, size=4, batches=1)


def test_some_rows_are_those_rows(small):
    landscape, _, _, x, truth = small
    hessian = HessianOperator(landscape, x)
    second = SomeRows(hessian, torch.tensor([1]))
    assert torch.allclose(second.dense()[0], truth[1], atol=1e-13)
    assert hessian.products.tolist() == [0, landscape.dim]
    assert eigenvalues(second, k=1).values.shape == (1, 1)
