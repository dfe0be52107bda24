"""Orthant probabilities of up to four centred Gaussian variables, the building blocks of the ReLU correlators."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lossatlas.core.errors import InputError

__all__ = ["NODES", "from_correlations", "orthant_probability"]

NODES = 24
"""Points of the Gauss–Legendre rule for four variables."""

_MOST = 4

# The pairs of four variables, and the pair left over by each.
_PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


def orthant_probability(covariance: Tensor) -> Tensor:
    """Probability that all of n ≤ 4 centred Gaussian variables are positive.

    P₁ = ½,  P₂ = ¼ + asin ρ/2π,  P₃ = ⅛ + Σ asin ρ/4π,
    P₄ = 1/16 + Σ asin ρ/8π + (1/4π²) Σ_{i<j} ∫₀^{asin ρ_ij} asin r_kl·ij(sin φ/ρ_ij) dφ,

    where r_kl·ij(t) is the correlation of the other two, given i and j, once every ρ is multiplied by t.

    Args:
        covariance: ``(*b, n, n)``, n from 1 to 4.

    Returns:
        Probabilities, ``(*b,)``.

    Raises:
        InputError: not square, more than four variables, or a variance that is not positive.

    Example:
        >>> orthant_probability(torch.eye(4, dtype=torch.float64))
        tensor(0.0625, dtype=torch.float64)

    Source: Childs 1967, *Reduction of the multivariate normal integral to characteristic form*; Plackett 1954.
    """
    n = covariance.shape[-1]
    if covariance.ndim < 2 or covariance.shape[-2] != n or not 1 <= n <= _MOST:
        raise InputError(
            f"expected covariances (*b, n, n) of one to four variables, got {tuple(covariance.shape)}: "
            "the last two axes are the variables"
        )
    variances = covariance.diagonal(dim1=-2, dim2=-1)
    if not bool((variances > 0).all()):
        raise InputError(
            f"expected positive variances, got {float(variances.min()):.3g}: leave out variables that do not vary"
        )
    scale = variances.rsqrt()
    rho = covariance * scale[..., None] * scale[..., None, :]
    return from_correlations([[rho[..., i, j] for j in range(n)] for i in range(n)])


def from_correlations(rho: Sequence[Sequence[Tensor]]) -> Tensor:
    """The same from correlations laid out entry by entry, each ``(*b,)``; values beyond ±1 by rounding are cut."""
    n = len(rho)
    if n == 1:
        return torch.full_like(rho[0][0], 0.5)
    angles = {(i, j): rho[i][j].clamp(-1, 1).asin() for i in range(n) for j in range(i + 1, n)}
    lower: Tensor = 0.5**n + sum(angles.values(), torch.zeros_like(rho[0][1])) / (math.pi * 2 ** (n - 1))
    return lower if n < _MOST else lower + _fourth_order(rho, angles) / (4 * math.pi**2)


@functools.lru_cache
def _rule() -> tuple[tuple[float, ...], tuple[float, ...]]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    # Points crowd towards 1, where variables that are all but dependent leave a root: below 1e-9 there instead of 1e-5.
    left = (1 - nodes) / 2
    return tuple(1 - left**3), tuple(1.5 * left**2 * weights)


def _fourth_order(rho: Sequence[Sequence[Tensor]], angles: dict[tuple[int, int], Tensor]) -> Tensor:
    like = angles[0, 1]
    nodes, weights = (torch.tensor(part, dtype=like.dtype, device=like.device) for part in _rule())
    total = torch.zeros_like(like)
    for (i, j), (k, m) in zip(_PAIRS, reversed(_PAIRS), strict=True):
        angle, r = angles[i, j], rho[i][j]
        # In the angle φ the integrand stays smooth where two variables become one (ρ → 1); t → node for ρ → 0.
        safe = torch.where(r.abs() < 1e-8, torch.ones_like(r), r)[..., None]
        t = torch.where(r.abs()[..., None] < 1e-8, nodes, (angle[..., None] * nodes).sin() / safe)
        ki, kj, mi, mj, km = (rho[x][y] for x, y in ((k, i), (k, j), (m, i), (m, j), (k, m)))
        shared = t * _quadratic(t, km, ki * mi + kj * mj, r * (ki * mj + kj * mi) - km * r * r)
        square = t * t
        first = 1 - square * _quadratic(t, r * r + ki * ki + kj * kj, 2 * r * ki * kj)
        second = 1 - square * _quadratic(t, r * r + mi * mi + mj * mj, 2 * r * mi * mj)
        partial = shared * (first * second).clamp_min(1e-300).rsqrt()
        total = total + angle * (partial.clamp(-1, 1).asin() @ weights)
    return total


def _quadratic(t: Tensor, constant: Tensor, linear: Tensor, square: Tensor | None = None) -> Tensor:
    """``constant − linear t + square t²`` at the nodes, ``(*b, nodes)``."""
    slope = -linear[..., None] if square is None else torch.addcmul(-linear[..., None], square[..., None], t)
    value: Tensor = torch.addcmul(constant[..., None], slope, t)
    return value
