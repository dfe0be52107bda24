"""Adam on the coefficients of many curves, some of which stop before the others."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Adam"]

_FIRST, _SECOND, _EPS = 0.9, 0.999, 1e-8


class Adam:
    """Moments of Adam with the constants of ``torch.optim.Adam``, one row per curve.

    The update is elementwise, so a curve does not notice which others are relaxed with it.

    Args:
        like: ``(p, K, d)``, the coefficients.

    Reference:
        Kingma & Ba 2015, *Adam: a method for stochastic optimization*, Algorithm 1.

    Example:
        >>> adam = Adam(torch.zeros(1, 1, 2))
        >>> adam.step(torch.tensor([[[3.0, -0.5]]])).round(decimals=3)
        tensor([[[-1.,  1.]]])
    """

    def __init__(self, like: Tensor) -> None:
        self._mean = torch.zeros_like(like)
        self._square = torch.zeros_like(like)
        self._steps = 0

    def step(self, gradient: Tensor) -> Tensor:
        """Take in a gradient ``(p, K, d)`` and return the step for a learning rate of 1, ``-> (p, K, d)``."""
        self._steps += 1
        self._mean.lerp_(gradient, 1 - _FIRST)
        self._square.mul_(_SECOND).addcmul_(gradient, gradient, value=1 - _SECOND)
        size = (self._square / (1 - _SECOND**self._steps)).sqrt_().add_(_EPS)
        return self._mean.div(size).div_(-(1 - _FIRST**self._steps))

    def keep(self, rows: Tensor) -> None:
        """Forget the curves that have stopped; ``rows`` is a mask ``(p,)`` of those that go on."""
        self._mean, self._square = self._mean[rows], self._square[rows]
