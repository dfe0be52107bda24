"""Vectors of given lengths in random directions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossatlas.core.randomness import generator


def shell(radii: Sequence[float] | Tensor, d: int, *names: int | str) -> Tensor:
    """One vector ``(d,)`` of each length, float64, in directions that are independent and uniform."""
    lengths = torch.as_tensor(radii, dtype=torch.float64)
    rows = torch.randn(len(lengths), d, dtype=torch.float64, generator=generator("shell", *names))
    return rows / rows.norm(dim=1, keepdim=True) * lengths[:, None]
