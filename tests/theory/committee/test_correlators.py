"""Correlators against Monte Carlo, exact values and each other."""

import math

import pytest
import torch

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.theory.committee import Erf, ReLU, flow_matrices, orthant_probability

ACTIVATIONS = (ReLU(), Erf())
SAMPLES = 8_000_000
# Every way in which indices (j, l, a, b) can coincide; students are 0..2, teachers 3 and 4.
INDICES = [
    (0, 1, 3, 4), (0, 1, 2, 3), (0, 1, 0, 4), (0, 1, 1, 2), (0, 1, 0, 1), (0, 1, 4, 4), (0, 1, 1, 1), (0, 0, 3, 4),
    (0, 0, 0, 3), (0, 0, 4, 4), (2, 2, 2, 2),
]  # fmt: skip


def _omega(units=5, inputs=7, seed=0):
    rows = torch.randn(units, inputs, dtype=torch.float64, generator=generator(seed, "test omega")) / 2
    return rows @ rows.T


def _samples(omega, count, part=500_000):
    factor = torch.linalg.cholesky(omega)
    stream = generator(1, "test samples")
    for _ in range(count // part):
        yield torch.randn(part, len(omega), dtype=torch.float64, generator=stream) @ factor.T


def _z(columns, exact, samples):
    """Standardised difference of means over samples from exact values."""
    total, square, count = 0.0, 0.0, 0
    for x in samples:
        values = columns(x)
        total, square, count = total + values.sum(1), square + (values**2).sum(1), count + len(x)
    mean = total / count
    return (mean - exact) / ((square / count - mean**2) / count).sqrt()


@pytest.mark.slow
@pytest.mark.parametrize("g", ACTIVATIONS, ids=lambda g: g.name)
def test_correlators_agree_with_monte_carlo(g):
    omega = _omega()
    triples = [(0, 1, 2), (0, 0, 1), (0, 1, 0), (0, 1, 1), (2, 2, 2)]

    def columns(x):
        value, slope = g(x), g.slope(x)
        four = [slope[:, j] * slope[:, k] * value[:, a] * value[:, b] for j, k, a, b in INDICES]
        three = [slope[:, i] * x[:, j] * value[:, k] for i, j, k in triples]
        return torch.stack([value[:, 0] * value[:, 3], slope[:, 0] * slope[:, 3], *three, *four])

    ends = omega[0, 0], omega[3, 3], omega[0, 3]
    three = [g.i3(omega[list(each)][:, list(each)]) for each in triples]
    table = g.four_point_table(omega, 3)
    exact = torch.stack([g.pair(*ends), g.slope_pair(*ends), *three, *(table[each] for each in INDICES)])
    assert _z(columns, exact, _samples(omega, SAMPLES)).abs().max() < 4


@pytest.mark.slow
def test_orthants_agree_with_monte_carlo():
    omega = _omega(4)

    def columns(x):
        gates = x > 0
        return torch.stack([gates[:, :n].all(1) for n in (2, 3, 4)]).double()

    exact = torch.stack([orthant_probability(omega[:n, :n]) for n in (2, 3, 4)])
    assert _z(columns, exact, _samples(omega, SAMPLES)).abs().max() < 4


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_equal_correlations_of_one_half_share_the_first_place(n):
    # x_i = z_i - z_0 of n + 1 equal variables: all positive when z_0 is the smallest.
    covariance = torch.eye(n, dtype=torch.float64) + 1
    assert float(orthant_probability(covariance)) == pytest.approx(1 / (n + 1), abs=1e-12)


@pytest.mark.parametrize("apart", [0.0, 1e-8, 1e-5, 1e-2])
def test_orthants_of_dependent_variables(apart):
    """The fourth variable is the sum of two others, almost: it is positive when they are."""
    rows = torch.randn(3, 4, dtype=torch.float64, generator=generator(2, "test dependent"))
    rows[:, 3] = 0
    last = rows[0] + rows[1] + apart * torch.tensor([0, 0, 0, 1.0], dtype=torch.float64)
    four = torch.cat([rows, last[None]])
    expected = float(orthant_probability(rows @ rows.T))
    found = float(orthant_probability(four @ four.T))
    if apart == 0:
        assert found == pytest.approx(expected, abs=1e-10)
    else:
        assert -1e-10 < expected - found < apart


def test_orthants_do_not_depend_on_order_or_scale():
    omega = _omega(4)
    scale = torch.tensor([1e-3, 1.0, 7.0, 1e4], dtype=torch.float64)
    order = torch.tensor([2, 0, 3, 1])
    other = (omega * scale * scale[:, None])[order][:, order]
    assert float(orthant_probability(other)) == pytest.approx(float(orthant_probability(omega)), abs=1e-14)


def test_opposite_signs_of_four_variables_add_to_one():
    omega, total = _omega(4), 0.0
    for signs in torch.cartesian_prod(*[torch.tensor([1.0, -1.0], dtype=torch.float64)] * 4):
        total += float(orthant_probability(omega * signs * signs[:, None]))
    assert total == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("g", ACTIVATIONS, ids=lambda g: g.name)
def test_a_copy_of_a_unit_is_that_unit(g):
    """Indices that coincide and units that coincide are two routes to the same number."""
    omega = _omega()
    where = torch.tensor([0, 1, 2, 2, 3])  # units 2 and 3 are one
    copied = g.four_point_table(omega[where][:, where], 3)
    plain = g.four_point_table(omega, 3)
    assert torch.allclose(copied[:, :, :3, 3], plain[:, :, :3, 2], atol=1e-9)
    assert torch.allclose(copied[:2, :2, :, 3], plain[:2, :2][:, :, where, 2], atol=1e-9)


@pytest.mark.parametrize("g", ACTIVATIONS, ids=lambda g: g.name)
def test_flow_is_the_sum_of_three_point_correlators(g):
    k, omega = 3, _omega()
    a, b = flow_matrices(omega[:k, :k], omega[:k, k:], omega[k:, k:], g)
    rate = torch.cat([a, -b], 1) @ omega
    signs = torch.tensor([1.0] * k + [-1.0] * 2, dtype=torch.float64)
    for j in range(k):
        for m in range(5):
            each = [float(s * g.i3(omega[[j, m, i]][:, [j, m, i]])) for i, s in enumerate(signs)]
            assert float(rate[j, m]) == pytest.approx(sum(each), abs=1e-14)


@pytest.mark.parametrize("g", ACTIVATIONS, ids=lambda g: g.name)
def test_sum_and_table_and_single_agree_in_batches(g):
    omega = torch.stack([_omega(seed=seed) for seed in range(3)])
    signs = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    table = g.four_point_table(omega, 3)
    assert torch.allclose(g.four_point(omega, 3, signs), torch.einsum("njlab,a,b->njl", table, signs, signs))
    assert torch.allclose(g.i4(omega[:, :4, :4]), table[:, 0, 1, 2, 3], atol=1e-14)
    assert torch.allclose(table[1], g.four_point_table(omega[1], 3), atol=1e-14)


@pytest.mark.parametrize("g", ACTIVATIONS, ids=lambda g: g.name)
def test_derivatives_of_a_pair_agree_with_autograd(g):
    at = torch.tensor([1.3, 0.7, 0.4], dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(lambda x: g.pair(*x), at)
    curve = torch.autograd.functional.hessian(lambda x: g.pair(*x), at)
    assert torch.allclose(torch.stack(g.slopes(*at)), slope[[0, 2]], atol=1e-14)
    assert torch.allclose(torch.stack(tuple(g.curvatures(*at))), curve[[0, 0, 0, 1, 2], [0, 1, 2, 2, 2]], atol=1e-14)
    own = torch.autograd.functional.jacobian(lambda x: torch.stack(g.own(x)[:2]), at[0])
    assert torch.allclose(own, torch.stack(g.own(at[0])[1:]), atol=1e-14)
    assert float(g.own(at[0])[0]) == pytest.approx(float(g.pair(at[0], at[0], at[0])), abs=1e-14)


def test_what_cannot_be_is_refused():
    singular = torch.ones(4, 4, dtype=torch.float64)
    indefinite = torch.eye(4, dtype=torch.float64) - 0.5 * singular
    for covariance in (singular, indefinite):
        for g in ACTIVATIONS:
            with pytest.raises(InputError, match=r"expected symmetric positive definite .*, got .*: "):
                g.i4(covariance)
    with pytest.raises(InputError, match=r"expected covariances .*, got \(3, 3\): "):
        ReLU().i4(torch.eye(3, dtype=torch.float64))
    with pytest.raises(InputError, match="expected positive variances, got 0: "):
        orthant_probability(torch.zeros(2, 2))
    with pytest.raises(InputError, match=r"one to four variables, got \(5, 5\): "):
        orthant_probability(torch.eye(5))


def test_relu_of_a_plane_is_an_arc():
    angle = torch.tensor(2.0, dtype=torch.float64)
    one = torch.ones_like(angle)
    expected = (math.sin(2) + (math.pi - 2) * math.cos(2)) / (2 * math.pi)
    assert float(ReLU().pair(one, one, angle.cos())) == pytest.approx(expected, abs=1e-15)
