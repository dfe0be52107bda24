"""Where a mode of SGD comes to rest: its stationary law, with and without label noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial import legendre
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.theory.linear.sde import ModeSDE

__all__ = ["StationaryLaw", "boltzmann_variance", "stationary_law"]

_ORDER = 16
_NODES, _WEIGHTS = legendre.leggauss(_ORDER)
# Values at the nodes of [-1, 1] -> integrals from -1 to each node.
_INTEGRAL = (
    legendre.legvander(_NODES, _ORDER)
    @ legendre.legint(np.eye(_ORDER), lbnd=-1)
    @ np.linalg.inv(legendre.legvander(_NODES, _ORDER - 1))
)
_GROWTH = 1.25
# Mass in an outermost panel that counts as nothing.
_NOTHING = 1e-9


@dataclass(frozen=True)
class StationaryLaw:
    """A law of the strength of a mode as a rule of quadrature.

    Args:
        s: ``(n,)``, nodes; the target alone where the law is a point mass.
        probability: ``(n,)``, weights, which sum to 1.
        density: ``(n,)``, p(s); infinite for a point mass.
        mean: of s.
        variance: of s.
        point_mass: whether all of it is at the target, as without label noise.
    """

    s: Tensor
    probability: Tensor
    density: Tensor
    mean: float
    variance: float
    point_mass: bool

    def expectation(self, f: Callable[[Tensor], Tensor]) -> float:
        """E f(s), for a function of ``(n,)``."""
        return float(f(self.s) @ self.probability)


def boltzmann_variance(sde: ModeSDE) -> float:
    """Variance of the strength near the target at small η/B, Var s ≈ (η/B) σ² L s*^(2−2/L) / 2.

    Near s* the drift is −L s*^(2−2/L) (s − s*) and the squared diffusion (η/B) σ² L² s*^(4−4/L), both of a Boltzmann
    law in the loss ½ (s − s*)² at temperature (η/B) σ² L s*^(2−2/L) / 2.

    Example:
        >>> round(boltzmann_variance(ModeSDE(depth=2, target=1.5, rate=0.02, noise=0.5)), 6)
        0.0075
    """
    return sde.temperature * sde.noise**2 * sde.depth * float(sde.target ** (2 - 2 / sde.depth)) / 2


def stationary_law(sde: ModeSDE) -> StationaryLaw:
    """The law that a mode keeps under its equation: zero flux of probability.

    p(s) ∝ a⁻¹ exp ∫ 2b/a ds with b the drift and a the squared diffusion in s, which is

    p(s) ∝ (2δ² + σ²)⁻¹ s^(−3+3/L) exp[(2/εL) ∫ δ s^(−2+2/L) / (2δ² + σ²) ds], ε = η/B,

    on s > 0 beyond depth 1. Without label noise, σ = 0, it is a point mass at s*, as under gradient flow. Integrals by
    Gauss and Legendre's rule on panels that grow away from s*, and in log s towards 0.

    Args:
        sde: the equation.

    Returns:
        The law as a rule of quadrature.

    Raises:
        InputError: noise so strong that no such law exists: at depth 1 with η/B ≥ 1 its variance is infinite; at depth
            2 with (η/B) (2s*² + σ²) ≥ 2s* all mass runs to zero.

    Example:
        >>> law = stationary_law(ModeSDE(depth=1, target=1.5, rate=0.02, noise=0.5))
        >>> round(law.variance, 8), round(0.02 * 0.5**2 / (2 - 2 * 0.02), 8)
        (0.00255102, 0.00255102)
        >>> stationary_law(ModeSDE(depth=3, noise=0.0)).point_mass
        True

    Risken 1989, *The Fokker-Planck equation*, section 5.2.
    """
    _refuse_no_law(sde)
    if sde.noise == 0:
        one = torch.ones(1, dtype=torch.float64)
        return StationaryLaw(one * sde.target, one, one * torch.inf, sde.target, 0.0, True)
    depth, goal = sde.depth, sde.target
    edges, middle = _edges(sde)
    half = (edges[1:] - edges[:-1]) / 2
    s = (edges[:-1] + half)[:, None] + half[:, None] * _NODES
    delta = goal - s
    spread = 2 * delta**2 + sde.noise**2
    force = delta / spread * (s ** (-2 + 2 / depth) if depth > 1 else 1.0)
    inner, whole = half[:, None] * (force @ _INTEGRAL.T), half * (force @ _WEIGHTS)
    # Outwards from the target: near zero the potential is so deep that sums from there would lose every digit.
    potential = np.empty_like(s)
    right = whole[middle:]
    potential[middle:] = (np.cumsum(right) - right)[:, None] + inner[middle:]
    left = whole[:middle]
    potential[:middle] = -np.cumsum(left[::-1])[::-1, None] + inner[:middle]
    log = -np.log(spread) + 2 / (sde.temperature * depth) * potential
    if depth > 1:
        log -= (3 - 3 / depth) * np.log(s)
    density = np.exp(log - log.max())
    mass = density * (half[:, None] * _WEIGHTS)
    total = mass.sum()
    if max(mass[0].sum(), mass[-1].sum()) > _NOTHING * total:
        raise InputError(
            f"expected a law whose tails fall off, got mass at the ends for {sde}: take a smaller rate or larger batch"
        )
    density, mass = density / total, mass / total
    mean = float((mass * s).sum())
    variance = float((mass * (s - mean) ** 2).sum())
    flat = [torch.from_numpy(array.ravel().copy()) for array in (s, mass, density)]
    return StationaryLaw(flat[0], flat[1], flat[2], mean, variance, False)


def _refuse_no_law(sde: ModeSDE) -> None:
    if sde.depth == 1 and sde.temperature >= 1:
        raise InputError(
            f"expected rate / batch below 1 at depth 1, got {sde.temperature:g}: the variance would be infinite, "
            "take a smaller rate or larger batch"
        )
    pull = sde.temperature * (2 * sde.target**2 + sde.noise**2) / (2 * sde.target)
    if sde.depth == 2 and pull >= 1:
        raise InputError(
            f"expected (rate / batch) (2 target² + noise²) / (2 target) below 1 at depth 2, got {pull:g}: all mass "
            "would run to zero, take a smaller rate or larger batch"
        )


def _edges(sde: ModeSDE) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], int]:
    """Ends of the panels in ascending order, and which of them is the target."""
    goal, width = sde.target, boltzmann_variance(sde) ** 0.5
    near = width * np.arange(0.0, 8.0, 0.5)
    # Density falls off like a power of s; so far out it is nothing unless the variance is nearly infinite.
    far = max(goal, width) * 1e8
    beyond = near[-1] * _GROWTH ** np.arange(1, np.log(far / near[-1]) / np.log(_GROWTH) + 1)
    distance = np.concatenate([near, beyond])
    below = goal - distance[1:]
    if sde.depth > 1:
        towards_zero = goal / 2 * _GROWTH ** -np.arange(0.0, 2500.0)
        below = np.concatenate([below[below > goal / 2], towards_zero])
        below = below[below > 1e-140]  # its powers down to s^(-2) are still numbers
    below = np.sort(below)
    return np.concatenate([below, goal + distance]), len(below)
