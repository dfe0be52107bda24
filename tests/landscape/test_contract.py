"""The contract every landscape keeps; members are listed in conftest.CASES."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.landscape import AffineRows, Landscape, landscapes
from lossatlas.landscape.contract import SupportsHvp

TIGHT = 1e-12


def close(a: Tensor, b: Tensor, tolerance: float) -> None:
    """Equal up to ``tolerance`` times the size of the numbers compared."""
    assert a.shape == b.shape
    size = float(b.abs().max()) if b.numel() else 0.0
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * max(1.0, size))


def differences(landscape: Landscape, x: Tensor, direction: Tensor) -> Tensor:
    """Slope of the value along unit directions, by Richardson's extrapolation of central differences."""

    def slope(step: float) -> Tensor:
        return (landscape.value(x + step * direction) - landscape.value(x - step * direction)) / (2 * step)

    return (4 * slope(5e-4) - slope(1e-3)) / 3


def directions_like(x: Tensor, seed: int = 0) -> Tensor:
    v = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(seed))
    return v / v.norm(dim=-1, keepdim=True)


def test_every_registered_landscape_is_under_contract(cases):
    assert set(landscapes) <= {case.id for case in cases}


def test_it_is_a_landscape(case):
    landscape = case.factory()
    assert isinstance(landscape, Landscape)
    assert landscape.dim == case.points.shape[-1]
    assert landscape.dtype == torch.float64
    assert landscape.device == torch.device("cpu")
    assert landscape.spec is None or landscape.spec.dim == landscape.dim


@pytest.mark.parametrize("shape", [(), (1,), (6,), (2, 3), (3, 1, 2), (0,), (2, 0)])
def test_any_leading_shape(case, shape):
    landscape, d = case.factory(), case.points.shape[-1]
    count = int(np.prod(shape))
    x = case.points[:count].reshape(*shape, d)
    value, (again, grad) = landscape.value(x), landscape.value_and_grad(x)
    assert value.shape == shape
    assert again.shape == shape
    assert grad.shape == x.shape
    assert {value.dtype, again.dtype, grad.dtype} == {torch.float64}
    close(again, value, TIGHT)
    expected = landscape.value(case.points)[:count].reshape(shape)
    close(value, expected, TIGHT)
    close(grad, landscape.value_and_grad(case.points)[1][:count].reshape(x.shape), TIGHT)
    if isinstance(landscape, SupportsHvp):
        assert landscape.hvp(x, x).shape == x.shape


def test_results_carry_no_graph_and_work_under_no_grad(case):
    landscape = case.factory()
    x = case.points.clone().requires_grad_()
    value, grad = landscape.value_and_grad(x)
    assert not landscape.value(x).requires_grad
    assert not value.requires_grad
    assert not grad.requires_grad
    assert x.grad is None
    with torch.no_grad():
        torch.testing.assert_close(landscape.value_and_grad(case.points)[1], grad)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(order=st.permutations(range(5)), size=st.integers(1, 5))
def test_rows_do_not_see_each_other(case, order, size):
    landscape = case.factory()
    value, grad = landscape.value_and_grad(case.points[:5])
    some = torch.tensor(order[:size])
    value_some, grad_some = landscape.value_and_grad(case.points[some])
    close(value_some, value[some], TIGHT)
    close(grad_some, grad[some], TIGHT)


def test_a_broken_row_does_not_spoil_the_others(case):
    landscape = case.factory()
    broken = case.points.clone()
    broken[2] = float("nan")
    good = [i for i in range(len(broken)) if i != 2]
    value, grad = landscape.value_and_grad(broken)
    whole_value, whole_grad = landscape.value_and_grad(case.points)
    assert bool(torch.isnan(value[2]))
    assert bool(torch.isnan(landscape.value(broken)[2]))
    close(value[good], whole_value[good], TIGHT)
    close(grad[good], whole_grad[good], TIGHT)


def test_lazy_rows_equal_dense_rows(case):
    landscape = case.factory()
    a, b, c = case.points[:3]
    coefficients = torch.tensor([[[0.0, 0.0], [0.5, 0.0]], [[0.25, -0.5], [0.0, 1.0]]], dtype=torch.float64)
    rows = AffineRows(a, coefficients, torch.stack([b - a, c - a]))
    close(landscape.value(rows), landscape.value(rows.dense()), TIGHT)
    for lazy, dense in zip(landscape.value_and_grad(rows), landscape.value_and_grad(rows.dense()), strict=True):
        close(lazy, dense, TIGHT)


def test_non_contiguous_rows(case):
    landscape = case.factory()
    strided = torch.stack([case.points, -case.points], dim=-1)[..., 0]
    assert not strided.is_contiguous()
    close(landscape.value_and_grad(strided)[1], landscape.value_and_grad(case.points)[1], TIGHT)
    vectors = case.points.flip(0)
    close(landscape.hvp(strided, vectors), landscape.hvp(case.points, vectors), max(TIGHT, case.tolerance))


def test_gradient_is_the_slope_of_the_value(case):
    landscape = case.factory()
    grad = landscape.value_and_grad(case.points)[1]
    for seed in range(3):
        v = directions_like(case.points, seed)
        close((grad * v).sum(-1), differences(landscape, case.points, v), max(case.tolerance, 3e-7))


def test_hvp_is_the_slope_of_the_gradient_and_symmetric(case):
    landscape = case.factory()
    if not isinstance(landscape, SupportsHvp):
        pytest.fail("every landscape so far has a Hessian-vector product; if this one cannot, say so in its Case")
    u, v = directions_like(case.points, 1), 3 * directions_like(case.points, 2)
    step = 1e-4
    up, down = (landscape.value_and_grad(case.points + s * v)[1] for s in (step, -step))
    hv, hu = landscape.hvp(case.points, v), landscape.hvp(case.points, u)
    close(hv, (up - down) / (2 * step), max(10 * case.tolerance, 2e-5))
    close((u * hv).sum(-1), (v * hu).sum(-1), max(10 * case.tolerance, 1e-11))
    assert not landscape.hvp(case.points, torch.zeros_like(v)).any()
    close(landscape.hvp(case.points, 2 * v), 2 * hv, max(case.tolerance, 1e-11))


def test_rows_that_do_not_fit_are_refused(case):
    landscape, d = case.factory(), case.points.shape[-1]
    wrong = {
        "coordinates": torch.zeros(3, d + 1, dtype=torch.float64),
        f"{d} coordinates": torch.zeros((), dtype=torch.float64),
        "float64": torch.zeros(3, d, dtype=torch.float32),
        "int64": torch.zeros(3, d, dtype=torch.int64),
        "cpu": torch.zeros(3, d, dtype=torch.float64, device="meta"),
        "list": [0.0] * d,
        "ndarray": np.zeros(d),
    }
    for word, rows in wrong.items():
        for call in (landscape.value, landscape.value_and_grad, lambda x: landscape.hvp(x, x)):
            with pytest.raises(InputError, match=word):
                call(rows)


def test_inputs_and_random_state_are_left_alone(case):
    torch_before, numpy_before = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    landscape = case.factory()
    x, v = case.points.clone(), directions_like(case.points)
    kept = v.clone()
    landscape.value(x), landscape.value_and_grad(x), landscape.value(x[0]), landscape.value_and_grad(x[0])
    landscape.hvp(x, v), landscape.to(dtype=torch.float32).value(x.float())
    assert torch.equal(x, case.points)
    assert torch.equal(v, kept)
    assert torch.equal(torch.random.get_rng_state(), torch_before)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_before, strict=True))  # noqa: NPY002


def test_results_are_the_callers_own(case):
    landscape = case.factory()
    value, grad = landscape.value_and_grad(case.points)
    kept_value, kept_grad = value.clone(), grad.clone()
    value.zero_(), grad.zero_(), landscape.value(case.points).zero_()
    again = landscape.value_and_grad(case.points)
    assert torch.equal(again[0], kept_value)
    assert torch.equal(again[1], kept_grad)


def test_to_makes_another_landscape(case):
    landscape = case.factory()
    value, grad = landscape.value_and_grad(case.points)
    single = landscape.to(dtype=torch.float32)
    assert single.dtype == torch.float32
    assert landscape.dtype == torch.float64
    value_single, grad_single = single.value_and_grad(case.points.float())
    assert value_single.dtype == grad_single.dtype == torch.float32
    close(value_single.double(), value, 2e-5)
    close(grad_single.double(), grad, 2e-5)
    assert torch.equal(landscape.value_and_grad(case.points)[1], grad)
    with pytest.raises(InputError):
        landscape.to(dtype=torch.int64)


def test_samples_and_on_agree(case):
    landscape = case.factory()
    if landscape.samples is None:
        with pytest.raises(InputError, match="samples"):
            landscape.on(torch.tensor([0]))
    else:
        with pytest.raises(InputError):
            landscape.on(torch.tensor([landscape.samples]))
