"""Finders with small budgets, and a landscape that counts its rows."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from lossatlas.landscape.contract import Landscape
from lossatlas.paths import PathFinder, finders

# Names under which finders limit their work, and a small one.
_LIMITS = ("iterations", "budget", "steps")
_STEP_OF_A_CURVE = 11  # gradients of a converged curve's step on an energy


def accepts(name: str, option: str) -> bool:
    """Whether a finder has an option."""
    return option in inspect.signature(finders[name]).parameters


def limit_of(name: str) -> str | None:
    """The option that limits a finder's work."""
    if name == "fourier-published":  # it shares its options with the converged method
        return "steps"
    return next((option for option in _LIMITS if accepts(name, option)), None)


def small(name: str, limit: int = 30, **options: Any) -> PathFinder:
    """A finder that does not work long; its diagnostics are those of every finder."""
    chosen = {"saddle": False, **options}
    limited = limit_of(name)
    if limited is not None:
        chosen.setdefault(limited, limit * _STEP_OF_A_CURVE if limited == "budget" else limit)
    return finders[name](**chosen)


class Counting:
    """A landscape that counts what is asked of it; copies in another type are counted apart.

    Args:
        inner: the landscape.
        hole: rows within this distance of ``centre`` are NaN.
        centre: ``(d,)``.
    """

    def __init__(self, inner: Landscape, *, centre: Tensor | None = None, hole: float = 0.0) -> None:
        self.inner, self.centre, self.hole = inner, centre, hole
        self.gradients = 0
        self.values = 0

    dim = property(lambda self: self.inner.dim)
    dtype = property(lambda self: self.inner.dtype)
    device = property(lambda self: self.inner.device)
    spec = property(lambda self: self.inner.spec)
    samples = property(lambda self: self.inner.samples)

    def _broken(self, x: Any) -> Tensor:
        rows = x if isinstance(x, Tensor) else x.dense()
        if self.centre is None:
            return torch.zeros(rows.shape[:-1], dtype=torch.bool)
        return (rows - self.centre.to(rows)).norm(dim=-1) < self.hole

    def value(self, x: Any) -> Tensor:
        self.values += x.shape[:-1].numel()
        return torch.where(self._broken(x), torch.nan, self.inner.value(x))

    def value_and_grad(self, x: Any) -> tuple[Tensor, Tensor]:
        self.gradients += x.shape[:-1].numel()
        values, grads = self.inner.value_and_grad(x)
        broken = self._broken(x)
        return torch.where(broken, torch.nan, values), torch.where(broken[..., None], torch.nan, grads)

    def on(self, batch: Tensor) -> Counting:
        return Counting(self.inner.on(batch))

    def to(self, *, dtype: torch.dtype | None = None, device: Any = None) -> Counting:
        # A new counter: the diagnosis asks for float64 this way, the search does not.
        return Counting(self.inner.to(dtype=dtype, device=device), centre=self.centre, hole=self.hole)
