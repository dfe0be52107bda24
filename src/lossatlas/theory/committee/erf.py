"""Correlators of erf units, in the closed forms of Saad & Solla."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lossatlas.theory.committee.activation import Activation, Curvatures, check_covariance, tuples

__all__ = ["Erf"]

_PER_PI = 1 / math.pi


class Erf(Activation):
    """g(x) = erf(x/√2).

    φ = (2/π) asin(c/√((1+a)(1+b)));
    I₃ = (2/π) [C₂₃(1+C₁₁) − C₁₂C₁₃]/[(1+C₁₁)√Λ₃], Λ₃ = (1+C₁₁)(1+C₃₃) − C₁₃²;
    I₄ = (4/π²) asin(Λ₀/√(Λ₁Λ₂))/√Λ₄.

    Example:
        >>> a = torch.tensor(1.0, dtype=torch.float64)
        >>> round(float(Erf().pair(a, a, a)), 6)
        0.333333

    Source: Saad & Solla 1995, *On-line learning in soft committee machines*, Phys. Rev. E 52, 4225, appendix.
    """

    name = "erf"

    def __call__(self, x: Tensor) -> Tensor:
        """erf(x/√2)."""
        return torch.erf(x / math.sqrt(2))

    def slope(self, x: Tensor) -> Tensor:
        """√(2/π) exp(−x²/2)."""
        return math.sqrt(2 * _PER_PI) * torch.exp(-x * x / 2)

    def pair(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """E[g(x) g(y)]."""
        return 2 * _PER_PI * (c * ((1 + a) * (1 + b)).rsqrt()).asin()

    def slopes(self, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """−c/(π(1+a)√D) and 2/(π√D), D = (1+a)(1+b) − c²."""
        inverse = ((1 + a) * (1 + b) - c * c).rsqrt() * _PER_PI
        return -c * inverse / (1 + a), 2 * inverse

    def curvatures(self, a: Tensor, b: Tensor, c: Tensor) -> Curvatures:
        """Second derivatives of φ."""
        root = ((1 + a) * (1 + b) - c * c).rsqrt()
        cube = root**3 * _PER_PI
        aa = c * (root * _PER_PI / (1 + a) ** 2 + (1 + b) * cube / (2 * (1 + a)))
        return Curvatures(aa, c * cube / 2, -(1 + b) * cube, -(1 + a) * cube, 2 * c * cube)

    def own(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(2/π) asin(a/(1+a)) with its derivatives."""
        one, two = 1 / (1 + a), (1 + 2 * a).rsqrt()
        slope = 2 * _PER_PI * one * two
        return 2 * _PER_PI * (a * one).asin(), slope, -slope * (one + two * two)

    def slope_pair(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """2/(π√D): the same as ∂φ/∂c."""
        return self.slopes(a, b, c)[1]

    def slope_own(self, a: Tensor) -> Tensor:
        """2/(π√(1+2a))."""
        return 2 * _PER_PI * (1 + 2 * a).rsqrt()

    def i3(self, covariance: Tensor) -> Tensor:
        """E[g′(x₁) x₂ g(x₃)]."""
        c = covariance
        one = 1 + c[..., 0, 0]
        root = (one * (1 + c[..., 2, 2]) - c[..., 0, 2] ** 2).rsqrt()
        return 2 * _PER_PI * (c[..., 1, 2] * one - c[..., 0, 1] * c[..., 0, 2]) * root / one

    def i4(self, covariance: Tensor) -> Tensor:
        """E[g′(x₁) g′(x₂) g(x₃) g(x₄)] of different variables."""
        check_covariance(covariance, 4, "I₄")
        return _four([covariance[..., i, j] for i in range(4) for j in range(i, 4)])

    def at_tuples(self, omega: Tensor, students: int) -> Tensor:
        """I₄ at every index tuple; here variables may repeat without harm."""
        size = omega.shape[-1]
        units = tuples(students, size)
        flat = omega.flatten(-2)
        return _four([flat[..., units[i] * size + units[j]] for i in range(4) for j in range(i, 4)])


def _four(entries: Sequence[Tensor]) -> Tensor:
    """I₄ from the upper triangle of the covariance, row by row."""
    c11, c12, c13, c14, c22, c23, c24, c33, c34, c44 = entries
    one, two = 1 + c11, 1 + c22
    l4 = one * two - c12 * c12
    l0 = l4 * c34 - c23 * c24 * one - c13 * c14 * two + c12 * (c13 * c24 + c14 * c23)
    l1 = l4 * (1 + c33) - c23 * c23 * one - c13 * c13 * two + 2 * c12 * c13 * c23
    l2 = l4 * (1 + c44) - c24 * c24 * one - c14 * c14 * two + 2 * c12 * c14 * c24
    return (2 * _PER_PI) ** 2 * (l0 * (l1 * l2).rsqrt()).clamp(-1, 1).asin() * l4.rsqrt()
