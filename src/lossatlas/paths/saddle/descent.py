"""Steepest descent: the curve of the gradient flow, down to the minimum of its basin."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.results import on_cpu
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.saddle.model import QuadraticModel
from lossatlas.paths.saddle.probe import Probe, exact_point
from lossatlas.paths.saddle.spectrum import ZERO

__all__ = ["Descent", "descend", "steepest_descent"]

# Largest subspace of one step.
_MOST_MODES = 30
# Numbers in the points of a descent that are kept: enough for anything that is drawn, not for networks.
_KEPT_NUMBERS = 100_000
# In units of 1 / stiffness: nothing that decays is left after this.
_LONGEST = 1e12
_EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Descent:
    """Where steepest descent from a point arrived.

    Args:
        x: ``(d,)``, the last point.
        value: loss there.
        gradient_norm: |∇L| there.
        converged: whether it arrived at a minimum: |∇L| below its tolerance and no downward direction seen.
        values: ``(m,)``, loss at each point of the way.
        points: ``(m, d)``, the points; None where they are too large to be kept.
        length: of the polyline through the points.
        evaluations: ``{"gradients": n, "hessian_products": n}``.
        message: what was found, in a sentence.
    """

    x: Tensor
    value: float
    gradient_norm: float
    converged: bool
    values: Tensor
    points: Tensor | None
    length: float
    evaluations: dict[str, float] = field(default_factory=dict)
    message: str = ""


def steepest_descent(
    landscape: Landscape,
    x: Tensor,
    *,
    accuracy: float = 0.3,
    scale: float | None = None,
    tolerance: float = 1e-9,
    iterations: int = 500,
) -> Descent:
    """Follow dx/dτ = -∇L(x) to the minimum it leads to.

    Exponential Rosenbrock-Euler steps, s = -τ φ₁(-τH) g with φ₁(z) = (e^z - 1)/z: the exact flow of the quadratic model
    at x, so stiff valleys cost nothing. H is known on a subspace that Hessian products extend from g. τ is as long as
    the gradient at the end of the step is the model's to within ``accuracy``; in the last basin it grows without
    bound and the steps become Newton's.

    Args:
        landscape: where; evaluated in float64.
        x: ``(d,)``.
        accuracy: error of the predicted gradient at the end of a step, as a part of |∇L| at its beginning.
        scale: a length of the landscape, in units of the coordinates, such as the distance between two minima;
            default max(1, |x|) / 10.
        tolerance: of |∇L|, in units of scale × the largest |eigenvalue| seen.
        iterations: gradients at most.

    Returns:
        Where it arrived, and the way. The minimum is the flow's for any point not within the steps' error of a ridge.

    Raises:
        InputError: not one point of the landscape, or a loss that is not finite there; options that cannot be.

    Example:
        >>> import lossatlas as la
        >>> bowl = la.landscape.get("quadratic", dim=3, condition=100.0)
        >>> down = steepest_descent(bowl, torch.ones(3, dtype=torch.float64))
        >>> down.converged, round(down.value, 9)
        (True, 0.0)

    Source:
        Hochbruck & Ostermann 2010, *Exponential integrators*, Acta Numerica 19, 209, Sec. 2.4; for reaction paths
        Page & McIver 1988, *On evaluating the reaction path Hamiltonian*, J. Chem. Phys. 88, 922.
    """
    exact, point = exact_point(landscape, x)
    if not 0 < accuracy < 1 or not 0 < tolerance < 1:
        raise InputError(f"expected accuracy and tolerance between 0 and 1, got {accuracy} and {tolerance}")
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 0:
        raise InputError(f"expected iterations as an integer of at least 0, got {iterations}")
    if scale is None:
        scale = 0.1 * max(1.0, float(torch.linalg.vector_norm(point)))
    if not 0 < scale < math.inf:
        raise InputError(f"expected scale as a positive length, got {scale}")
    found = descend(Probe(exact), point, accuracy=accuracy, scale=scale, tolerance=tolerance, iterations=iterations)
    if not math.isfinite(found.value) or not math.isfinite(found.gradient_norm):
        raise InputError(
            f"expected a point with finite loss and gradient, got a loss of {found.value}: choose another point"
        )
    return on_cpu(found)


def descend(
    probe: Probe, x: Tensor, *, scale: float, accuracy: float = 0.3, tolerance: float = 1e-9, iterations: int = 500
) -> Descent:
    """As :func:`steepest_descent`, with ``x`` in the probe's dtype; counts what this descent cost."""
    before = probe.evaluations
    value, gradient = probe.value_and_grad(x)
    finite = math.isfinite(value) and bool(gradient.isfinite().all())
    model = QuadraticModel(probe, x, value, gradient, x.new_empty(0, len(x)))
    stiffness, tallest = model.stiffness, abs(value)
    # Where the loss has no curvature at the start, the first step is as long as the gradient.
    time = 1 / stiffness if stiffness > 0 else 1.0
    values, points, length = [value], [x], 0.0
    message = (
        "not converged within the iterations" if finite else "not converged: the loss or its gradient is not finite"
    )
    for _ in range(iterations if finite else 0):
        if model.gradient_norm <= tolerance * stiffness * scale:
            break
        coefficients, tried = _settle(model, time, accuracy)
        stiffness = max(stiffness, model.stiffness)
        step = coefficients @ model.vectors
        span = float(torch.linalg.vector_norm(step))
        trial, trial_gradient = probe.value_and_grad(x + step)
        change = coefficients @ model.images
        miss = math.inf
        if math.isfinite(trial) and bool(trial_gradient.isfinite().all()):
            inside = trial_gradient - (trial_gradient @ model.null.T) @ model.null
            miss = float(torch.linalg.vector_norm(inside - model.gradient - change)) / model.gradient_norm
        # The error grows with the square of the time, so its root says by how much to change it.
        factor = min(10.0, max(0.1, 0.9 * math.sqrt(accuracy / miss))) if miss > 0 else 10.0
        if miss > accuracy or trial > model.value + 8 * _EPS * tallest:
            time = tried * min(factor, 0.5)
            if not time > 0 or span < 1e-15 * max(1.0, float(torch.linalg.vector_norm(x))):
                message = "not converged: the loss does not fall any further along its gradient"
                break
            continue
        time = min(tried * factor, _LONGEST / stiffness) if stiffness > 0 else tried * factor
        x, length = x + step, length + span
        model = QuadraticModel(probe, x, trial, trial_gradient, x.new_empty(0, len(x)))
        stiffness, tallest = max(stiffness, model.stiffness), max(tallest, abs(trial))
        values.append(trial)
        if len(points) * len(x) <= _KEPT_NUMBERS:
            points.append(x)
    small = model.gradient_norm <= tolerance * stiffness * scale
    ridge = len(model.values) > 0 and float(model.values[0]) < -ZERO * stiffness
    if small:
        message = "stationary, but not a minimum" if ridge else "minimum"
    spent = probe.evaluations
    return Descent(
        x=model.x,
        value=model.value,
        gradient_norm=model.gradient_norm,
        converged=small and not ridge,
        values=torch.tensor(values, dtype=torch.float64),
        points=torch.stack(points) if len(points) == len(values) else None,
        length=length,
        evaluations={name: spent[name] - before[name] for name in spent},
        message=message,
    )


def _settle(model: QuadraticModel, time: float, accuracy: float) -> tuple[Tensor, float]:
    """Flow for a time in a subspace that has been grown for it, ``-> (m,), time``."""
    while True:
        rates = model.values
        # Along a downward mode the model's flow never ends: it may grow by e² in one step.
        fastest = -float(rates[0]) if len(rates) else 0.0
        limited = min(time, 2.0 / fastest) if fastest > ZERO * model.stiffness else time
        coefficients = -model.slopes * _flow(rates, limited)
        outside = model.outside(coefficients)
        loose = float(torch.linalg.vector_norm(outside)) > 0.1 * accuracy * model.gradient_norm
        if not loose or len(rates) >= _MOST_MODES or not model.grow(outside[None]):
            return coefficients, limited


def _flow(rates: Tensor, time: float) -> Tensor:
    """(1 - e^(-θτ))/θ, which is τ where θ is zero and 1/θ for long times."""
    largest = float(rates.abs().max())
    floor = max(1e-12 * largest, torch.finfo(rates.dtype).tiny)
    safe = torch.where(rates.abs() < floor, torch.full_like(rates, floor), rates)
    return -torch.expm1(-safe * time) / safe
