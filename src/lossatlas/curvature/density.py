"""The spectral density of a Hessian by stochastic Lanczos quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.curvature.hessian import operator_of
from lossatlas.curvature.krylov import Krylov
from lossatlas.curvature.operator import CurvatureOperator
from lossatlas.curvature.sampling import Sampled, mean_over, signs
from lossatlas.landscape.contract import Landscape

__all__ = ["SpectralDensity", "spectral_density"]


@dataclass(frozen=True)
class SpectralDensity:
    """φ(t) = (1/d) Σ_i δ(t - λ_i), seen through random probes.

    Each probe gives one quadrature: nodes, with weights that sum to 1. Their mean over probes is the estimate, their
    spread its error.

    Args:
        nodes: ``(*b, probes, steps)``, ascending.
        weights: ``(*b, probes, steps)``, squared first components of the eigenvectors of T.
        residuals: ``(*b, probes, steps)``, |A y − θ y| of the node's vector: so near to θ there is an eigenvalue.
        dim: d.
        products: ``(*b,)``, products spent on each minimum.
        method: how products were computed.
        data: what the loss is averaged over.
    """

    nodes: Tensor
    weights: Tensor
    residuals: Tensor
    dim: int
    products: Tensor
    method: str
    data: str

    def moment(self, power: int, confidence: float = 0.99) -> Sampled:
        """tr(H^p) / d, ``(*b,)``; free of bias for p < 2 ``steps``."""
        return self._mean((self.weights * self.nodes**power).sum(-1), confidence)

    def below(self, t: Tensor, confidence: float = 0.99) -> Sampled:
        """The part of all eigenvalues at most t, ``(m,) -> (*b, m)``."""
        inside = self.nodes[..., None] <= t.to(self.nodes)
        return self._mean((self.weights[..., None] * inside).sum(-2), confidence)

    def smoothed(self, t: Tensor, width: float, confidence: float = 0.99) -> Sampled:
        """φ seen through a Gaussian of standard deviation ``width``, ``(m,) -> (*b, m)``, per unit of eigenvalue.

        Intervals speak of the smoothed density, not of φ.

        Raises:
            InputError: a width that is not positive.
        """
        if not width > 0:
            raise InputError(f"expected a width above 0, got {width}")
        bells = torch.exp(-0.5 * ((t.to(self.nodes) - self.nodes[..., None]) / width) ** 2)
        return self._mean((self.weights[..., None] * bells).sum(-2) / (width * math.sqrt(2 * math.pi)), confidence)

    def _mean(self, values: Tensor, confidence: float) -> Sampled:
        return mean_over(values.movedim(self.nodes.ndim - 2, 0), confidence)


def spectral_density(
    landscape: Landscape | CurvatureOperator,
    w: Tensor | None = None,
    *,
    probes: int = 10,
    steps: int = 60,
    seed: int = 0,
) -> SpectralDensity:
    """Estimate the density of all eigenvalues, φ(t) ≈ (1/p) Σ_j Σ_k τ_jk² δ(t - θ_jk).

    From each random vector of signs over √d, ``steps`` steps of Lanczos with full reorthogonalisation make a
    tridiagonal T with eigenvalues θ_k and first components τ_k of its eigenvectors.

    Args:
        landscape: any; products are in float64, whatever its type. Or an operator.
        w: points ``(*b, d)``; None beside an operator.
        probes: random vectors, at least 2; the same for all minima.
        steps: products for each probe and minimum, at most d.
        seed: names the probes.

    Returns:
        The density, with moments, cumulative and smoothed forms, each with its error. NaN where products were not
        finite.

    Raises:
        InputError: fewer than 2 probes or 1 step.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=4, eigenvalues=[1.0, 1.0, 1.0, 9.0])
        >>> density = spectral_density(bowl, torch.zeros(4, dtype=torch.float64), probes=200)
        >>> part = density.below(torch.tensor([5.0]))
        >>> bool(part.low < 0.75 < part.high)
        True

    Ubaru, Chen & Saad 2017, *Fast estimation of tr(f(A)) via stochastic Lanczos quadrature*, algorithm 1; Ghorbani,
    Krishnan & Xiao 2019 for networks.
    """
    operator = operator_of(landscape, w)
    if probes < 2 or steps < 1:
        raise InputError(f"expected at least 2 probes and 1 step, got {probes} and {steps}")
    before = operator.products
    count = min(steps, operator.dim)
    shape = (operator.rows, probes, count)
    nodes = torch.full(shape, torch.nan, dtype=torch.float64)
    weights = torch.full(shape, torch.nan, dtype=torch.float64)
    residuals = torch.full(shape, torch.nan, dtype=torch.float64)
    stream = generator(seed, "probes", operator.dim)
    for probe in range(probes):
        start = signs(1, operator.dim, stream).to(operator.device)
        # A space that is invariant early continues with random vectors, of weight zero. One vector more than steps, for
        # the residuals; a space of all vectors has none.
        spaces = {
            row: Krylov(start, min(count + 1, operator.dim), generator(seed, "invariant spaces", operator.dim, probe))
            for row in range(operator.rows)
        }
        for _ in range(count):
            active = list(spaces)
            if not active:
                break
            images = operator.multiply(torch.cat([spaces[row].block for row in active]), torch.tensor(active))
            for row, image in zip(active, images, strict=True):
                if bool(image.isfinite().all()):
                    spaces[row].absorb(image[None])
                else:
                    del spaces[row]
        for row, space in spaces.items():
            values, coordinates, rest = space.ritz()
            nodes[row, probe], weights[row, probe] = values, coordinates[0] ** 2
            residuals[row, probe] = rest if count < operator.dim else torch.zeros_like(rest)
    return SpectralDensity(
        nodes.reshape(*operator.batch, probes, count),
        weights.reshape(*operator.batch, probes, count),
        residuals.reshape(*operator.batch, probes, count),
        operator.dim,
        operator.products - before,
        f"{operator.method}; stochastic Lanczos quadrature",
        operator.data,
    )
