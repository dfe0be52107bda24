"""The highest point of many curves, from losses and slopes at samples."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["highest"]

_FINE = 16  # places looked at between two samples


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
    width = t.diff(dim=1)[..., None]
    u = torch.linspace(0, 1, _FINE + 1, dtype=t.dtype, device=t.device)
    left, right = loss[:, :-1, None], loss[:, 1:, None]
    a, b = slope[:, :-1, None] * width, slope[:, 1:, None] * width
    cubic, square = a + b - 2 * (right - left), 3 * (right - left) - 2 * a - b
    value = ((cubic * u + square) * u + a) * u + left
    # The exact maximum of the best cubic: the root of its derivative with a negative second derivative.
    flat = value.flatten(1)
    best = flat.argmax(1)
    piece = best // (_FINE + 1)
    row = torch.arange(len(t), device=t.device)
    c, q, s, base = (x[row, piece, 0] for x in (cubic, square, a, left))
    root = (q * q - 3 * c * s).clamp(min=0).sqrt()
    # -s / (q - root) is the maximum without cancellation where c is small and q negative.
    down = q - root
    exact = torch.where(down < 0, -s / torch.where(down < 0, down, -torch.ones_like(down)), u[best % (_FINE + 1)])
    exact = torch.where((exact >= 0) & (exact <= 1), exact, u[best % (_FINE + 1)])
    height = ((c * exact + q) * exact + s) * exact + base
    place = t[row, piece] + exact * width[row, piece, 0]
    return place, height
