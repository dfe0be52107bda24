"""Small landscapes whose rows are evaluated one by one, and one that counts what it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import pytest
import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.landscape.contract import Rows, check_rows


class Counted:
    """``f(x: (d,)) -> ()`` as a landscape: each row by itself, every row that is asked for recorded."""

    samples: int | None = None

    def __init__(
        self,
        f: Callable[[Tensor], Tensor],
        dim: int,
        dtype: torch.dtype = torch.float64,
        spec: ParamSpec | None = None,
    ) -> None:
        self.f, self.dim, self.dtype, self.device, self.spec = f, dim, dtype, torch.device("cpu"), spec
        self.value_rows: list[Tensor] = []
        self.gradient_rows: list[Tensor] = []

    def value(self, x: Rows) -> Tensor:
        check_rows(x, self)
        assert isinstance(x, Tensor)
        self.value_rows.extend(x.clone())
        return torch.stack([self.f(row) for row in x.detach()])

    def value_and_grad(self, x: Rows) -> tuple[Tensor, Tensor]:
        check_rows(x, self)
        assert isinstance(x, Tensor)
        self.gradient_rows.extend(x.clone())
        values, gradients = [], []
        for row in x.detach():
            leaf = row.clone().requires_grad_(True)
            value = self.f(leaf)
            (gradient,) = torch.autograd.grad(value, leaf)
            values.append(value.detach())
            gradients.append(gradient)
        return torch.stack(values), torch.stack(gradients)

    def on(self, batch: Tensor) -> Self:
        raise InputError("expected no samples")

    def to(self, *, dtype: torch.dtype | None = None, device: str | torch.device | None = None) -> Self:
        raise NotImplementedError


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@pytest.fixture
def counted() -> type[Counted]:
    return Counted


@pytest.fixture
def valley() -> Callable[..., Counted]:
    """Make a Rosenbrock landscape."""
    return lambda dim=4, dtype=torch.float64: Counted(rosenbrock, dim, dtype)


@pytest.fixture
def quadratic() -> Callable[..., Counted]:
    """Make ½(x − c)ᵀA(x − c) of given condition number in rotated coordinates; ``.minimum`` is c."""

    def make(dim: int = 8, condition: float = 100.0, dtype: torch.dtype = torch.float64, seed: int = 0) -> Counted:
        source = torch.Generator().manual_seed(seed)
        q, _ = torch.linalg.qr(torch.randn(dim, dim, generator=source, dtype=torch.float64))
        eigenvalues = torch.logspace(0, -torch.log10(torch.tensor(condition)).item(), dim, dtype=torch.float64)
        hessian = ((q * eigenvalues) @ q.T).to(dtype)
        centre = torch.randn(dim, generator=source, dtype=torch.float64).to(dtype)
        landscape = Counted(lambda x: 0.5 * ((x - centre) * (hessian @ (x - centre))).sum(), dim, dtype)
        landscape.minimum, landscape.hessian = centre, hessian  # type: ignore[attr-defined]
        return landscape

    return make


@pytest.fixture
def points() -> Callable[..., Tensor]:
    """Draw ``(n, d)`` standard normal numbers."""

    def draw(n: int, dim: int, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
        return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)

    return draw
