"""Contrastive losses as energies of their embeddings: InfoNCE and NT-Xent, with their optima."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from typing import Self

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.landscape.analytic.energy import Device, check_count
from lossatlas.theory.annealing.energies import SphereEnergy
from lossatlas.theory.annealing.spheres import Spheres

__all__ = ["InfoNCE", "NTXent"]


def _check_temperature(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"expected the temperature of a contrastive loss above 0, got {value!r}: 0.1 to 1 is usual")
    return float(value)


class _Contrastive(SphereEnergy):
    """What both share: a temperature, and a simplex as the optimum."""

    def __init__(
        self, pairs: int, dim: int, temperature: float, *, vectors: int, name: str, dtype: torch.dtype, device: Device
    ) -> None:
        self.pairs = check_count(pairs, "pairs", least=2)
        self.temperature = _check_temperature(temperature)
        super().__init__(Spheres(dim, vectors), name=name, dtype=dtype, device=device)

    def at_temperature(self, temperature: float) -> Self:
        """The same loss at another τ.

        Raises:
            InputError: not a finite number above 0.
        """
        other = copy.copy(self)
        other.temperature = _check_temperature(temperature)
        return other

    @property
    @abstractmethod
    def _negatives(self) -> int: ...

    @property
    def optimum(self) -> float | None:
        """log(1 + m e^{−N/((N−1)τ)}) with m negatives per anchor, attained by a simplex; None where d < N − 1.

        By convexity the loss is at least log(1 + m e^δ), δ the mean of (negative − positive similarity)/τ, and
        |Σ z|² ≥ 0 gives δ ≥ −N/((N−1)τ). Both are equalities where each pair coincides and the pairs form a regular
        simplex, which needs N − 1 dimensions.
        """
        n = self.pairs
        if self.spheres.dim < n - 1:
            return None
        return math.log1p(self._negatives * math.exp(-n / ((n - 1) * self.temperature)))


class InfoNCE(_Contrastive):
    """L = −(1/N) Σ_i log [exp(x_i·y_i/τ) / Σ_j exp(x_i·y_j/τ)], of N pairs of unit vectors.

    Args:
        pairs: N, at least 2.
        dim: coordinates d of each vector.
        temperature: τ, without units.
        aligned: x_i = y_i, a row holds N vectors; else x and then y, 2N vectors.
        symmetric: the mean of the loss and of the one with x and y exchanged.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Raises:
        InputError: fewer than two pairs, d below 2, or a temperature not above 0.

    Reference:
        van den Oord, Li & Vinyals 2018, arXiv 1807.03748; the optimum as in Lu & Steinerberger 2022, *Neural collapse
        under cross-entropy loss*, Appl. Comput. Harmon. Anal. 59, 224.

    Example:
        >>> loss = InfoNCE(2, 2, temperature=0.5)
        >>> opposite = torch.tensor([1.0, 0.0, -1.0, 0.0], dtype=torch.float64)
        >>> abs(float(loss.value(opposite)) - loss.optimum) < 1e-12
        True
    """

    def __init__(
        self,
        pairs: int,
        dim: int,
        temperature: float = 0.5,
        *,
        aligned: bool = True,
        symmetric: bool = False,
        dtype: torch.dtype = torch.float64,
        device: Device = None,
    ) -> None:
        vectors = check_count(pairs, "pairs", least=2) * (1 if aligned else 2)
        super().__init__(pairs, dim, temperature, vectors=vectors, name="InfoNCE", dtype=dtype, device=device)
        self.aligned, self.symmetric = bool(aligned), bool(symmetric)

    @property
    def _negatives(self) -> int:
        return self.pairs - 1

    def _views(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.spheres.vectors(x)
        return (z, z) if self.aligned else (z[:, : self.pairs], z[:, self.pairs :])

    def _energy(self, x: Tensor) -> Tensor:
        left, right = self._views(x)
        logits = left @ right.mT / self.temperature
        positive = logits.diagonal(dim1=-2, dim2=-1)
        loss = (logits.logsumexp(-1) - positive).mean(-1)
        return (loss + (logits.logsumexp(-2) - positive).mean(-1)) / 2 if self.symmetric else loss

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        left, right = self._views(x)
        logits = left @ right.mT / self.temperature
        positive = logits.diagonal(dim1=-2, dim2=-1)
        # dL/dlogits = (softmax − 1)/N, rows and, where symmetric, columns.
        pull, loss = logits.softmax(-1), (logits.logsumexp(-1) - positive).mean(-1)
        if self.symmetric:
            pull = (pull + logits.softmax(-2)) / 2
            loss = (loss + (logits.logsumexp(-2) - positive).mean(-1)) / 2
        pull = (pull - torch.eye(self.pairs, dtype=x.dtype, device=x.device)) / (self.pairs * self.temperature)
        to_left, to_right = pull @ right, pull.mT @ left
        slope = to_left + to_right if self.aligned else torch.cat([to_left, to_right], dim=1)
        return loss, slope.flatten(1)


class NTXent(_Contrastive):
    """L = −(1/2N) Σ_i log [exp(z_i·z_p(i)/τ) / Σ_{k≠i} exp(z_i·z_k/τ)], of 2N unit vectors z, p(i) = i ± N.

    Args:
        pairs: N, at least 2; a row holds the N vectors of the first view, then those of the second.
        dim: coordinates d of each vector.
        temperature: τ, without units.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Raises:
        InputError: fewer than two pairs, d below 2, or a temperature not above 0.

    Reference:
        Chen, Kornblith, Norouzi & Hinton 2020, SimCLR, arXiv 2002.05709, Eq. 1.

    Example:
        >>> loss = NTXent(2, 2, temperature=0.5)
        >>> pairs = torch.tensor([1.0, 0.0, -1.0, 0.0, 1.0, 0.0, -1.0, 0.0], dtype=torch.float64)
        >>> abs(float(loss.value(pairs)) - loss.optimum) < 1e-12
        True
    """

    def __init__(
        self,
        pairs: int,
        dim: int,
        temperature: float = 0.5,
        *,
        dtype: torch.dtype = torch.float64,
        device: Device = None,
    ) -> None:
        vectors = 2 * check_count(pairs, "pairs", least=2)
        super().__init__(pairs, dim, temperature, vectors=vectors, name="NT-Xent", dtype=dtype, device=device)

    @property
    def _negatives(self) -> int:
        return 2 * (self.pairs - 1)

    def _logits(self, z: Tensor) -> Tensor:
        logits = z @ z.mT / self.temperature
        own = torch.eye(self.spheres.count, dtype=torch.bool, device=z.device)
        return logits.masked_fill(own, -torch.inf)

    def _energy(self, x: Tensor) -> Tensor:
        z = self.spheres.vectors(x)
        positive = (z * z.roll(self.pairs, 1)).sum(-1) / self.temperature
        loss: Tensor = (self._logits(z).logsumexp(-1) - positive).mean(-1)
        return loss

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.spheres.vectors(x)
        logits, partner = self._logits(z), z.roll(self.pairs, 1)
        loss = (logits.logsumexp(-1) - (z * partner).sum(-1) / self.temperature).mean(-1)
        pull = logits.softmax(-1)
        slope = (pull + pull.mT) @ z - 2 * partner
        return loss, (slope / (self.spheres.count * self.temperature)).flatten(1)
