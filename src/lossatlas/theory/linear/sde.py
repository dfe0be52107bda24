"""ModeSDE: stochastic gradient descent of one mode of a deep linear network, in continuous time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.theory.linear.checks import above, at_least, choice, whole

__all__ = ["COORDINATES", "Coordinate", "ModeSDE"]

Coordinate: TypeAlias = Literal["w", "s"]
"""What an equation is written in: the factor w of each layer, or the strength s = w^L of the mode."""

COORDINATES = ("w", "s")


@dataclass(frozen=True)
class ModeSDE:
    """Itô equation of a mode of strength s = w^L under SGD, t = η · steps, δ = s* − s, ε = η / B.

    dw = w^(L−1) δ dt + √ε w^(L−1) √(2δ² + σ²) dβ, or

    ds = [L s^(2−2/L) δ + ½ ε L(L−1) s^(3−4/L) (2δ² + σ²)] dt + √ε L s^(2−2/L) √(2δ² + σ²) dβ.

    Inputs are white and Gaussian; the 2 is their kurtosis less one. The layers are balanced and aligned with the
    target. The equation is exact in the limit of small η for a network of diagonal matrices; in a full network modes
    are coupled (:func:`~lossatlas.theory.linear.cross_mode_drift`).

    Args:
        depth: number of matrices L.
        target: s*, the singular value of the map to be learned.
        rate: step length η of SGD.
        batch: examples per step B.
        noise: standard deviation σ of the labels.

    Raises:
        InputError: no layer, a target or rate that is not positive, a batch below 1, negative noise.

    Example:
        >>> sde = ModeSDE(depth=2, target=1.0, rate=0.01, batch=16, noise=0.0)
        >>> s = torch.tensor([0.25, 0.5, 1.0], dtype=torch.float64)
        >>> sde.drift(s, "s") - 2 * s * (1 - s)  # what noise adds to gradient flow
        tensor([0.0002, 0.0002, 0.0000], dtype=torch.float64)
        >>> sde.diffusion(s, "s").argmax()
        tensor(1)

    Corlouer et al. 2026 (arXiv 2604.06366).
    """

    depth: int = 2
    target: float = 1.0
    rate: float = 0.01
    batch: int = 1
    noise: float = 0.0

    def __post_init__(self) -> None:
        whole(self.depth, "depth", 1, "a network has at least one matrix")
        above(self.target, "target", 0, "give a non-zero singular value of the map to be learned")
        above(self.rate, "rate", 0, "give the step length of SGD")
        whole(self.batch, "batch", 1, "give the number of examples per step")
        at_least(self.noise, "noise", 0, "give the standard deviation of the labels, 0 for none")

    @property
    def temperature(self) -> float:
        """ε = η / B."""
        return self.rate / self.batch

    def drift(self, x: Tensor, coordinate: Coordinate = "w") -> Tensor:
        """Itô drift at ``x``, of its shape, per unit of t.

        Raises:
            InputError: another coordinate.
        """
        choice(coordinate, "coordinate", COORDINATES)
        depth, delta, spread = self._parts(x, coordinate)
        if coordinate == "w":
            return x ** (depth - 1) * delta
        flow = depth * _power(x, 2 - 2 / depth) * delta
        if depth == 1:
            return flow
        return flow + 0.5 * self.temperature * depth * (depth - 1) * _power(x, 3 - 4 / depth) * spread

    def diffusion(self, x: Tensor, coordinate: Coordinate = "w") -> Tensor:
        """Factor of dβ at ``x``, of its shape, per square root of t.

        Raises:
            InputError: another coordinate.
        """
        choice(coordinate, "coordinate", COORDINATES)
        depth, _, spread = self._parts(x, coordinate)
        size = x ** (depth - 1) if coordinate == "w" else depth * _power(x, 2 - 2 / depth)
        size = size * spread.sqrt()
        return math.sqrt(self.temperature) * size

    def diffusion_slope(self, x: Tensor, coordinate: Coordinate = "w") -> Tensor:
        """The product g ∂g/∂x for the diffusion g at ``x``, of its shape; half of it turns Itô into Stratonovich.

        Raises:
            InputError: another coordinate.
        """
        choice(coordinate, "coordinate", COORDINATES)
        # Without a division by √(2δ² + σ²), which vanishes at the target where there is no label noise.
        depth, delta, spread = self._parts(x, coordinate)
        if coordinate == "w":
            slope = -2 * depth * delta * x ** (3 * depth - 3)
            if depth > 1:
                slope = slope + (depth - 1) * x ** (2 * depth - 3) * spread
        else:
            slope = -2 * depth**2 * delta * _power(x, 4 - 4 / depth)
            if depth > 1:
                slope = slope + depth**2 * (2 - 2 / depth) * _power(x, 3 - 4 / depth) * spread
        return self.temperature * slope

    def strength(self, x: Tensor, coordinate: Coordinate = "w") -> Tensor:
        """The strength s at ``x``, of its shape."""
        return x**self.depth if coordinate == "w" else x

    def coordinate_of(self, s: Tensor, coordinate: Coordinate = "w") -> Tensor:
        """The coordinate of modes of strength ``s``, of its shape; s ≥ 0 beyond depth 1."""
        return s if coordinate == "s" or self.depth == 1 else s ** (1 / self.depth)

    def _parts(self, x: Tensor, coordinate: Coordinate) -> tuple[int, Tensor, Tensor]:
        """L, δ and 2δ² + σ²."""
        delta = self.target - self.strength(x, coordinate)
        return self.depth, delta, 2 * delta**2 + self.noise**2


def _power(s: Tensor, exponent: float) -> Tensor:
    """A power of s; below zero, where only a numerical step leads, a mode has neither drift nor diffusion."""
    if exponent == 0:
        return torch.ones_like(s)
    kept = s.clamp(min=0)
    return kept if exponent == 1 else kept**exponent
