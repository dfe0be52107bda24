"""Modes: coordinates of a curve in which coefficients are ordered by frequency, whatever its family."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from lossatlas.core.curve import bases
from lossatlas.core.errors import InputError

__all__ = ["Modes"]

_SPAN = 1e-6  # half the step of t in a derivative: short against any wave, long against rounding


@dataclass(frozen=True)
class Modes:
    """Functions ψ_n(t) = Σ_k φ_k(t) T_kn that span a family of curves, from the slowest to the fastest.

    They make ∫ψ_n'² stationary at given ∫ψ_n² = 1/2: the sines sin(nπt) themselves where the family contains them,
    else their nearest relatives, such as the sine modes of a polygonal chain. Learning rates that fall with the
    frequency then mean the same for sine series, Bezier curves and chains, whose own coefficients have no order.

    Args:
        basis: one of :data:`lossatlas.core.curve.bases`.
        transform: ``(K, K)``, float64: coefficients of the family are ``transform @ b``.
        frequencies: ``(K,)``, float64: half waves between the ends; 1, 2, 3, ... for sines.
        kinked: whether slopes jump, as those of polygonal chains do.

    Example:
        >>> Modes.of("polychain", 3).frequencies
        tensor([1.0..., 2.2..., 3.5...], dtype=torch.float64)
    """

    basis: str
    transform: Tensor
    frequencies: Tensor
    kinked: bool

    @classmethod
    @lru_cache(maxsize=32)
    def of(cls, basis: str, count: int) -> Modes:
        """Find the modes of a family of ``count`` functions.

        Raises:
            ConfigurationError: an unknown family.
            InputError: the functions are not independent in float64.
        """
        # A multiple of count + 1, so that the kinks of a chain fall on samples and its slopes are exact.
        t = torch.linspace(0, 1, 64 * (count + 1) + 1, dtype=torch.float64)
        step = float(t[1])
        phi = bases[basis](t, count)
        # QR and singular values rather than Gram matrices, which would square the condition of Bernstein's functions.
        triangle = torch.linalg.qr(phi * math.sqrt(2 * step)).R
        if count and not bool(torch.linalg.cond(triangle) < 1e12):
            raise InputError(f"expected independent functions, got {count} of '{basis}': use fewer coefficients")
        slopes = phi.diff(dim=0) / math.sqrt(step) * math.sqrt(2)
        inverse = torch.linalg.inv(triangle)
        _, stretch, right = torch.linalg.svd(slopes @ inverse, full_matrices=False)
        transform = (inverse @ right.T).flip(-1)
        first = bases[basis](t[1:2], count) @ transform
        sign = torch.where(first[0] < 0, -1.0, 1.0).to(transform)
        # Slopes that are continuous change half as much over half the step.
        jump = float(phi.diff(n=2, dim=0).abs().max()) / step
        fine = torch.linspace(0, 1, 2 * (len(t) - 1) + 1, dtype=torch.float64)
        finer = float(bases[basis](fine, count).diff(n=2, dim=0).abs().max()) / (step / 2)
        return cls(basis, transform * sign, stretch.flip(0) / math.pi, kinked=finer > 0.75 * jump)

    def __len__(self) -> int:
        return len(self.frequencies)

    def at(self, t: Tensor) -> Tensor:
        """Values, ``(*m,) -> (*m, K)``."""
        return bases[self.basis](t, len(self)) @ self.transform.to(t)

    def slopes(self, t: Tensor) -> Tensor:
        """Derivatives by t, ``(*m,) -> (*m, K)``."""
        low, high = (t - _SPAN).clamp(min=0), (t + _SPAN).clamp(max=1)
        return (self.at(high) - self.at(low)) / (high - low)[..., None]

    def through(self, images: Tensor) -> Tensor:
        """Modes nearest to a polyline through images at equal steps of t, ``(p, m, d) -> (p, K, d)``."""
        count = images.shape[1]
        place = torch.linspace(0, 1, count, dtype=images.dtype, device=images.device)[:, None]
        offsets = images - ((1 - place) * images[:, :1] + place * images[:, -1:])
        fine = torch.linspace(0, 1, 16 * max(count, len(self)) + 1, dtype=torch.float64)
        line = bases["polychain"](fine, count - 2)
        fit = torch.linalg.lstsq(self.at(fine), line).solution
        return torch.einsum("km,pmd->pkd", fit.to(images), offsets[:, 1:-1])
