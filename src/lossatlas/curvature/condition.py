"""Conditioning: how far apart the largest and the smallest curvature are, and in how many directions there is none."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.curvature.density import SpectralDensity, spectral_density
from lossatlas.curvature.eigenpairs import eigenvalues
from lossatlas.curvature.hessian import operator_of
from lossatlas.curvature.operator import CurvatureOperator
from lossatlas.curvature.sampling import check_confidence, mean_over
from lossatlas.landscape.contract import Landscape

__all__ = ["DENSE", "ZERO", "Conditioning", "conditioning"]

ZERO = 1e-6
"""Eigenvalues within this part of the largest |eigenvalue| count as zero."""

DENSE = 2000
"""Up to so many coordinates the whole matrix is made."""


@dataclass(frozen=True)
class Conditioning:
    """Condition numbers and dimensions of null spaces.

    Args:
        largest: ``(*b,)``, the largest |λ|.
        smallest: ``(*b,)``, the smallest |λ|; where not ``exact`` an upper bound of it.
        null: ``(*b,)``, how many |λ| are at most ``zero`` times the largest; where not ``exact`` an estimate, or NaN
            where the density cannot tell them from other small ones.
        null_low: ``(*b,)``, lower end of its interval.
        null_high: ``(*b,)``, upper end.
        nonzero: ``(*b,)``, the largest |λ| over the smallest that does not count as zero; NaN where not ``exact``.
        exact: ``(*b,)``, whether these are known, not estimated.
        zero: the tolerance.
        confidence: of the interval.
        products: ``(*b,)``, products spent on each matrix.
        method: how products were computed, and the rest.
        data: what the loss is averaged over.
    """

    largest: Tensor
    smallest: Tensor
    null: Tensor
    null_low: Tensor
    null_high: Tensor
    nonzero: Tensor
    exact: Tensor
    zero: float
    confidence: float
    products: Tensor
    method: str
    data: str

    @property
    def condition(self) -> Tensor:
        """κ = largest |λ| / smallest |λ|, ``(*b,)``; where not ``exact`` a lower bound; ∞ where the smallest is 0."""
        return torch.where(self.smallest > 0, self.largest / self.smallest, torch.inf)


def conditioning(
    landscape: Landscape | CurvatureOperator,
    w: Tensor | None = None,
    *,
    zero: float = ZERO,
    dense: int = DENSE,
    density: SpectralDensity | None = None,
    probes: int = 10,
    steps: int = 60,
    max_products: int = 1000,
    confidence: float = 0.99,
    seed: int = 0,
) -> Conditioning:
    """Condition number κ = |λ|_max / |λ|_min and dimension of the null space, the |λ| ≤ ``zero`` |λ|_max.

    With up to ``dense`` coordinates, or of a matrix that is known, both are exact. Beyond, the inside of a spectrum
    cannot be seen by products alone. What is certain: where the smallest eigenvalue is positive and has settled, κ is
    exact. Else every vector y of a Krylov space gives |λ|_min ≤ |A y| / |y|, so κ is a lower bound.

    The null space is seen through the spectral density. Its interval holds both the spread of the probes and, by the
    inequalities of Chebyshev, Markov and Stieltjes, what the nodes of a quadrature leave open. Its dimension is
    estimated where every probe has found a y with |A y| ≤ ``zero`` |λ|_max |y|, whose node carries the null space
    alone. Elsewhere a node near zero stands for null and small eigenvalues together, and there is no estimate.

    Args:
        landscape: any; products are in float64, whatever its type. Or an operator.
        w: points ``(*b, d)``; None beside an operator.
        zero: which eigenvalues count as zero, relative to the largest |λ|.
        dense: up to how many coordinates the whole matrix is made.
        density: one of the same matrices that is known; None: estimated here.
        probes: random vectors for the density.
        steps: products for each probe.
        max_products: for each matrix, for the ends of the spectrum.
        confidence: of the interval.
        seed: names the random vectors.

    Returns:
        The condition numbers. NaN where products were not finite.

    Raises:
        InputError: arguments that cannot be, or a density of other matrices.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=4, eigenvalues=[0.0, 0.5, 2.0, 8.0])
        >>> found = conditioning(bowl, torch.zeros(4, dtype=torch.float64))
        >>> float(found.null), round(float(found.nonzero), 9), bool(found.condition > 1e12)
        (1.0, 16.0, True)

    Golub & Meurant 2010, *Matrices, moments and quadrature*, chapter 3, for the bounds of a quadrature.
    """
    check_confidence(confidence)
    operator = operator_of(landscape, w)
    if not 0 <= zero < 1 or dense < 1:
        raise InputError(f"expected zero in [0, 1) and dense of at least 1, got {zero} and {dense}")
    before = operator.products
    if operator.known or operator.dim <= dense:
        parts, how = _exactly(operator, zero), "dense"
    else:
        ends = eigenvalues(operator, k=1, which="both", max_products=max_products, seed=seed)
        if density is None:
            density = spectral_density(operator, probes=probes, steps=steps, seed=seed)
        if density.dim != operator.dim or density.nodes.shape[:-2] != operator.batch:
            raise InputError("expected the density of the same matrices, got that of others: leave it out")
        settled = ends.converged.reshape(-1, 2).all(-1).cpu()
        parts = _estimated(ends.values.reshape(-1, 2).cpu(), settled, density, zero, confidence)
        how = "thick-restart Lanczos; stochastic Lanczos quadrature"
    largest, smallest, null, low, high, nonzero, exact = (part.reshape(operator.batch) for part in parts)
    return Conditioning(
        largest, smallest, null, low, high, nonzero, exact.bool(), zero, confidence,
        operator.products - before, f"{operator.method}; {how}", operator.data,
    )  # fmt: skip


def _exactly(operator: CurvatureOperator, zero: float) -> tuple[Tensor, ...]:
    matrices = operator.dense().reshape(-1, operator.dim, operator.dim).cpu()
    finite = matrices.isfinite().flatten(1).all(1)
    sizes = torch.linalg.eigvalsh(matrices.where(finite[:, None, None], torch.zeros_like(matrices))).abs()
    largest = sizes.amax(1) if len(sizes) else sizes.sum(1)
    counts = sizes > zero * largest[:, None]
    null = (~counts).sum(1).double()
    least = sizes.where(counts, torch.full_like(sizes, torch.inf)).amin(1) if len(sizes) else largest
    nan = torch.full_like(largest, torch.nan)
    smallest = sizes.amin(1) if len(sizes) else largest
    found = (largest, smallest, null, null, null, torch.where(largest > 0, largest / least, nan))
    return (*(part.where(finite, nan) for part in found), finite)


def _estimated(
    ends: Tensor, settled: Tensor, density: SpectralDensity, zero: float, confidence: float
) -> tuple[Tensor, ...]:
    probes, steps = density.nodes.shape[-2:]
    nodes, weights, residuals = (
        each.reshape(-1, probes, steps) for each in (density.nodes, density.weights, density.residuals)
    )
    largest = ends.abs().amax(1)
    least = (nodes**2 + residuals**2).sqrt().flatten(1).amin(1)
    # The ends are eigenvalues themselves.
    smallest = torch.minimum(least, ends.abs().amin(1))
    definite = settled & (ends[:, 0] * ends[:, 1] > 0)
    smallest = torch.where(definite, ends.abs().amin(1), smallest)
    threshold = zero * largest[:, None, None]
    # Nodes first..last are inside. Each node stands for eigenvalues between its neighbours, so what lies inside is at
    # least what the nodes between these two carry, and at most what these two and their neighbours carry besides.
    first, last = (nodes < -threshold).sum(-1, keepdim=True), (nodes <= threshold).sum(-1, keepdim=True) - 1
    place = torch.arange(steps)
    inside = (place >= first) & (place <= last)
    inner, outer = (place > first) & (place < last), (place >= first - 1) & (place <= last + 1)

    def part(mask: Tensor) -> Tensor:
        return (weights * mask).sum(-1).T

    dim = float(density.dim)
    # A node inside that is no eigenvalue yet is an average over small eigenvalues, and where none is inside the null
    # space hides in such an average. Only a vector that A takes to nothing has told the two apart.
    resolved = inside & ((nodes**2 + residuals**2).sqrt() <= threshold)
    seen = resolved.any(-1).all(-1)
    middle = mean_over(part(inside), confidence)
    low, high = mean_over(part(inner), confidence).low * dim, mean_over(part(outer), confidence).high * dim
    null = torch.where(seen, middle.value * dim, torch.nan)
    low, high = low.clamp(0, dim), high.clamp(0, dim)
    certain = definite & (smallest > zero * largest)
    none = torch.zeros_like(null)
    nonzero = torch.where(certain, largest / smallest, torch.nan)
    return (
        largest, smallest, none.where(certain, null), none.where(certain, low), none.where(certain, high),
        nonzero, certain,
    )  # fmt: skip
