"""Point: loss, gradient and curvature at one point, as a diagnosis needs them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import DivergenceError
from lossatlas.core.linalg import row_norm
from lossatlas.core.randomness import generator
from lossatlas.curvature.eigenpairs import eigenvalues
from lossatlas.curvature.hessian import HessianOperator
from lossatlas.curvature.krylov import Krylov
from lossatlas.landscape.contract import Landscape

__all__ = ["Point", "measure_point"]

# Up to here all eigenvalues are computed.
_DENSE = 400
_PAIRS, _PRODUCTS, _TOLERANCE = 5, 400, 1e-3
# Lanczos steps from the gradient.
_STEPS = 40
# Eigenvalues below this part of the largest |λ| cannot be told from zero, and count as it.
ZERO = 1e-7


@dataclass(frozen=True)
class Point:
    """Loss, gradient and curvature at w, in float64.

    Args:
        w: ``(d,)``.
        loss: L(w).
        baseline: loss of the network with all weights zero, which is what it has before it learns anything; None of
            other landscapes, or where it is not finite.
        gradient: ``(d,)``.
        eigenvalues: those known, ascending.
        complete: whether these are all.
        converged: whether they met their tolerance.
        top_vector: ``(d,)``, eigenvector of the largest.
        bottom_vector: ``(d,)``, eigenvector of the smallest.
        nodes: ``(m,)``, curvatures that the gradient sees, ascending (Lanczos from it); empty without gradient.
        shares: ``(m,)``, part of |g|² at each.
        method: how products were computed.
        data: what the loss is averaged over.
        products: Hessian products spent.
    """

    w: Tensor
    loss: float
    baseline: float | None
    gradient: Tensor
    eigenvalues: Tensor
    complete: bool
    converged: bool
    top_vector: Tensor
    bottom_vector: Tensor
    nodes: Tensor
    shares: Tensor
    method: str
    data: str
    products: int

    @property
    def gradient_norm(self) -> float:
        """|g|."""
        return float(row_norm(self.gradient))

    @property
    def size(self) -> float:
        """Length of the weights, by which displacements are judged; at least 1 where they all are near zero."""
        norm = float(row_norm(self.w))
        return norm if norm > 1e-3 else 1.0

    @property
    def top(self) -> float:
        """λ_max."""
        return float(self.eigenvalues[-1])

    @property
    def bottom(self) -> float:
        """λ_min."""
        return float(self.eigenvalues[0])

    @property
    def largest(self) -> float:
        """The largest |λ|."""
        return float(self.eigenvalues.abs().max())

    @property
    def zero(self) -> float:
        """|λ| up to which an eigenvalue counts as zero."""
        return ZERO * self.largest

    @property
    def negative(self) -> int:
        """How many known eigenvalues are negative: the index, or a lower bound of it."""
        return int((self.eigenvalues < -self.zero).sum())

    @property
    def condition(self) -> float:
        """λ_max over the smallest |λ| that can be told from zero, among those known and those the gradient sees."""
        known = torch.cat([self.eigenvalues.abs(), self.nodes.abs()])
        known = known[known > self.zero]
        return self.top / float(known.min()) if len(known) and self.top > 0 else math.nan

    @property
    def seen(self) -> float:
        """λ_max Σ share / |θ|: steps of gradient descent at its largest rate for what one Newton step would do."""
        if not len(self.nodes) or not self.top > 0:
            return math.nan
        return float(self.top * (self.shares / (self.nodes.abs() + self.zero)).sum())

    @property
    def attainable(self) -> float:
        """½ gᵀ|H|⁻¹g, what the quadratic model says is left to gain."""
        if not len(self.nodes) or not self.largest > 0:
            return 0.0
        size = 0.5 * self.gradient_norm * self.gradient_norm  # ** would raise where this overflows
        return size * float((self.shares / (self.nodes.abs() + self.zero)).sum())

    @property
    def level(self) -> float:
        """Loss over baseline; NaN without one."""
        return math.nan if self.baseline is None else self.loss / self.baseline

    @property
    def elasticity(self) -> float:
        """|g| |w| / L: relative change of the loss for a relative change of the weights along the gradient."""
        return self.gradient_norm * self.size / abs(self.loss) if self.loss else math.nan


def measure_point(landscape: Landscape, w: Tensor, seed: int = 0) -> Point:
    """Measure loss, gradient and curvature at a point.

    Args:
        landscape: in float64.
        w: ``(d,)`` in float64.
        seed: names the random vectors.

    Raises:
        DivergenceError: loss or gradient are not finite.
    """
    value, gradient = landscape.value_and_grad(w)
    if not bool(value.isfinite()) or not bool(gradient.isfinite().all()):
        raise DivergenceError(
            f"expected a finite loss and gradient at the point, got {float(value):g}: the run has diverged; give the "
            "last weights with a finite loss, or its history, which knows them"
        )
    hessian = HessianOperator(landscape, w)
    if landscape.dim <= _DENSE:
        values, vectors = torch.linalg.eigh(hessian.dense())
        top, bottom, complete, converged = vectors[:, -1], vectors[:, 0], True, True
    else:
        found = eigenvalues(hessian, k=_PAIRS, which="both", tolerance=_TOLERANCE, max_products=_PRODUCTS, seed=seed)
        order = found.values.argsort()
        values, vectors = found.values[order].to(w), found.vectors[order].to(w)
        top, bottom, complete, converged = vectors[-1], vectors[0], False, bool(found.converged.all())
    nodes, shares = _seen_by(hessian, gradient, seed)
    return Point(
        w, float(value), _baseline(landscape, w), gradient, values, complete, converged, top, bottom, nodes, shares,
        hessian.method, hessian.data, int(hessian.products),
    )  # fmt: skip


def _baseline(landscape: Landscape, w: Tensor) -> float | None:
    if landscape.spec is None:
        return None
    value = float(landscape.value(torch.zeros_like(w)))
    return value if math.isfinite(value) and value > 0 else None


def _seen_by(hessian: HessianOperator, gradient: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the spectral measure of the gradient."""
    norm = row_norm(gradient)
    if not float(norm) > 0:
        return gradient.new_empty(0), gradient.new_empty(0)
    count = min(_STEPS, hessian.dim)
    space = Krylov((gradient / norm)[None], count, generator(seed, "gradient space", hessian.dim))
    for _ in range(count):
        space.absorb(hessian.multiply(space.block))
    values, coordinates, _ = space.ritz()
    return values.to(gradient), (coordinates[0] ** 2).to(gradient)
