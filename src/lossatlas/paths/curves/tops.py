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
    low, high = loss[:, :-1], loss[:, 1:]
    a, b = slope[:, :-1] * width, slope[:, 1:] * width
    # L(u) = c u³ + q u² + a u + low on every piece, u from 0 to 1.
    c, q = a + b - 2 * (high - low), 3 * (high - low) - 2 * a - b
    root = (q * q - 3 * c * a).clamp(min=0).sqrt()
    # The zero of the derivative at which the second one is negative, in the form that does not cancel.
    one = torch.ones_like(q)
    falls, rises = root - q, torch.where(c < 0, c, -one)
    inner = torch.where(q > 0, (-q - root) / (3 * rises), a / torch.where(falls > 0, falls, one))
    u = torch.stack([0 * one, torch.where((inner > 0) & (inner < 1), inner, 0.0), one], dim=2)
    value = ((c[..., None] * u + q[..., None]) * u + a[..., None]) * u + low[..., None]
    place = t[:, :-1, None] + u * width[..., None]
    height, best = value.flatten(1).max(1)
    return place.flatten(1).gather(1, best[:, None])[:, 0], height
