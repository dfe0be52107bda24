"""What the theory must know of an activation g: averages over two to four jointly Gaussian inputs."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossatlas.core.errors import InputError

__all__ = ["Activation", "Curvatures", "Tuples", "check_covariance", "tuples"]


class Curvatures(NamedTuple):
    """Second derivatives of φ(a, b, c) = E[g(x) g(y)], a = E x², b = E y², c = E xy; each ``(*b,)``."""

    aa: Tensor
    ab: Tensor
    ac: Tensor
    bc: Tensor
    cc: Tensor


class Tuples(NamedTuple):
    """Index tuples (j, m, a, b) of the four-point sum, j ≤ m < students and a ≤ b, pairs (j, m) slowest."""

    j: NDArray[np.int64]
    m: NDArray[np.int64]
    a: NDArray[np.int64]
    b: NDArray[np.int64]


@functools.lru_cache
def tuples(students: int, units: int) -> Tuples:
    """All of them, for ``students`` units of ``units`` in all."""
    j, m = np.triu_indices(students)
    a, b = np.triu_indices(units)
    return Tuples(j.repeat(len(a)), m.repeat(len(a)), np.tile(a, len(j)), np.tile(b, len(j)))


def check_covariance(covariance: Tensor, variables: int, what: str) -> None:
    """Refuse what is not a stack of positive definite covariances, ``(*b, n, n)``.

    Raises:
        InputError: wrong shape, not symmetric, singular or indefinite.
    """
    if covariance.ndim < 2 or covariance.shape[-2:] != (variables, variables):
        raise InputError(
            f"expected covariances (*b, {variables}, {variables}) for {what}, got {tuple(covariance.shape)}: "
            "the last two axes are the variables"
        )
    least = torch.linalg.eigvalsh(covariance)[..., 0] / covariance.diagonal(dim1=-2, dim2=-1).amax(-1)
    if not bool((least > 1e-12).all()) or not torch.allclose(covariance, covariance.mT):
        raise InputError(
            f"expected symmetric positive definite covariances for {what}, got one whose smallest eigenvalue is "
            f"{float(least.min()):.2g} of its largest variance: variables that repeat are given by index, "
            "to four_point or four_point_table"
        )


class Activation(ABC):
    """An activation g and the averages of g and g′ over Gaussian inputs.

    ``φ(a, b, c) = E[g(x) g(y)]`` is called a pair; all methods take tensors that broadcast.
    """

    name: str

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """g(x), entry by entry."""

    @abstractmethod
    def slope(self, x: Tensor) -> Tensor:
        """g′(x), entry by entry."""

    @abstractmethod
    def pair(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """I₂ = φ(a, b, c)."""

    @abstractmethod
    def slopes(self, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """∂φ/∂a and ∂φ/∂c; ∂φ/∂b follows by exchange."""

    @abstractmethod
    def curvatures(self, a: Tensor, b: Tensor, c: Tensor) -> Curvatures:
        """Second derivatives of φ; ∂²φ/∂b² follows by exchange."""

    @abstractmethod
    def own(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ψ(a) = E[g(x)²] with its first and second derivative."""

    @abstractmethod
    def slope_pair(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """P₂ = E[g′(x) g′(y)] of two different variables."""

    @abstractmethod
    def slope_own(self, a: Tensor) -> Tensor:
        """E[g′(x)²]."""

    @abstractmethod
    def i3(self, covariance: Tensor) -> Tensor:
        """I₃ = E[g′(x₁) x₂ g(x₃)], ``(*b, 3, 3) -> (*b,)``; variables may repeat."""

    @abstractmethod
    def i4(self, covariance: Tensor) -> Tensor:
        """I₄ = E[g′(x₁) g′(x₂) g(x₃) g(x₄)] of four different variables, ``(*b, 4, 4) -> (*b,)``."""

    @abstractmethod
    def at_tuples(self, omega: Tensor, students: int) -> Tensor:
        """I₄ at every index tuple of :func:`tuples`, ``(*b, n, n) -> (*b, T)``."""

    def four_point(self, omega: Tensor, students: int, signs: Tensor) -> Tensor:
        """Σ_ab s_a s_b I₄(j, l, a, b) for all pairs of students, ``(*b, n, n) -> (*b, K, K)``.

        Args:
            omega: covariance of all n units, students first.
            students: how many K of them are students.
            signs: ``(n,)``, +1 for students and −1 for teachers.
        """
        n = omega.shape[-1]
        a, b = np.triu_indices(n)
        weights = signs[a] * signs[b] * torch.as_tensor(np.where(a == b, 1.0, 2.0), dtype=omega.dtype)
        values = self.at_tuples(omega, students)
        sums = values.reshape(*values.shape[:-1], -1, len(a)) @ weights
        j, m = np.triu_indices(students)
        result = omega.new_zeros(*omega.shape[:-2], students, students)
        result[..., j, m] = sums
        result[..., m, j] = sums
        return result

    def four_point_table(self, omega: Tensor, students: int) -> Tensor:
        """I₄(j, l, a, b) entry by entry, ``(*b, n, n) -> (*b, K, K, n, n)``; indices may repeat."""
        n = omega.shape[-1]
        j, m, a, b = tuples(students, n)
        values = self.at_tuples(omega, students)
        result = omega.new_zeros(*omega.shape[:-2], students, students, n, n)
        for first, second in ((j, m), (m, j)):
            result[..., first, second, a, b] = values
            result[..., first, second, b, a] = values
        return result
