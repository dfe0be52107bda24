"""The trace of a Hessian from products alone, with an interval."""

from __future__ import annotations

import math
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
from lossatlas.curvature.subspace import Subspace, subspace_of
from lossatlas.landscape.contract import Landscape

__all__ = ["TraceEstimate", "trace"]

# Probes before the spread is believed. With these the intervals keep their promise, adaptive or not.
_PILOT = 10
# A forecast from few probes is uncertain: ask for a little more than it says.
_MARGIN = 1.2


@dataclass(frozen=True)
class TraceEstimate:
    """Traces, and how sure they are.

    Args:
        value: ``(*b,)``; NaN where products were not finite.
        error: ``(*b,)``, standard error; 0 where the trace is exact.
        low: ``(*b,)``, lower end of the interval by Student's t.
        high: ``(*b,)``, upper end.
        confidence: of the interval.
        samples: ``(*b,)``, probes; 0 where the trace is exact.
        converged: ``(*b,)``, whether the error is at most ``tolerance`` times the value.
        products: ``(*b,)``, products spent on each minimum.
        method: how products were computed, and the trace.
        data: what the loss is averaged over.
    """

    value: Tensor
    error: Tensor
    low: Tensor
    high: Tensor
    confidence: float
    samples: Tensor
    converged: Tensor
    products: Tensor
    method: str
    data: str


def trace(
    landscape: Landscape | CurvatureOperator,
    w: Tensor | None = None,
    *,
    tolerance: float = 0.05,
    sketch: int = 10,
    deflate: Eigenpairs | None = None,
    max_products: int = 1000,
    confidence: float = 0.99,
    seed: int = 0,
) -> TraceEstimate:
    """Estimate tr H = tr(Qᵀ H Q) + E[zᵀ(1 - QQᵀ) H (1 - QQᵀ) z] (Hutch++).

    Q spans H Ω for ``sketch`` random vectors, or eigenvectors found before, and contributes exactly; random signs z see
    the rest. Each minimum gets 10 probes, then as many as their spread asks for. All minima see the same probes, so
    results do not depend on which are estimated together, and their errors are not independent of each other.

    Args:
        landscape: any; products are in float64, whatever its type. Or an operator.
        w: points ``(*b, d)``; None beside an operator.
        tolerance: standard error relative to the trace at which sampling stops.
        sketch: dimension of Q, which costs twice as many products.
        deflate: eigenpairs at the same points, whose vectors take the place of the sketch.
        max_products: for each minimum.
        confidence: of the interval.
        seed: names the random vectors.

    Returns:
        The traces. Exact where the matrix is known, and from d products where these are no more than the sketch and the
        first probes would cost.

    Raises:
        InputError: arguments that cannot be.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=100, condition=100.0)
        >>> found = trace(bowl, torch.zeros(100, dtype=torch.float64))
        >>> bool(found.low < bowl.eigenvalues.sum() < found.high), bool(found.error < 0.05 * found.value)
        (True, True)

    Meyer, Musco, Musco & Woodruff 2021, *Hutch++: Optimal stochastic trace estimation*, algorithm 1.
    """
    check_confidence(confidence)
    operator = operator_of(landscape, w)
    if sketch < 0 or not tolerance > 0:
        raise InputError(f"expected a sketch of at least 0 and a tolerance above 0, got {sketch} and {tolerance}")
    before = operator.products
    fixed = (deflate.vectors.shape[-2] if deflate is not None else 2 * sketch) + _PILOT
    if operator.known or operator.dim <= max(fixed, 64):
        value = operator.dense().diagonal(dim1=-2, dim2=-1).sum(-1)
        zero = torch.zeros_like(value)
        samples, how = torch.zeros(operator.batch, dtype=torch.int64), "dense"
        return on_cpu(TraceEstimate(
            value, zero, value, value, confidence, samples, value.isfinite(), operator.products - before,
            f"{operator.method}; {how}", operator.data,
        ))  # fmt: skip
    if max_products < fixed:
        raise InputError(
            f"expected max_products of at least {fixed} for this sketch and {_PILOT} probes, got {max_products}"
        )
    space = subspace_of(operator, sketch, seed, deflate)
    used = int((operator.products - before).max()) if operator.rows else 0
    rest = _probe(operator, space, seed, tolerance, max_products - used)
    counts = torch.tensor([len(values) for values in rest], dtype=torch.int64)
    means = torch.tensor([math.fsum(values) / len(values) if _finite(values) else math.nan for values in rest])
    errors = torch.tensor([_error(values) for values in rest], dtype=torch.float64)
    value = space.trace.cpu() + means.double()
    half = errors * torch.tensor([half_width(len(values), confidence) for values in rest], dtype=torch.float64)

    def shaped(each: Tensor) -> Tensor:
        return each.reshape(operator.batch)

    name = "Hutch++" if deflate is None else "Hutchinson beside eigenvectors"
    return on_cpu(TraceEstimate(
        shaped(value), shaped(errors), shaped(value - half), shaped(value + half), confidence, shaped(counts),
        shaped(errors <= tolerance * value.abs()), operator.products - before, f"{operator.method}; {name}",
        operator.data,
    ))  # fmt: skip


def _probe(operator: CurvatureOperator, space: Subspace, seed: int, tolerance: float, budget: int) -> list[list[float]]:
    """Samples of the trace outside the subspace, as many for each matrix as it needs."""
    stream = generator(seed, "probes", operator.dim)
    found: list[list[float]] = [[] for _ in range(operator.rows)]
    inside = space.trace.tolist()
    wanted = [_PILOT] * operator.rows
    active = list(range(operator.rows))
    while active:
        rows = torch.tensor(active)
        z = signs(1, operator.dim, stream).to(operator.device).expand(len(active), -1)
        # Projected twice: once leaves rounding errors of a large part inside.
        z = space.outside(space.outside(z, rows), rows)
        products = (z * operator.multiply(z, rows)).sum(-1).tolist()
        remaining = []
        for row, product in zip(active, products, strict=True):
            found[row].append(product)
            count = len(found[row])
            if count >= wanted[row]:
                goal = tolerance * abs(inside[row] + math.fsum(found[row]) / count) if _finite(found[row]) else math.nan
                error = _error(found[row])
                if not error > goal or count >= budget:  # NaN stops too
                    continue
                needed = _MARGIN * count * (error / goal) ** 2 if goal > 0 else math.inf
                wanted[row] = int(min(budget, max(count + 1, needed)))
            remaining.append(row)
        active = remaining
    return found


def _finite(values: list[float]) -> bool:
    return all(math.isfinite(value) for value in values)


def _error(values: list[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).std()) / math.sqrt(len(values))
