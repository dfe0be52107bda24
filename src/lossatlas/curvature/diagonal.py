"""The diagonal of a Hessian from products alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.core.results import on_cpu
from lossatlas.curvature.eigenpairs import Eigenpairs
from lossatlas.curvature.hessian import operator_of
from lossatlas.curvature.operator import CurvatureOperator
from lossatlas.curvature.sampling import check_confidence, half_width, signs
from lossatlas.curvature.subspace import subspace_of
from lossatlas.landscape.contract import Landscape

__all__ = ["DiagonalEstimate", "diagonal"]


@dataclass(frozen=True)
class DiagonalEstimate:
    """Diagonals, and how sure each component is.

    Args:
        value: ``(*b, d)``.
        error: ``(*b, d)``, standard errors; 0 where the diagonal is exact.
        low: ``(*b, d)``, lower ends of the intervals by Student's t, each for itself.
        high: ``(*b, d)``, upper ends.
        confidence: of each interval.
        samples: probes; 0 where the diagonal is exact.
        products: ``(*b,)``, products spent on each minimum.
        method: how products were computed, and the diagonal.
        data: what the loss is averaged over.
    """

    value: Tensor
    error: Tensor
    low: Tensor
    high: Tensor
    confidence: float
    samples: int
    products: Tensor
    method: str
    data: str


def diagonal(
    landscape: Landscape | CurvatureOperator,
    w: Tensor | None = None,
    *,
    samples: int = 100,
    sketch: int = 10,
    deflate: Eigenpairs | None = None,
    confidence: float = 0.99,
    seed: int = 0,
) -> DiagonalEstimate:
    """Estimate diag H = diag(Q Qᵀ H) + E[z ⊙ (1 - Q Qᵀ) H z] (Diag++), with random signs z.

    The error of component i goes with the length of row i of H without its diagonal, so many probes are needed where
    the diagonal does not dominate.

    Args:
        landscape: any; products are in float64, whatever its type. Or an operator.
        w: points ``(*b, d)``; None beside an operator.
        samples: probes, at least 2; each costs one product.
        sketch: dimension of Q, which costs twice as many products.
        deflate: eigenpairs at the same points, whose vectors take the place of the sketch.
        confidence: of each interval.
        seed: names the random vectors, the same for all minima.

    Returns:
        The diagonals. Exact where d products cost no more.

    Raises:
        InputError: arguments that cannot be.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=3, eigenvalues=[1.0, 2.0, 5.0], rotate=False)
        >>> diagonal(bowl, torch.zeros(3, dtype=torch.float64)).value
        tensor([1., 2., 5.], dtype=torch.float64)

    Bekas, Kokiopoulou & Saad 2007, *An estimator for the diagonal of a matrix*, eq. 2; Baston & Nakatsukasa 2022,
    *Stochastic diagonal estimation*, section 4.
    """
    check_confidence(confidence)
    operator = operator_of(landscape, w)
    if samples < 2 or sketch < 0:
        raise InputError(f"expected at least 2 samples and a sketch of at least 0, got {samples} and {sketch}")
    before = operator.products
    shape = (*operator.batch, operator.dim)
    if operator.dim <= 2 * sketch + samples:
        value = operator.dense().diagonal(dim1=-2, dim2=-1).clone()
        error, half, how, used = torch.zeros_like(value), 0.0, "dense", 0
    else:
        space = subspace_of(operator, sketch, seed, deflate)
        rows, stream = torch.arange(operator.rows), generator(seed, "probes", operator.dim)
        # Welford's running mean and squared deviation: the probes themselves would not fit in memory.
        mean, spread = torch.zeros_like(space.diagonal), torch.zeros_like(space.diagonal)
        for count in range(1, samples + 1):
            z = signs(1, operator.dim, stream).to(operator.device).expand(operator.rows, -1)
            sample = z * space.outside(operator.multiply(z.contiguous(), rows), rows)
            change = sample - mean
            mean += change / count
            spread += change * (sample - mean)
        value = space.diagonal + mean
        error = (spread / (samples * (samples - 1))).sqrt()
        half, how, used = half_width(samples, confidence), "Diag++", samples
    value, error = value.reshape(shape), error.reshape(shape)
    return on_cpu(
        DiagonalEstimate(
            value,
            error,
            value - half * error,
            value + half * error,
            confidence,
            used,
            operator.products - before,
            f"{operator.method}; {how}",
            operator.data,
        )
    )
