"""Critical points and passes: what an analytic energy knows about itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["CriticalPoint", "Pass"]


@dataclass(frozen=True)
class CriticalPoint:
    """A point where the gradient vanishes.

    Args:
        x: coordinates, ``(d,)``.
        value: energy there.
        index: number of negative eigenvalues of the Hessian: 0 at a minimum, 1 at a pass.
        name: short name, such as ``"A"``.

    Example:
        >>> CriticalPoint(torch.zeros(2), 0.0, 0, "origin").to(dtype=torch.float64).x
        tensor([0., 0.], dtype=torch.float64)
    """

    x: Tensor
    value: float
    index: int
    name: str

    def to(self, *, dtype: torch.dtype | None = None, device: torch.device | None = None) -> CriticalPoint:
        """Return the same point in another floating type or on another device; always a copy."""
        return replace(self, x=self.x.to(dtype=dtype or self.x.dtype, device=device or self.x.device, copy=True))


@dataclass(frozen=True)
class Pass:
    """The lowest way between two minima.

    Args:
        start: one minimum.
        end: another minimum.
        value: min over paths of the maximum of the energy along the path, exactly.
        saddle: where that maximum is attained.
    """

    start: CriticalPoint
    end: CriticalPoint
    value: float
    saddle: CriticalPoint
