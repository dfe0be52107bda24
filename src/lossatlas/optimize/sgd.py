"""Stochastic gradient descent over rows, with momentum, Nesterov's variant and weight decay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from lossatlas.core.errors import ConfigurationError
from lossatlas.landscape.contract import Landscape
from lossatlas.optimize.optimizer import State, Status, start_rows
from lossatlas.optimize.rows import all_rows_finite, masked_value_and_grad
from lossatlas.optimize.schedules import LearningRate, as_schedule

__all__ = ["SGD", "GradientDescent", "GradientState", "settle_gradient_step"]


@dataclass(frozen=True)
class GradientState(State):
    """State of an optimizer that takes one gradient per step.

    ``value`` is NaN: the loss at ``x`` is not known until the next step evaluates it.

    Args:
        batch_value: ``(n,)``, the loss where the last step began, on its batch; NaN before the first step.
        momentum: ``(n, d)``, or None before the first step and without momentum.
    """

    batch_value: Tensor
    momentum: Tensor | None = None


def settle_gradient_step(state: State, new_x: Tensor, value: Tensor, finite: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the old point of rows that are not active or just diverged.

    Args:
        state: before the step.
        new_x: points after it, ``(n, d)``.
        value: loss before it, ``(n,)``.
        finite: ``(n,)`` bool, rows known to have a finite gradient.

    Returns:
        The points ``(n, d)``, which rows are still active ``(n,)``, and the status of each ``(n,)``.
    """
    good = state.active & finite & value.isfinite() & all_rows_finite(new_x)
    if bool(good.all()):
        return new_x, good, state.status
    status = torch.where(state.active & ~good, int(Status.DIVERGED), state.status)
    return torch.where(good[:, None], new_x, state.x), good, status


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent.

    g ← ∇L(w) + λw;  v ← μv + (1 − τ)g (v = g the first time);  w ← w − η·v, or with Nesterov w ← w − η(g + μv).

    The formulas and the order of operations are those of :class:`torch.optim.SGD`, for every row at once.

    Args:
        lr: learning rate η, a number or a schedule of the step.
        momentum: μ.
        dampening: τ.
        weight_decay: λ.
        nesterov: use Nesterov's momentum.

    Raises:
        ConfigurationError: a constant is out of range.

    Example:
        >>> SGD(lr=0.1, momentum=0.9).momentum
        0.9

    Reference:
        Sutskever et al. (2013), On the importance of initialization and momentum in deep learning.
    """

    lr: LearningRate = 0.1
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    stochastic: ClassVar[bool] = True
    state_type: ClassVar[type[GradientState]] = GradientState

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", as_schedule(self.lr) if not isinstance(self.lr, int | float) else self.lr)
        as_schedule(self.lr)
        for name, value in (("momentum", self.momentum), ("weight_decay", self.weight_decay)):
            if not 0 <= value < float("inf"):
                raise ConfigurationError(f"expected {name} to be a number >= 0, got {value}")
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ConfigurationError(
                f"expected momentum > 0 and no dampening with nesterov, got {self.momentum} and {self.dampening}"
            )

    def init(self, landscape: Landscape, x: Tensor) -> GradientState:
        """Start at the rows of ``x``, ``(n, d)``; nothing is evaluated.

        Raises:
            InputError: ``x`` does not belong to the landscape.
        """
        start = start_rows(landscape, x)
        return GradientState(**start, batch_value=start["value"])

    def step(self, landscape: Landscape, state: GradientState) -> GradientState:
        """Take one gradient at each active row and move against it."""
        lr = as_schedule(self.lr)(state.steps)
        x, active = state.x, state.active
        value, gradient = masked_value_and_grad(landscape, x, active)
        if self.weight_decay:
            gradient = torch.add(gradient, x, alpha=self.weight_decay)
        buffer = None
        if self.momentum:
            # torch starts from the plain gradient, without dampening.
            buffer = (
                gradient.clone()
                if state.momentum is None
                else torch.mul(state.momentum, self.momentum).add_(gradient, alpha=1 - self.dampening)
            )
            gradient = torch.add(gradient, buffer, alpha=self.momentum) if self.nesterov else buffer
        new_x = torch.add(x, gradient, alpha=-lr)
        # A gradient that is not finite makes the new point so, whatever the learning rate.
        new_x, good, status = settle_gradient_step(state, new_x, value, active)
        return replace(
            state,
            x=new_x,
            active=good,
            status=status,
            gradients=state.gradients + active,
            steps=state.steps + 1,
            batch_value=torch.where(active, value, state.batch_value),
            momentum=buffer,
        )


@dataclass(frozen=True)
class GradientDescent(SGD):
    """Gradient descent on the whole landscape: :class:`SGD` without the noise.

    Example:
        >>> GradientDescent(lr=0.5).stochastic
        False
    """

    stochastic: ClassVar[bool] = False
