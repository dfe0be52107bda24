"""Kinds of points, the finder of critical points, and index against loss, on landscapes that know the answer."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from curved_networks import MatrixOperator, dense_hessian, perceptron, points, symmetric
from torch import nn

from lossatlas import landscape as landscapes
from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.curvature import classify, critical, find_critical_points, index_against_loss, semicircle_below
from lossatlas.curvature.critical import _some
from lossatlas.landscape import NetworkLandscape, from_function


def quadratic(eigenvalues):
    matrix = symmetric(torch.as_tensor(eigenvalues, dtype=torch.float64))
    return from_function(lambda x: 0.5 * x @ matrix.to(x) @ x, dim=len(matrix))


# ------------------------------------------------------------------ kinds
@pytest.mark.parametrize(
    ("eigenvalues", "kind", "index", "null"),
    [
        ([1.0, 2.0, 3.0], "minimum", 0, 0),
        ([0.0, 0.0, 3.0], "minimum", 0, 2),
        ([-1.0, 2.0, 3.0], "saddle", 1, 0),
        ([-1.0, -2.0, 0.0, 3.0], "saddle", 2, 1),
        ([-1.0, -2.0, -3.0], "maximum", 3, 0),
        ([-1.0, 0.0, -3.0], "maximum", 2, 1),
        ([0.0, 0.0, 0.0], "plateau", 0, 3),
        ([1e-12, -1e-12], "plateau", 1, 0),
        ([1.0, -1e-9], "minimum", 0, 1),
        ([1.0, -1e-3], "saddle", 1, 0),
    ],
)
def test_quadratics_are_what_their_eigenvalues_say(eigenvalues, kind, index, null):
    found = classify(quadratic(eigenvalues), torch.zeros(len(eigenvalues), dtype=torch.float64))
    assert found.kinds == (kind,)
    assert int(found.index) == index
    assert bool(found.complete)
    assert int(found.null) == null or kind == "plateau"


def test_points_of_a_toy_and_the_tolerances():
    toy = landscapes.get("muller-brown")
    known = toy.minima + toy.saddles
    x = torch.stack([point.x for point in known] + [torch.tensor([0.3, 0.3]).double()])
    found = classify(toy, x.reshape(2, 3, 2), gradient=1e-3)
    assert found.kinds == ("minimum",) * 3 + ("saddle",) * 2 + ("not critical",)
    assert found.index.shape == (2, 3)
    assert found.index.flatten()[:5].tolist() == [point.index for point in known]
    assert "at most 0.001" in found.tolerances
    assert classify(toy, x, gradient=1e9).kinds[-1] != "not critical"
    nan = classify(toy, torch.tensor([math.nan, 0.0]).double())
    assert nan.kinds == ("not finite",)
    with pytest.raises(InputError, match="tolerances of at least 0"):
        classify(toy, x, gradient=-1.0)


@pytest.mark.parametrize("negative", [0, 1, 5, 30, 100])
def test_many_coordinates_count_negatives_by_lanczos(negative):
    values = torch.cat([-torch.linspace(1.0, 3.0, negative), torch.linspace(0.5, 9.0, 600 - negative)]).double()
    ends, index, complete = _some(MatrixOperator(symmetric(values)[None]), 1e-6, 1500, 0)
    assert torch.allclose(ends[0], torch.stack([values.max(), values.min()]), rtol=1e-6)
    assert int(index) == min(negative, 64)
    assert bool(complete) == (negative < 64), "more than are looked for are at least so many"


def test_a_large_network_is_classified_row_by_row(monkeypatch):
    monkeypatch.setattr(critical, "DENSE", 500)  # that of large ones takes minutes to check
    landscape, network, data = perceptron(18)
    assert landscape.dim > 500
    x = points(landscape, 2, scale=0.3)
    found = classify(landscape, x, gradient=1e3)
    for row in range(2):
        values = torch.linalg.eigvalsh(dense_hessian(network, landscape, data, x[row]))
        assert float(found.largest[row]) == pytest.approx(float(values[-1]), rel=1e-5)
        assert float(found.smallest[row]) == pytest.approx(float(values[0]), rel=1e-5)
        below = int((values < -1e-6 * values.abs().max()).sum())
        assert int(found.index[row]) == below if bool(found.complete[row]) else int(found.index[row]) <= below
    assert bool(found.null.isnan().all())


# ------------------------------------------------------------------ finder
def test_all_critical_points_of_a_toy_are_found_and_nothing_else():
    toy = landscapes.get("muller-brown")
    low, high = torch.tensor([-1.4, -0.3]).double(), torch.tensor([1.1, 1.8]).double()
    starts = low + (high - low) * torch.rand(30, 2, generator=generator("starts"), dtype=torch.float64)
    found = find_critical_points(toy, starts)
    known = toy.minima + toy.saddles
    reached = found.x[found.converged]
    distance = torch.cdist(reached, torch.stack([point.x for point in known]))
    assert float(distance.amin(1).max()) < 1e-6
    assert set(distance.argmin(1).tolist()) == set(range(5))
    names = ["minimum"] * 3 + ["saddle"] * 2
    kinds = [kind for kind, done in zip(found.classification.kinds, found.converged, strict=True) if done]
    assert kinds == [names[i] for i in distance.argmin(1).tolist()]
    # What stops elsewhere stops where |g|² is flat but g is not: H g = 0.
    for status, flat, norm in zip(found.status, found.flatness, found.classification.gradient_norm, strict=True):
        assert status != "gradient-flat" or (float(flat) <= 1e-3 and float(norm) > 1)
    assert "gradient-flat" in found.status
    falling = found.history.diff(dim=1)
    assert bool((falling[falling.isfinite()] < 0).all())


def test_searches_do_not_depend_on_their_company():
    toy = landscapes.get("muller-brown")
    starts = torch.tensor([[-0.5, 1.4], [0.2, 0.3], [0.6, 0.1]]).double()
    together, alone = find_critical_points(toy, starts), find_critical_points(toy, starts[1])
    assert torch.equal(together.x[1], alone.x)
    assert together.status[1] == alone.status[0]
    assert int(together.products[1]) == int(alone.products)


def test_newton_ends_quadratically_and_with_flat_directions():
    """A saddle with a null space: steps do not run away along it."""
    matrix = symmetric(torch.tensor([0.0, 0.0, -1.0, 3.0, 5.0, 8.0]).double())
    quartic = from_function(lambda x: 0.5 * x @ matrix.to(x) @ x + (matrix.to(x) @ x).pow(4).sum() / 400, dim=6)
    start = torch.tensor([3.0, -1.0, 2.0, 0.5, -1.0, 1.0]).double() / 3
    found = find_critical_points(quartic, start, gradient=1e-12)
    assert found.status == ("converged",)
    assert found.classification.kinds == ("saddle",)
    assert int(found.classification.null) == 2
    assert float(found.distance) < 3
    logs = found.history[found.history > 0].log10()
    assert float(logs[-1] - logs[-2]) < 1.2 * float(logs[-2] - logs[-3]), "faster at the end"


def test_a_network_reaches_a_saddle_it_is_known_to_have():
    """With all weights zero a deep linear network is critical; nearby starts return to saddles."""
    g = generator("linear network")
    x, noise = torch.randn(30, 3, generator=g, dtype=torch.float64), 0.1 * torch.randn(30, 2, generator=g)
    y = x @ torch.randn(3, 2, generator=g, dtype=torch.float64) + noise
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 2, bias=False)).double()
    landscape = NetworkLandscape(net, F.mse_loss, (x, y))
    starts = 0.05 * torch.randn(3, landscape.dim, generator=g, dtype=torch.float64)
    found = find_critical_points(landscape, starts)
    assert set(found.status) == {"converged"}
    assert set(found.classification.kinds) <= {"saddle", "minimum"}
    assert "saddle" in found.classification.kinds
    assert bool((found.classification.gradient_norm < 1e-8).all())


def test_what_is_not_finite_is_said():
    wall = from_function(lambda x: torch.where(x[0] > 0, x[0] ** 2, torch.nan), dim=1)
    found = find_critical_points(wall, torch.tensor([[-1.0], [1.0]]).double())
    assert found.status[0] == "not finite"
    assert found.classification.kinds[0] == "not finite"
    empty = find_critical_points(wall, torch.empty(0, 1, dtype=torch.float64))
    assert empty.x.shape == (0, 1)
    with pytest.raises(InputError, match="gradient above 0"):
        find_critical_points(wall, torch.ones(1).double(), gradient=0.0)


# ------------------------------------------------------------------ index against loss
def test_the_semicircle_is_that_of_random_matrices():
    n = 400
    a = torch.randn(n, n, generator=generator("wigner"), dtype=torch.float64)
    values = torch.linalg.eigvalsh((a + a.T) / (2 * n) ** 0.5) + 0.4
    mean, deviation = values.mean(), values.std()
    for t in (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0):
        part = float((values < t).double().mean())
        assert float(semicircle_below(torch.tensor(t).double(), mean, deviation)) == pytest.approx(part, abs=0.01)


def random_field():
    """L(x) whose Hessian at the k-th corner is a Wigner matrix shifted down with the loss, as Bray & Dean have it."""
    n, levels = 60, 9
    a = torch.randn(levels, n, n, generator=generator("field"), dtype=torch.float64)
    noise = (a + a.mT) / (2 * n) ** 0.5
    loss = torch.linspace(-1, 1, levels).double()
    matrices = noise - (1.5 * loss)[:, None, None] * torch.eye(n, dtype=torch.float64)
    centres = 100.0 * torch.eye(n, dtype=torch.float64)[:levels]

    def value(x):
        near = ((x - centres.to(x)) ** 2).sum(-1).argmin()
        step = x - centres.to(x)[near]
        return loss.to(x)[near] + 0.5 * step @ matrices.to(x)[near] @ step

    return from_function(value, dim=n), centres, loss, matrices


def test_a_random_field_lies_on_its_null():
    field, centres, loss, matrices = random_field()
    found = index_against_loss(field, centres)
    values = torch.linalg.eigvalsh(matrices)
    assert torch.allclose(found.fraction, (values < 0).double().mean(1))
    assert torch.allclose(found.mean, values.mean(1), atol=1e-9)
    assert torch.allclose(found.deviation, values.var(1, unbiased=False).sqrt(), atol=1e-9)
    assert found.slope == pytest.approx(-1.5, abs=0.05)
    # One eigenvalue of sixty is 0.017.
    assert float((found.fraction - found.null(loss)).abs().max()) < 0.05
    assert float((found.fraction - found.semicircle).abs().max()) < 0.05
    assert found.correlation > 0.99
    assert found.p_value < 0.002
    assert bool((found.error == 0).all())


def test_products_alone_give_the_same_within_their_error():
    landscape, network, data = perceptron(6)
    x = points(landscape, 2, scale=0.8)
    exact = index_against_loss(landscape, x)
    rough = index_against_loss(landscape, x, dense=10, probes=12, steps=80)
    assert rough.method.endswith("stochastic Lanczos quadrature")
    assert float(((rough.fraction - exact.fraction).abs() / rough.error).max()) < 5
    # The mean of 12 probes; a probe's own spread is √(2/d) of the deviation.
    error = exact.deviation * (2 / landscape.dim / 12) ** 0.5
    assert float(((rough.mean - exact.mean).abs() / error).max()) < 4
    assert torch.allclose(rough.deviation, exact.deviation, rtol=0.25)
    truth = torch.linalg.eigvalsh(dense_hessian(network, landscape, data, x[0]))
    assert float(exact.fraction[0]) == pytest.approx(
        float((truth < -1e-6 * truth.abs().max()).double().mean()), abs=0.02
    )


def test_few_or_equal_points_have_no_correlation():
    toy = landscapes.get("muller-brown")
    x = torch.stack([point.x for point in toy.minima])
    found = index_against_loss(toy, x[:1])
    assert math.isnan(found.correlation)
    assert math.isnan(found.slope)
    assert found.null(found.loss).isfinite().all()
    assert math.isnan(index_against_loss(toy, x).correlation), "three minima have one index"
    with pytest.raises(InputError, match="points as"):
        index_against_loss(toy, x[0])
    with pytest.raises(InputError, match="finite losses"):
        index_against_loss(toy, torch.full((1, 2), math.nan).double())
