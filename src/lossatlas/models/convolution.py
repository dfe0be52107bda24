"""Convolutions with the initial weights of He et al. 2015."""

from __future__ import annotations

from torch import nn

from lossatlas.core.errors import InputError

__all__ = ["HeConv2d", "scaled_planes"]


class HeConv2d(nn.Conv2d):
    """``nn.Conv2d`` that draws w ~ N(0, 2 / fan-in) and sets biases to zero.

    Without normalisation or skips, torch's own initial weights let the signal of a deep ReLU network vanish.
    He et al. 2015 (arXiv 1502.01852), eq. 10.

    Example:
        >>> import torch
        >>> spread = HeConv2d(64, 64, 3).weight.detach().std() * (64 * 9 / 2) ** 0.5
        >>> bool((spread - 1).abs() < 0.05), HeConv2d(1, 2, 3).bias
        (True, Parameter containing:
        tensor([0., 0.], requires_grad=True))
    """

    def reset_parameters(self) -> None:
        """Draw new weights."""
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def scaled_planes(planes: int, width: float) -> int:
    """Number of channels times a width multiplier, at least 1.

    Raises:
        InputError: a multiplier that is not positive.

    Example:
        >>> scaled_planes(16, 0.25), scaled_planes(16, 2)
        (4, 32)
    """
    if not 0 < width < float("inf"):
        raise InputError(f"expected a positive width multiplier, got {width}")
    return max(1, round(planes * width))
