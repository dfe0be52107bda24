"""What equilibrium at low temperature promises: each direction in which the energy rises holds 1/(2β)."""

from __future__ import annotations

import math

import torch

from lossatlas.core.errors import InputError
from lossatlas.theory.annealing.descent import descend
from lossatlas.theory.annealing.energies import NormalisedLandscape, SphereEnergy

__all__ = ["equipartition", "rising_directions"]

# An eigenvalue below this part of the largest is a symmetry, not a rise.
_FLAT = 1e-6


def rising_directions(energy: SphereEnergy, *, starts: int = 20, seed: int = 0) -> int:
    """Number of directions in which an energy rises quadratically from its lowest minimum.

    That is the rank of the Hessian on the spheres: lengths of vectors do not count, nor rotations of all of them where
    the energy does not notice these.

    Args:
        energy: on spheres.
        starts: of the steepest descents that look for the minimum, from uniform places.
        seed: of the starts.

    Raises:
        InputError: no descent converged.

    Example:
        >>> from lossatlas.theory.annealing import InfoNCE, LinearEnergy
        >>> rising_directions(LinearEnergy(torch.tensor([1.0, 0.0, 0.0])))
        2
        >>> rising_directions(InfoNCE(4, 3))  # four vectors on spheres, 8 directions, of which 3 are rotations
        5
    """
    found = descend(energy, energy.spheres, energy.spheres.uniform(starts, seed), tolerance=1e-7, most=20_000)
    if not bool(found.converged.any()):
        raise InputError(
            f"expected steepest descent to converge from one of {starts} places, got none: scale the energy"
        )
    place = found.points[found.energies.where(found.converged, torch.inf).argmin()]
    free = NormalisedLandscape(energy, energy.spheres)
    unit = torch.eye(len(place), dtype=place.dtype, device=place.device)
    hessian = free.hvp(place.expand_as(unit), unit)
    values = torch.linalg.eigvalsh((hessian + hessian.mT) / 2)
    return int((values > _FLAT * values.abs().max()).sum())


def equipartition(directions: int, beta: float) -> float:
    """Mean energy above the global minimum in equilibrium at low temperature, m/(2β).

    Args:
        directions: m, in which the energy rises.
        beta: inverse temperature, in 1/energy.

    Returns:
        In units of energy; what is left out is of order 1/β² and the weight of other basins.

    Raises:
        InputError: a negative m, or β not above 0.

    Example:
        >>> equipartition(5, 10.0)
        0.25
    """
    if directions < 0 or not beta > 0:
        raise InputError(
            f"expected directions of at least 0 and beta above 0, got {directions} and {beta}: correct them"
        )
    return directions / (2 * beta) if beta < math.inf else 0.0
