"""Local minima of a committee's loss: many starts at once, gradient descent, Newton polish, what each one is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_norm
from lossatlas.core.proportion import Proportion
from lossatlas.core.randomness import generator
from lossatlas.landscape.analytic.energy import check_count
from lossatlas.theory.committee.blocks import block_sizes
from lossatlas.theory.committee.dynamics import check_rate
from lossatlas.theory.committee.landscape import Committee
from lossatlas.theory.committee.polish import FLAT, newton_polish

__all__ = ["BAD_LOSS", "Minima", "describe", "find_minima"]

BAD_LOSS = 1e-3
"""A run that ends above this loss ended in a bad minimum (Safran & Shamir 2018)."""

_ARRIVED = 1e-12
# Newton's method is tried once the gradient is this short, and believed if it moves a point no further than that.
_NEAR, _CLOSE = 1e-2, 0.3
_ROUND = 100
# Overlaps handled at once: pieces that stay in the cache are nearly twice as fast as a thousand starts together.
_CACHED = 50_000
# With more students than teachers, descent ends here.
_SMALL = 1e-4


@dataclass(frozen=True)
class Minima:
    """Where many starts ended.

    Args:
        landscape: where.
        x: end of each start, ``(n, D)``.
        loss: ``(n,)``.
        grad_norm: Euclidean length of the gradient, ``(n,)``.
        eigenvalues: of the Hessian, ascending, ``(n, D)``.
        steps: of gradient descent, ``(n,)``.
    """

    landscape: Committee
    x: Tensor
    loss: Tensor
    grad_norm: Tensor
    eigenvalues: Tensor
    steps: Tensor

    @property
    def converged(self) -> Tensor:
        """Whether the gradient vanishes to rounding, ``(n,)``."""
        return self.grad_norm < _ARRIVED

    @property
    def flat(self) -> Tensor:
        """How many eigenvalues are zero, ``(n,)``."""
        return (self.eigenvalues.abs() <= FLAT * self.eigenvalues[:, -1:]).sum(-1)

    @property
    def index(self) -> Tensor:
        """How many eigenvalues are negative, ``(n,)``; 0 is stable."""
        return (self.eigenvalues < -FLAT * self.eigenvalues[:, -1:]).sum(-1)

    @property
    def bad(self) -> Tensor:
        """Whether the loss is above 1e-3, ``(n,)``."""
        return self.loss > BAD_LOSS

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """Sizes of the groups of students that have the same overlaps, ascending; n of them."""
        return tuple(block_sizes(*self.landscape.overlaps(self.x)))

    def bad_fraction(self, confidence: float = 0.95) -> Proportion:
        """Fraction of starts in a bad minimum with its interval.

        Raises:
            InputError: a confidence outside (0, 1).
        """
        return Proportion(int(self.bad.sum()), len(self.loss), confidence)

    def distinct(self, digits: int = 8) -> tuple[tuple[int, int], ...]:
        """Different bad minima as (first start that reached it, how many did), lowest loss first.

        Those that converged and are the same to ``digits`` digits of the loss count as one.
        """
        seen: dict[float, list[int]] = {}
        for i in torch.nonzero(self.bad & self.converged).flatten().tolist():
            seen.setdefault(round(float(self.loss[i]), digits), []).append(i)
        return tuple((found[0], len(found)) for _, found in sorted(seen.items()))


def describe(landscape: Committee, x: Tensor, steps: Tensor | None = None) -> Minima:
    """Loss, gradient and spectrum at given points, ``(n, D)``, without moving them.

    Raises:
        InputError: rows that do not belong to the landscape.

    Example:
        >>> describe(Committee(2), torch.eye(2, dtype=torch.float64).reshape(1, 4)).index
        tensor([0])
    """
    loss, grad = landscape.value_and_grad(x)
    values = torch.linalg.eigvalsh(landscape.hessian(x))
    steps = torch.zeros(len(x), dtype=torch.int64) if steps is None else steps
    return Minima(landscape, x, loss, row_norm(grad), values, steps)


def find_minima(
    landscape: Committee, starts: int = 1000, *, step: float = 0.1, max_steps: int = 20_000, seed: int = 0
) -> Minima:
    """Gradient descent from u ~ N(0, 1/d), then Newton's method where it stands nearly still.

    Newton's method ends a run only at a point that is close by, stable and no higher; else descent goes on. A run that
    uses up its steps is returned as it is: ``converged`` is False there. With more students than teachers the global
    minimum is flat to high order and is approached ever more slowly; such runs end once their loss is below 1e-4.

    Args:
        landscape: float64.
        starts: how many.
        step: of gradient descent.
        max_steps: of gradient descent.
        seed: names the starts.

    Raises:
        InputError: a landscape of another type than float64, a step that is not positive, or counts below 1.

    Example:
        >>> found = find_minima(Committee(3), 10)
        >>> int(found.bad.sum()), bool(found.converged.all()), found.blocks[0]
        (0, True, (3,))

    Source: Safran & Shamir 2018, *Spurious local minima are common in two-layer ReLU neural networks*.
    """
    if landscape.dtype != torch.float64:
        raise InputError(f"expected a landscape of torch.float64, got {landscape.dtype}: use landscape.to(dtype=...)")
    check_count(starts, "starts")
    check_count(max_steps, "max_steps")
    check_rate(step, "step")
    shape = (starts, landscape.students, landscape.inputs)
    x = torch.randn(shape, dtype=torch.float64, generator=generator(seed, "committee starts", *shape))
    x = (x / landscape.inputs**0.5).flatten(1)
    steps = torch.zeros(starts, dtype=torch.int64)
    running = torch.arange(starts)
    near = torch.full((starts,), _NEAR, dtype=torch.float64)
    single = landscape.to(dtype=torch.float32)
    while len(running) > 0 and int(steps[running[0]]) < max_steps:
        x[running], grad_norm = _descend(single, x[running], step)
        steps[running] += _ROUND
        near[running[grad_norm > _NEAR]] = _NEAR
        tried = running[grad_norm < near[running]]
        done = landscape.value(x[running]) < _SMALL if landscape.students > landscape.teachers else None
        if len(tried) > 0:
            arrived, there = _arrive(landscape, x[tried])
            x[tried[arrived]] = there[arrived]
            near[tried] = grad_norm[grad_norm < near[running]] / 2
            ended = torch.isin(running, tried[arrived])
            done = ended if done is None else done | ended
        running = running if done is None else running[~done]
    return describe(landscape, x, steps)


def _descend(single: Committee, x: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """One round in float32, which is what the way down needs; where it ends is settled in float64."""
    ends, slopes = [], []
    at_once = max(1, _CACHED // (single.students * (single.students + single.teachers)))
    for first in range(0, len(x), at_once):
        rows = x[first : first + at_once].to(single.dtype)
        for _ in range(_ROUND):
            grad = single.gradient(rows)
            rows = rows - step * grad
        ends.append(rows.double())
        slopes.append(row_norm(grad.double()))
    return torch.cat(ends), torch.cat(slopes)


def _arrive(landscape: Committee, x: Tensor) -> tuple[Tensor, Tensor]:
    """Which rows have a minimum beside them, and where it is."""
    values = torch.linalg.eigvalsh(landscape.hessian(x))
    fit = torch.nonzero(values[:, 0] > -FLAT * values[:, -1]).flatten()
    arrived, there = torch.zeros(len(x), dtype=torch.bool), x.clone()
    if len(fit) > 0:
        found = newton_polish(landscape, x[fit])
        stable = found.eigenvalues[:, 0] > -FLAT * found.eigenvalues[:, -1]
        close = row_norm(found.x - x[fit]) < _CLOSE
        lower = landscape.value(found.x) <= landscape.value(x[fit]) + 1e-12
        arrived[fit] = (found.grad_norm < _ARRIVED) & stable & close & lower
        there[fit] = found.x
    return arrived, there
