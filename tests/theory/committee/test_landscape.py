"""The landscapes over weights and over overlaps: derivatives, parallel units, bad input."""

import pytest
import torch

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.landscape.contract import Landscape, SupportsHvp
from lossatlas.theory.committee import Committee, CommitteeOverlaps, activation_of, overlaps, split_neuron

NAMES = ("relu", "erf")


def _randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed, "test landscape"))


def _case(name):
    landscape = Committee(0.6 * _randn(3, 5), 4, activation=name)
    return landscape, _randn(2, 3, landscape.dim, seed=1)


def _gradient_by_differences(landscape, x, h=1e-5):
    steps = h * torch.eye(landscape.dim, dtype=x.dtype)
    return (landscape.value(x[..., None, :] + steps) - landscape.value(x[..., None, :] - steps)) / (2 * h)


def _hessian_by_differences(landscape, x, h=1e-5):
    steps = h * torch.eye(landscape.dim, dtype=x.dtype)
    up, down = (landscape.value_and_grad(x[..., None, :] + sign * steps)[1] for sign in (1, -1))
    return (up - down) / (2 * h)


@pytest.mark.parametrize("name", NAMES)
def test_loss_is_half_the_mean_square_of_the_difference(name):
    landscape, x = _case(name)
    g = activation_of(name)
    inputs = _randn(400_000, 5, seed=2)
    for point in x[0]:
        error = g(inputs @ landscape.rows(point).T).sum(1) - g(inputs @ landscape.teacher.T).sum(1)
        sample = error**2 / 2
        assert abs(sample.mean() - landscape.value(point)) < 4 * sample.std() / len(sample) ** 0.5


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_over_weights(name):
    landscape, x = _case(name)
    value, grad = landscape.value_and_grad(x)
    assert torch.equal(value, landscape.value(x))
    assert torch.allclose(grad, _gradient_by_differences(landscape, x), atol=1e-8)
    hessian = landscape.hessian(x)
    assert torch.allclose(hessian, _hessian_by_differences(landscape, x), atol=1e-8)
    assert torch.allclose(hessian, hessian.mT, atol=1e-13)
    v = _randn(*x.shape, seed=3)
    assert torch.allclose(landscape.hvp(x, v), (hessian @ v[..., None])[..., 0], atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_over_overlaps(name):
    landscape, x = _case(name)
    over = CommitteeOverlaps(landscape.teacher @ landscape.teacher.T, 4, activation=name)
    z = over.pack(*landscape.overlaps(x))
    assert torch.allclose(over.value(z), landscape.value(x), atol=1e-14)
    assert torch.allclose(over.value_and_grad(z)[1], _gradient_by_differences(over, z), atol=1e-8)
    v = _randn(*z.shape, seed=4)
    expected = (_hessian_by_differences(over, z) @ v[..., None])[..., 0]
    assert torch.allclose(over.hvp(z, v), expected, atol=1e-7)
    assert all(torch.equal(a, b) for a, b in zip(over.unpack(z), landscape.overlaps(x), strict=True))


def test_both_are_landscapes_with_products():
    for landscape in (Committee(3), CommitteeOverlaps(3)):
        assert isinstance(landscape, Landscape)
        assert isinstance(landscape, SupportsHvp)


def test_rotating_teacher_and_student_together_changes_nothing():
    landscape, x = _case("relu")
    turn = torch.linalg.qr(_randn(5, 5, seed=5))[0]
    turned = Committee(landscape.teacher @ turn, 4)
    y = (landscape.rows(x) @ turn).flatten(-2)
    assert torch.allclose(turned.value(y), landscape.value(x), atol=1e-14)
    assert torch.allclose(
        torch.linalg.eigvalsh(turned.hessian(y)), torch.linalg.eigvalsh(landscape.hessian(x)), atol=1e-12
    )


def test_single_precision_follows():
    landscape, x = _case("relu")
    single = landscape.to(dtype=torch.float32)
    value, grad = single.value_and_grad(x.float())
    assert value.dtype == torch.float32
    assert torch.allclose(grad.double(), landscape.value_and_grad(x)[1], atol=1e-5)


def test_parallel_students_have_a_hessian():
    """A split student is parallel to its other half; the Hessian is the limit of that beside it."""
    rows = _randn(3, 4, seed=6)
    landscape = Committee(_randn(2, 4, seed=7), 4)
    x = split_neuron(rows, 1, 0.3).flatten()
    near = landscape.hessian(x + 1e-5 * _randn(16, seed=8))
    assert torch.allclose(landscape.hessian(x), near, atol=1e-4)
    assert torch.isfinite(landscape.value_and_grad(x)[1]).all()


def test_at_the_teacher_there_is_nothing_left():
    landscape = Committee(4)
    value, grad = landscape.value_and_grad(torch.eye(4, dtype=torch.float64).flatten())
    assert abs(float(value)) < 1e-15
    assert float(grad.abs().max()) < 1e-15


@pytest.mark.parametrize("k", [2, 4])
def test_spectra_of_both_flows_agree_away_from_the_span(k):
    """In an ambient space of more inputs, A's spectrum appears once for each input the teacher does not see."""
    wide = Committee(torch.eye(k, k + 3, dtype=torch.float64))
    narrow = Committee(k)
    rows = torch.eye(k, dtype=torch.float64)
    a = torch.eye(k, dtype=torch.float64) / 4 + 0.25
    seen = torch.linalg.eigvalsh(narrow.hessian(rows.flatten()))
    expected = torch.cat([seen, torch.linalg.eigvalsh(a).repeat(3)]).sort().values
    padded = torch.cat([rows, torch.zeros(k, 3, dtype=torch.float64)], 1).flatten()
    assert torch.allclose(torch.linalg.eigvalsh(wide.hessian(padded)), expected, atol=1e-12)


def test_impossible_overlaps_have_no_value():
    over = CommitteeOverlaps(1, 2)
    points = torch.tensor([[1.0, 1.2, 1.0, 0, 0], [-1.0, 0, 1.0, 0, 0], [1.0, 0, 1.0, 1.1, 0], [1.0, 0.5, 1.0, 0.2, 0]])
    assert over.value(points.double()).isnan().tolist() == [True, True, True, False]


def test_bad_input_is_refused():
    with pytest.raises(InputError, match=r"expected units of positive length .*: "):
        Committee(torch.zeros(2, 3, dtype=torch.float64))
    with pytest.raises(InputError, match=r"expected finite numbers .*: "):
        Committee(torch.full((2, 3), torch.nan, dtype=torch.float64))
    with pytest.raises(InputError, match=r"expected teacher rows .*: "):
        Committee(torch.ones(3, dtype=torch.float64))
    with pytest.raises(InputError, match="float64"):
        Committee(torch.ones(2, 3))
    with pytest.raises(InputError, match="expected a known activation, got 'rellu': did you mean 'relu'"):
        Committee(2, activation="rellu")
    with pytest.raises(InputError, match="positive semidefinite, got an eigenvalue -1: "):
        CommitteeOverlaps(torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64))
    with pytest.raises(InputError, match="expected one point"):
        CommitteeOverlaps(1).flow_jacobian(torch.ones(2, 2, dtype=torch.float64))
    with pytest.raises(InputError, match="both see the same d inputs"):
        overlaps(torch.ones(2, 3), torch.ones(2, 4))
