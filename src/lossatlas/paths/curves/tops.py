"""The highest point of many curves, from losses and slopes at samples."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["highest"]


def highest(t: Tensor, loss: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Where cubic Hermite interpolation of each row is highest.

    Losses and gradients are known at the samples anyway, so the maximum between them costs no evaluation. Beyond the
    first and the last sample, towards the ends, nothing is interpolated: a maximum there is approached as the samples
    move.

    Args:
        t: ``(p, m)``, increasing.
        loss: ``(p, m)``.
        slope: ``(p, m)``, dL/dt.

    Returns:
        The place ``(p,)`` and the interpolated height ``(p,)``.

    Example:
        >>> t = torch.tensor([[0.2, 0.4, 0.8]], dtype=torch.float64)
        >>> place, height = highest(t, t * (1 - t), 1 - 2 * t)
        >>> place, height
        (tensor([0.5000], dtype=torch.float64), tensor([0.2500], dtype=torch.float64))
    """
    width = t.diff(dim=1)
    left, right = loss[:, :-1], loss[:, 1:]
    a, b = slope[:, :-1] * width, slope[:, 1:] * width
    cubic, square = a + b - 2 * (right - left), 3 * (right - left) - 2 * a - b
    # Where the derivative of each piece is zero and its second derivative negative; -a / (square - root) instead of
    # (root - square) / (3 cubic) loses no digits where the piece is nearly a parabola.
    root = (square * square - 3 * cubic * a).clamp(min=0).sqrt()
    down = square - root
    inner = torch.where(down < 0, -a / torch.where(down < 0, down, -torch.ones_like(down)), 0.0).clamp(0, 1)
    # A piece without a maximum inside is highest at one of its samples.
    u = torch.stack([torch.zeros_like(inner), inner, torch.ones_like(inner)], dim=-1)
    value = ((cubic[..., None] * u + square[..., None]) * u + a[..., None]) * u + left[..., None]
    best = value.flatten(1).argmax(1)
    row, piece = torch.arange(len(t), device=t.device), best // 3
    return t[row, piece] + u.flatten(1)[row, best] * width[row, piece], value.flatten(1)[row, best]
