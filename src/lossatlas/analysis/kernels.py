"""Kernels: inner products of weight vectors in a feature space."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lossatlas.analysis.gram import gram_matrix, squared_distances
from lossatlas.core.errors import ConfigurationError, InputError, nearest

__all__ = ["KERNELS", "Kernel"]

KERNELS = ("rbf", "poly", "sigmoid", "linear")
"""Names of the kernels, as in scikit-learn."""


@dataclass(frozen=True)
class Kernel:
    """A kernel and its constants, with scikit-learn's names, meanings and default values.

    * ``"rbf"``: exp(−γ |x − y|²)
    * ``"poly"``: (γ x·y + c)^p
    * ``"sigmoid"``: tanh(γ x·y + c), which has no feature space behind it: some eigenvalues are negative
    * ``"linear"``: x·y, of which the principal components are those of ordinary PCA

    Args:
        name: one of these.
        gamma: γ, in 1/(units of the parameters)²; None: 1/d, which for RBF is the paper's 2σ² = d.
        degree: p, of the polynomial kernel only.
        coef0: c, of the polynomial and sigmoid kernels only.

    Raises:
        ConfigurationError: another name, γ that is not positive, or a degree below 1.

    Reference:
        Schölkopf, Smola & Müller 1998, *Nonlinear component analysis as a kernel eigenvalue problem*,
        Neural Computation 10, 1299.

    Example:
        >>> Kernel("poly", degree=2).matrix(torch.tensor([[2.0, 0.0], [1.0, 1.0]])).tolist()
        [[9.0, 4.0], [4.0, 4.0]]
    """

    name: str = "rbf"
    gamma: float | None = None
    degree: int = 3
    coef0: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in KERNELS:
            raise ConfigurationError(f"there is no kernel '{self.name}': {nearest(self.name, KERNELS)}")
        if (self.gamma is not None and not self.gamma > 0) or self.degree < 1:
            raise ConfigurationError(
                f"expected gamma above 0 and a degree of at least 1, got {self.gamma} and {self.degree}"
            )

    def resolved(self, dim: int) -> Kernel:
        """The kernel with the γ it uses for d parameters.

        Example:
            >>> Kernel("rbf").resolved(4).gamma
            0.25
        """
        return replace(self, gamma=1 / dim) if self.gamma is None else self

    def matrix(self, weights: Tensor) -> Tensor:
        """Kernel of every two rows.

        Args:
            weights: ``(n, d)``, any floating dtype; worked on in float64.

        Returns:
            ``(n, n)``, symmetric, in float64, on the CPU.

        Raises:
            InputError: numbers so large that the kernel overflows.
        """
        gamma = self.resolved(weights.shape[1]).gamma
        assert gamma is not None
        if self.name == "rbf":
            # Distances from inner products lose digits far from the origin, and RBF does not depend on it.
            matrix = torch.exp(-gamma * squared_distances(gram_matrix(weights, weights.mean(0, dtype=torch.float64))))
        else:
            matrix = gram_matrix(weights)
            if self.name == "poly":
                matrix = (gamma * matrix + self.coef0) ** self.degree
            elif self.name == "sigmoid":
                matrix = torch.tanh(gamma * matrix + self.coef0)
        if not torch.isfinite(matrix).all():
            raise InputError(f"expected weights for which the {self.name} kernel is finite, got overflow: lower gamma")
        return matrix
