from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lossatlas.optimize.rows import all_rows_finite, masked_value, masked_value_and_grad, stable_dot, stable_norm


@pytest.mark.parametrize("d", [1, 4095, 4096, 4097, 100_003])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dot_is_right_and_its_bits_do_not_depend_on_the_other_rows(d: int, dtype: torch.dtype) -> None:
    source = torch.Generator().manual_seed(d)
    a, b = (torch.randn(5, d, generator=source, dtype=dtype) for _ in range(2))
    together = stable_dot(a, b)
    exact = (a.double() * b.double()).sum(-1)
    assert ((together.double() - exact).abs() <= 4 * torch.finfo(dtype).eps * d**0.5 * 10).all()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for i in range(5):
            assert torch.equal(stable_dot(a[i : i + 1], b[i : i + 1])[0], together[i])
        assert torch.equal(stable_dot(a[1:4], b[1:4]), together[1:4])
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(stable_norm(a), torch.linalg.vector_norm(a, dim=-1))


def test_finite_rows_are_told_from_overflowing_sums() -> None:
    big, nan, inf = 3e38, float("nan"), float("inf")
    x = torch.tensor([[1.0, 2.0], [big, big], [nan, 0.0], [inf, -inf], [0.0, -inf], [-big, -big]])
    assert all_rows_finite(x).tolist() == [True, True, False, False, False, True]
    assert all_rows_finite(x[:1]).tolist() == [True]


def test_only_masked_rows_are_evaluated(valley: Callable, points: Callable) -> None:
    landscape, x = valley(3), points(4, 3)
    rows = torch.tensor([False, True, False, True])
    value = masked_value(landscape, x, rows)
    again, gradient = masked_value_and_grad(landscape, x, rows)
    assert torch.equal(torch.stack(landscape.value_rows), x[rows])
    assert torch.equal(torch.stack(landscape.gradient_rows), x[rows])
    assert value.isnan().tolist() == again.isnan().tolist() == [True, False, True, False]
    full, full_gradient = landscape.value_and_grad(x)
    assert torch.equal(value[rows], full[rows])
    assert torch.equal(again[rows], full[rows])
    assert torch.equal(gradient, torch.where(rows[:, None], full_gradient, 0.0))
    landscape.value_rows.clear()
    assert masked_value(landscape, x, ~(rows | ~rows)).isnan().all()
    assert landscape.value_rows == []
