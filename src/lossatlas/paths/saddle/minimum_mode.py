"""Minimum-mode following: from near a pass to the stationary point itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.path import StationaryPoint
from lossatlas.core.randomness import generator
from lossatlas.core.results import on_cpu
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.saddle.model import QuadraticModel
from lossatlas.paths.saddle.probe import Probe, exact_point
from lossatlas.paths.saddle.spectrum import Spectrum, lowest_spectrum
from lossatlas.paths.saddle.walk import Walk

__all__ = ["Followed", "follow", "follow_minimum_mode"]

_ESCAPES = 5


@dataclass(frozen=True)
class Followed:
    """Where following a mode ended, and the lower end of the Hessian's spectrum there."""

    point: StationaryPoint
    spectrum: Spectrum
    radius: float


def follow_minimum_mode(
    landscape: Landscape,
    x: Tensor,
    direction: Tensor | None = None,
    *,
    radius: float | None = None,
    tolerance: float = 1e-9,
    iterations: int = 200,
) -> StationaryPoint:
    """Climb the softest mode and descend all others, to a saddle of index 1.

    Each step minimises the image of the quadratic model, s = -(H̄ + μ)⁻¹ ḡ, where slope and curvature of the followed
    mode have opposite sign. H is known on a subspace that Hessian products extend from g and the last mode until mode
    and step have settled; the trust radius follows the error of the predicted gradient. A stationary point of higher
    index is left along another of its downward modes; a minimum along ``direction``.

    Args:
        landscape: where; evaluated in float64. Without Hessian products, differences of gradients take their place.
        x: ``(d,)``, such as the highest point of a path.
        direction: ``(d,)``, the mode to begin with, such as the path's tangent; default: a random one.
        radius: the length of the first step at most, in units of the coordinates, and the length by which the
            tolerance is scaled; default max(1, |x|) / 10.
        tolerance: of |∇L|, in units of radius × the largest |eigenvalue| known.
        iterations: gradients at most.

    Returns:
        The stationary point. Where it converged, with its index: the number of eigenvalues below -1e-6 of the
        largest, exact for d ≤ 100, else of the search for the lowest ones, and None where that did not settle.

    Raises:
        InputError: not one point of the landscape, or a loss that is not finite there; options that cannot be.

    Example:
        >>> import lossatlas as la
        >>> surface = la.landscape.get("muller-brown")
        >>> near = torch.tensor([-0.8, 0.5], dtype=torch.float64)
        >>> saddle = follow_minimum_mode(surface, near)
        >>> round(saddle.value, 9), saddle.index, saddle.converged
        (-40.664843509, 1, True)

    Source:
        Helgaker 1991, Chem. Phys. Lett. 182, 503 (the step); Henkelman & Jónsson 1999, *A dimer method for finding
        saddle points on high dimensional potential surfaces using only first derivatives*, J. Chem. Phys. 111, 7010
        (the idea of following the lowest mode).
    """
    exact, point = exact_point(landscape, x)
    if direction is not None:
        _, direction = exact_point(landscape, direction)
    for name, number in (("radius", radius), ("tolerance", tolerance)):
        if number is not None and not 0 < number < math.inf:
            raise InputError(f"expected {name} as a positive number, got {number}")
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 0:
        raise InputError(f"expected iterations as an integer of at least 0, got {iterations}")
    if radius is None:
        radius = 0.1 * max(1.0, float(torch.linalg.vector_norm(point)))
    found = follow(Probe(exact), point, direction, radius=radius, tolerance=tolerance, iterations=iterations).point
    if not math.isfinite(found.value) or not math.isfinite(found.gradient_norm):
        raise InputError(
            f"expected a point with finite loss and gradient, got a loss of {found.value}: choose another point"
        )
    return on_cpu(found)


def follow(
    probe: Probe, x: Tensor, direction: Tensor | None, *, radius: float, tolerance: float = 1e-9, iterations: int = 200
) -> Followed:
    """As :func:`follow_minimum_mode`, with the spectrum at the end; ``x`` is in the probe's dtype."""
    value, gradient = probe.value_and_grad(x)
    if not math.isfinite(value) or not bool(gradient.isfinite().all()):
        norm, none = float(torch.linalg.vector_norm(gradient)), x.new_empty(0)
        message = "not converged: the loss or its gradient is not finite at the first point"
        point = StationaryPoint(x, value, norm, None, none, False, evaluations=probe.evaluations, message=message)
        return Followed(point, Spectrum(none, x.new_empty(0, len(x)), None), radius)
    if direction is None or not float(torch.linalg.vector_norm(direction)) > 0:
        direction = torch.randn(len(x), dtype=x.dtype, generator=generator(0, "first mode", len(x))).to(x.device)
    walk = Walk(probe, QuadraticModel(probe, x, value, gradient, direction[None]), direction, radius)
    left: list[str] = []
    budget = iterations
    while True:
        budget = walk.run(tolerance, budget)
        model = walk.model
        converged = model.gradient_norm <= walk.goal(tolerance) and not walk.flat
        spectrum = Spectrum(model.values[:0], model.vectors[:0], None)
        if converged:
            spectrum = lowest_spectrum(probe, model.x, model.value, model.gradient, walk.direction[None])
        if not converged or (spectrum.index or 0) < 2 or budget <= 0 or len(left) == _ESCAPES:
            break
        left.append(f"index {spectrum.index} at {model.value:.9g}")
        if not walk.escape(spectrum):
            break
        budget -= 1
    point = StationaryPoint(
        x=model.x,
        value=model.value,
        gradient_norm=model.gradient_norm,
        index=spectrum.index,
        eigenvalues=spectrum.values,
        converged=converged,
        evaluations=probe.evaluations,
        message=_describe(walk, converged, spectrum, left),
    )
    return Followed(point, spectrum, min(walk.radius, radius))


def _describe(walk: Walk, converged: bool, spectrum: Spectrum, left: list[str]) -> str:
    before = f"; left stationary points of {', '.join(left)}" if left else ""
    if walk.flat:
        return f"not converged: the search ran out onto a plateau{before}"
    if walk.broken:
        return f"not converged: the loss is not finite around the last point{before}"
    if not converged:
        return f"not converged within the iterations{before}"
    if spectrum.index is None:
        return f"stationary point whose index did not settle{before}"
    if spectrum.index == 1:
        return f"saddle of index 1{before}"
    return f"stationary point of index {spectrum.index}, not a pass{before}"
