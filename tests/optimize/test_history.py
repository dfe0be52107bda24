from __future__ import annotations

import torch

from lossatlas.optimize.history import Pairs

EPS = 1e-6


def dense_inverse_hessian(steps: list[torch.Tensor], changes: list[torch.Tensor]) -> torch.Tensor:
    """The BFGS update of the inverse Hessian, matrix by matrix."""
    d = len(steps[0])
    one = torch.eye(d, dtype=torch.float64)
    h = (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1]) * one
    for s, y in zip(steps, changes, strict=True):
        rho = 1 / (s @ y + EPS)
        h = (one - rho * torch.outer(s, y)) @ h @ (one - rho * torch.outer(y, s)) + rho * torch.outer(s, s)
    return h


def convex_pairs(n: int, d: int, k: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    s = torch.randn(k, n, d, generator=source, dtype=torch.float64)
    root = torch.randn(d, d, generator=source, dtype=torch.float64)
    return s, s @ (root @ root.T + torch.eye(d, dtype=torch.float64))


def test_direction_is_that_of_the_dense_recursion() -> None:
    n, d, k, m = 3, 7, 6, 4
    s, y = convex_pairs(n, d, k)
    gradient = torch.randn(n, d, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    pairs = Pairs.empty(gradient)
    assert torch.equal(pairs.direction(gradient, EPS), -gradient)
    everyone = torch.ones(n, dtype=torch.bool)
    for j in range(k):
        # The middle row makes no third step and begins anew.
        rows = everyone.clone()
        rows[1] = j != 2
        pairs = pairs.add(s[j], y[j], rows, m, 1e-4)
        direction = pairs.direction(gradient, EPS)
        assert len(pairs.steps) == min(j + 1, m)
        for row in range(n):
            first = max(0, j + 1 - m, 3 if row == 1 and j >= 2 else 0)
            used = range(first, j + 1)
            assert pairs.count[row] == len(used)
            expected = -gradient[row]
            if used:
                h = dense_inverse_hessian([s[i, row] for i in used], [y[i, row] for i in used])
                expected = -h @ gradient[row]
            torch.testing.assert_close(direction[row], expected, rtol=1e-10, atol=1e-12)


def test_newest_pair_decides_whether_the_history_is_forgotten() -> None:
    y = torch.zeros(6, 4, dtype=torch.float64)
    y[:, 0] = 1
    s = torch.zeros_like(y)
    cosines = torch.tensor([0.9e-4, 1.1e-4, -0.5, 1.0], dtype=torch.float64)
    s[:4, 0], s[:4, 1] = cosines, (1 - cosines**2).sqrt()
    s[5] = y[5] * 1e-200  # |s|² underflows, so |s||y| = 0
    everyone = torch.ones(6, dtype=torch.bool)
    good = torch.ones_like(y)
    pairs = Pairs.empty(y).add(good, good, everyone, 10, 1e-4).add(s, y, everyone, 10, 1e-4)
    assert pairs.count.tolist() == [0, 2, 0, 2, 0, 0]
    gradient = torch.full_like(y, 0.3)
    direction = pairs.direction(gradient, EPS)
    for row in (0, 2, 4, 5):
        assert torch.equal(direction[row], -gradient[row])


def test_a_change_that_is_not_finite_is_forgotten() -> None:
    one = torch.ones(1, 2, dtype=torch.float64)
    for bad in (float("nan"), float("inf"), 1e200):
        pairs = Pairs.empty(one).add(one, one * bad, torch.tensor([True]), 3, 1e-4)
        assert pairs.count.item() == 0
        assert torch.equal(pairs.direction(one, EPS), -one)
        pairs = pairs.add(one, one, torch.tensor([True]), 3, 1e-4)
        assert pairs.count.item() == 1
        assert torch.equal(
            pairs.direction(one, EPS), Pairs.empty(one).add(one, one, one[:, 0] > 0, 3, 1e-4).direction(one, EPS)
        )


def test_bits_do_not_depend_on_how_many_rows_there_are() -> None:
    n, d = 3, 70_001
    source = torch.Generator().manual_seed(3)
    s, gradient = (torch.randn(n, d, generator=source) for _ in range(2))
    y = s * torch.rand(n, d, generator=source)
    everyone = torch.ones(n, dtype=torch.bool)
    together = Pairs.empty(s).add(s, y, everyone, 5, 1e-4).add(s + 1, y + 1, everyone, 5, 1e-4)
    direction = together.direction(gradient, EPS)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for row in range(n):
            one = slice(row, row + 1)
            alone = Pairs.empty(s[one]).add(s[one], y[one], everyone[one], 5, 1e-4)
            alone = alone.add(s[one] + 1, y[one] + 1, everyone[one], 5, 1e-4)
            assert torch.equal(alone.direction(gradient[one], EPS)[0], direction[row])
    finally:
        torch.set_num_threads(threads)
