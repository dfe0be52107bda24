"""Energies on spheres with known answers, and any landscape made blind to the lengths of its vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, Self, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.landscape import Landscape, from_function
from lossatlas.landscape.analytic.energy import Device, Energy
from lossatlas.theory.annealing.spheres import Spheres

__all__ = [
    "AnyEnergy",
    "CircleToy",
    "LinearEnergy",
    "NormalisedLandscape",
    "SphereEnergy",
    "SupportsAngles",
    "SupportsTemperature",
    "energy_on",
]

AnyEnergy: TypeAlias = Landscape | Callable[..., object]
"""A landscape over rows of n·d coordinates, or a torch or numpy function of one row, differentiated by autograd."""


@runtime_checkable
class SupportsTemperature(Protocol):
    """Energies that have a temperature τ of their own, as contrastive losses have."""

    def at_temperature(self, temperature: float) -> Landscape:
        """The same energy at another τ."""
        ...


@runtime_checkable
class SupportsAngles(Protocol):
    """Energies on the circle that know themselves as functions of the angle, x = (cos θ, sin θ)."""

    def angle_energy(self, angle: Tensor) -> Tensor:
        """U(θ), any shape, in radians."""
        ...

    def angle_slope_(self, angle: Tensor, out: Tensor, scratch: Tensor) -> None:
        """Write U′(θ) into ``out``; all three of one shape, none but ``out`` and ``scratch`` changed."""
        ...


class SphereEnergy(Energy):
    """An energy of unit vectors that knows its manifold, :attr:`spheres`."""

    def __init__(self, spheres: Spheres, *, name: str, dtype: torch.dtype, device: Device, **constants: Tensor) -> None:
        super().__init__(spheres.size, name=name, dtype=dtype, device=device, constants=constants)
        self.spheres = spheres


class LinearEnergy(SphereEnergy):
    """E(x) = −μ·x on S^{d−1}: Boltzmann's law is von Mises–Fisher's, ⟨μ·x⟩ = |μ| I_{d/2}(β|μ|)/I_{d/2−1}(β|μ|).

    Args:
        mu: ``(d,)``, d at least 2.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Raises:
        InputError: μ that is not one finite vector of two or more numbers.

    Reference:
        Mardia & Jupp 2000, *Directional Statistics*, section 9.3.

    Example:
        >>> energy = LinearEnergy(torch.tensor([2.0, 0.0, 0.0]))
        >>> round(energy.mean_alignment(1.5), 6) == round(2 * (1 / math.tanh(3.0) - 1 / 3.0), 6)
        True
    """

    def __init__(self, mu: Tensor, *, dtype: torch.dtype = torch.float64, device: Device = None) -> None:
        if not isinstance(mu, Tensor) or mu.ndim != 1 or len(mu) < 2 or not bool(mu.isfinite().all()):
            raise InputError("expected mu as a finite vector (d,) with d >= 2, got something else: give one direction")
        super().__init__(Spheres(len(mu)), name="linear on a sphere", dtype=dtype, device=device, mu=mu.double())

    def mean_alignment(self, beta: float) -> float:
        """⟨μ·x⟩ at inverse temperature β in equilibrium.

        Raises:
            InputError: β negative or not finite.
        """
        from scipy.special import ive

        if not 0 <= beta < math.inf:
            raise InputError(f"expected beta as a finite number of at least 0, got {beta!r}: give another")
        length = float(self._masters["mu"].norm())
        kappa = beta * length
        return 0.0 if kappa == 0 else length * float(ive(self.dim / 2, kappa) / ive(self.dim / 2 - 1, kappa))

    def _energy(self, x: Tensor) -> Tensor:
        return -x @ self._constant("mu")

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._energy(x), (-self._constant("mu")).expand_as(x)


class CircleToy(SphereEnergy):
    """U(θ) = −a cos 2θ − b cos θ on the circle: global minimum at 0, a trap at π, 0 < b < 4a.

    As a function of the unit vector x = (cos θ, sin θ): E(x) = −a (x₁² − x₂²) − b x₁. The passes are at
    cos θ = −b/4a, so d* = 2a − b + b²/8a.

    Args:
        a: height of the two wells.
        b: what makes one of them deeper.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Raises:
        InputError: a, b outside 0 < b < 4a, where there is no trap or no single global minimum.

    Example:
        >>> toy = CircleToy()
        >>> round(toy.critical_depth, 4), round(1 / toy.critical_depth, 3)
        (1.7578, 0.569)
        >>> toy.in_global_basin(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).tolist()
        [True, False]
    """

    def __init__(
        self, a: float = 1.0, b: float = 0.25, *, dtype: torch.dtype = torch.float64, device: Device = None
    ) -> None:
        if not 0 < b < 4 * a < math.inf:
            raise InputError(f"expected 0 < b < 4a, got a = {a!r}, b = {b!r}: otherwise the circle has no trap")
        super().__init__(Spheres(2), name="circle toy", dtype=dtype, device=device)
        self.a, self.b = float(a), float(b)

    @property
    def critical_depth(self) -> float:
        """d* = 2a − b + b²/8a: what must be climbed out of the trap."""
        return 2 * self.a - self.b + self.b**2 / (8 * self.a)

    def in_global_basin(self, x: Tensor) -> Tensor:
        """Whether steepest descent leads to the global minimum, ``(*b, 2) -> (*b,)`` of bool."""
        return x[..., 0] > -self.b / (4 * self.a)

    def angle_energy(self, angle: Tensor) -> Tensor:
        """U(θ), any shape, in radians."""
        return -self.a * torch.cos(2 * angle) - self.b * torch.cos(angle)

    def angle_slope_(self, angle: Tensor, out: Tensor, scratch: Tensor) -> None:
        """Write U′(θ) = sin θ (4a cos θ + b) into ``out``."""
        torch.cos(angle, out=out)
        out.mul_(4 * self.a).add_(self.b)
        torch.sin(angle, out=scratch)
        out.mul_(scratch)

    def _energy(self, x: Tensor) -> Tensor:
        return -self.a * (x[:, 0].square() - x[:, 1].square()) - self.b * x[:, 0]

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        slope = torch.stack([-2 * self.a * x[:, 0] - self.b, 2 * self.a * x[:, 1]], dim=1)
        return self._energy(x), slope


class NormalisedLandscape(SphereEnergy):
    """L(x) = E(x₁/|x₁|, …, xₙ/|xₙ|): an energy on spheres as a landscape of free vectors.

    Path finders and curvature know nothing of spheres. On L a straight line between two points becomes arcs of great
    circles, minima and passes are those on the spheres, and the lengths are flat directions.

    Args:
        energy: a landscape over rows of n·d.
        spheres: which coordinates belong together.

    Raises:
        InputError: lengths that do not fit; later, a vector of length zero.

    Example:
        >>> free = NormalisedLandscape(CircleToy(), Spheres(2))
        >>> value, slope = free.value_and_grad(torch.tensor([[3.0, 0.0]], dtype=torch.float64))
        >>> float(value), slope.abs().tolist()
        (-1.25, [[0.0, 0.0]])
    """

    def __init__(self, energy: AnyEnergy, spheres: Spheres) -> None:
        self.inner = energy_on(energy, spheres)
        super().__init__(spheres, name="normalised energy", dtype=self.inner.dtype, device=self.inner.device)

    def to(self, *, dtype: torch.dtype | None = None, device: Device = None) -> Self:
        """Return the same landscape in another floating type or on another device."""
        other = super().to(dtype=dtype, device=device)
        other.inner = self.inner.to(dtype=other.dtype, device=other.device)
        return other

    def _energy(self, x: Tensor) -> Tensor:
        return self.inner.value(self.spheres.retract(x))

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        on = self.spheres.retract(x)
        values, slopes = self.inner.value_and_grad(on)
        lengths = self.spheres.vectors(x).norm(dim=-1, keepdim=True)
        tangent = self.spheres.vectors(self.spheres.project(on, slopes)) / lengths
        return values, tangent.reshape(x.shape)

    def _hessian_product(self, x: Tensor, v: Tensor) -> Tensor:
        # The inner landscape gives numbers without a graph: central differences of gradients, along a unit vector.
        length = v.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)
        width = torch.finfo(v.dtype).eps ** (1 / 3) * x.norm(dim=-1, keepdim=True)
        up = self._energy_and_grad(x + width * v / length)[1]
        down = self._energy_and_grad(x - width * v / length)[1]
        product: Tensor = (up - down) * (length / (2 * width))
        return product


def energy_on(energy: AnyEnergy, spheres: Spheres) -> Landscape:
    """Turn a landscape or a function of one row into a landscape that fits the spheres.

    Args:
        energy: a landscape with ``dim`` n·d, or a torch function ``(n·d,) -> ()``.
        spheres: the manifold.

    Raises:
        InputError: another number of coordinates, or not an energy.

    Example:
        >>> energy_on(lambda x: -x[0], Spheres(3)).dim
        3
    """
    if not isinstance(energy, Landscape):
        if not callable(energy):
            raise InputError(f"expected a landscape or a function of a row, got {type(energy).__name__}: give either")
        return from_function(energy, spheres.size)
    if energy.dim != spheres.size:
        raise InputError(
            f"expected an energy of {spheres.count} x {spheres.dim} = {spheres.size} coordinates, got one of "
            f"{energy.dim}: give spheres=Spheres(dim, count) that fit it"
        )
    return energy
