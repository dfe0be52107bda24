"""Steepest descent on products of spheres: to the bottom of the basin each walker is in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_norm
from lossatlas.landscape.analytic.energy import check_count
from lossatlas.theory.annealing.energies import AnyEnergy, energy_on
from lossatlas.theory.annealing.spheres import Spheres

__all__ = ["Descent", "descend"]

# Armijo's condition: part of the expected decrease that a step must bring.
_PART = 0.25


@dataclass(frozen=True, eq=False)
class Descent:
    """Where steepest descent arrived; made by :func:`descend`.

    Args:
        points: ``(w, n·d)``.
        energies: ``(w,)``.
        gradient_norms: ``(w,)``, of the part tangent to the spheres.
        converged: ``(w,)``, whether it fell below the tolerance.
        iterations: of the slowest walker.
    """

    points: Tensor
    energies: Tensor
    gradient_norms: Tensor
    converged: Tensor
    iterations: int


def descend(
    energy: AnyEnergy, spheres: Spheres, start: Tensor, *, tolerance: float = 1e-6, most: int = 5000
) -> Descent:
    """Follow −Π_x ∇E, each walker with a step length of its own that is halved until the energy falls (Armijo).

    Args:
        energy: a landscape over rows of n·d, or a function of one row.
        spheres: the manifold.
        start: ``(w, n·d)``, on the spheres; never written to.
        tolerance: of the norm of the tangent gradient, in energy per radian.
        most: iterations.

    Raises:
        InputError: walkers off the spheres or of the wrong shape, a tolerance not above 0.

    Reference:
        Absil, Mahony & Sepulchre 2008, *Optimization Algorithms on Matrix Manifolds*, section 4.2.

    Example:
        >>> from lossatlas.theory.annealing import CircleToy
        >>> found = descend(CircleToy(), Spheres(2), Spheres(2).uniform(6))
        >>> bool(found.converged.all()), sorted({round(float(e), 9) for e in found.energies})
        (True, [-1.25, -0.75])
    """
    landscape = energy_on(energy, spheres)
    check_count(most, "most")
    if not 0 < tolerance < math.inf:
        raise InputError(f"expected tolerance as a finite number above 0, got {tolerance!r}: 1e-6 is usual")
    spheres.check(start)
    if start.ndim != 2:
        raise InputError(f"expected start of shape (walkers, {spheres.size}), got {tuple(start.shape)}: reshape it")
    x = start.detach().clone(memory_format=torch.contiguous_format)
    values, slopes = landscape.value_and_grad(x)
    spheres.project_(x, slopes)
    lengths = torch.ones_like(values)
    # Differences below this are rounding, not a rise.
    noise = 8 * torch.finfo(x.dtype).eps
    iteration = 0
    while iteration < most:
        moving = (row_norm(slopes) > tolerance).nonzero()[:, 0]
        if len(moving) == 0:
            break
        iteration += 1
        here, length, slope = x[moving], lengths[moving], slopes[moving]
        there = spheres.geodesic(here, -length[:, None] * slope)
        new, tilt = landscape.value_and_grad(there)
        spheres.project_(there, tilt)
        expected = _PART * length * slope.square().sum(-1)
        good = new <= values[moving] - expected + noise * (1 + new.abs())
        taken = moving[good]
        x[taken], values[taken], slopes[taken] = there[good], new[good], tilt[good]
        lengths[moving] = torch.where(good, 1.5 * length, 0.5 * length)
    norms = row_norm(slopes)
    return Descent(x, values, norms, norms <= tolerance, iteration)
