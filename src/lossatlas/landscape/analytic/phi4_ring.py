"""A ring of coupled double wells: the straight line between its minima is the worst possible start."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.landscape.analytic.critical import CriticalPoint
from lossatlas.landscape.analytic.energy import Device, Energy, check_count

__all__ = ["Phi4Ring"]

# Half of the saddle of N = 10, γ = 2, refined with 40 digits: two domain walls opposite each other, on bonds.
_WALLS_10_2 = (0.363379873428052734, 0.774742217683007337, 0.876382382225649239)
_WALLS_10_2_VALUE = -0.672653910066361579


class Phi4Ring(Energy):
    """E(x) = Σ_i (x_i⁴/4 − x_i²/2) + γ/4 Σ_i (x_i − x_{i+1})², indices modulo N.

    The deepest minima are −1 and +1 (all coordinates), E = −N/4. By symmetry the straight line between them goes over
    the origin, E = 0. That is the pass where γ (1 − cos 2π/N) ≥ 1; below, the origin has a higher index and the pass
    is lower, over saddles with two domain walls, equivalent by symmetry. Those are listed for N = 2 and for N = 10,
    γ = 2; for other weak couplings only the two minima and the origin are.
    With N = 2 both bonds join the same two sites and both count.

    Args:
        sites: number of coordinates N, at least 2.
        coupling: γ, not negative.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Raises:
        InputError: fewer than two sites, or a coupling that is negative or not finite.

    Reference:
        Berglund, Fernandez & Gentz 2007, *Metastability in interacting nonlinear stochastic differential equations I*,
        Nonlinearity 20, 2551.

    Example:
        >>> ring = Phi4Ring(sites=10, coupling=2.0)
        >>> round(ring.passes[0].value, 9), len(ring.saddles)
        (-0.67265391, 11)
    """

    def __init__(
        self, sites: int = 10, coupling: float = 2.0, *, dtype: torch.dtype = torch.float64, device: Device = None
    ) -> None:
        check_count(sites, "sites", least=2)
        if not (isinstance(coupling, int | float) and 0 <= coupling < math.inf):
            raise InputError(f"expected coupling as a finite number of at least 0, got {coupling!r}")
        super().__init__(sites, name="phi4-ring", dtype=dtype, device=device)
        self.coupling = float(coupling)
        up = torch.ones(sites, dtype=torch.float64)
        points = [CriticalPoint(-up, -sites / 4, 0, "down"), CriticalPoint(up, -sites / 4, 0, "up")]
        passes: list[tuple[str, str, str]] = []
        modes = torch.arange(sites, dtype=torch.float64)
        rates = self.coupling * (1 - torch.cos(2 * math.pi * modes / sites)) - 1
        # A zero mode belongs to no index; at the threshold itself the origin is still the pass.
        points.append(CriticalPoint(0 * up, 0.0, int((rates < -1e-12).sum()), "origin"))
        walls = _walls(sites, self.coupling)
        points += walls
        if bool((rates[1:] >= -1e-12).all()):
            passes.append(("down", "up", "origin"))
        elif walls:
            passes.append(("down", "up", walls[0].name))
        bounds = ((-1.5, 1.5), (-1.5, 1.5)) if sites == 2 else None
        self._know(points, passes, ends=(-up, up), bounds=bounds)

    def _energy(self, x: Tensor) -> Tensor:
        square = x.square()
        return (square * (square / 4 - 0.5) + self.coupling / 4 * (x - x.roll(-1, -1)).square()).sum(-1)

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._energy(x), x * (x.square() - 1) + self.coupling / 2 * _laplacian(x)

    def _hessian_product(self, x: Tensor, v: Tensor) -> Tensor:
        return (3 * x.square() - 1) * v + self.coupling / 2 * _laplacian(v)


def _laplacian(x: Tensor) -> Tensor:
    return 2 * x - x.roll(1, -1) - x.roll(-1, -1)


def _walls(sites: int, coupling: float) -> list[CriticalPoint]:
    """Saddles with two domain walls, where they are known."""
    if sites == 10 and coupling == 2.0:
        a, b, c = _WALLS_10_2
        wall = torch.tensor([a, b, c, b, a, -a, -b, -c, -b, -a], dtype=torch.float64)
        return [CriticalPoint(wall.roll(k), _WALLS_10_2_VALUE, 1, f"walls {k}") for k in range(sites)]
    if sites == 2 and coupling < 1 / 3:
        # The gradient's sum and difference give xy = -γ and x² + y² = 1 - γ: two roots, four sign and order choices.
        product, norm = -coupling, 1 - coupling
        large = math.sqrt((norm + math.sqrt(norm**2 - 4 * product**2)) / 2)
        small = product / large
        value = (norm**2 - 2 * product**2) / 4 - norm / 2 + coupling / 2 * (norm - 2 * product)
        rows = [(large, small), (small, large), (-large, -small), (-small, -large)]
        return [
            CriticalPoint(torch.tensor(row, dtype=torch.float64), value, 1, f"walls {k}") for k, row in enumerate(rows)
        ]
    if sites == 2 and 1 / 3 < coupling < 1 / 2:
        one = math.sqrt(1 - 2 * coupling)
        value = -((1 - 2 * coupling) ** 2) / 2
        rows = [(one, -one), (-one, one)]
        return [
            CriticalPoint(torch.tensor(row, dtype=torch.float64), value, 1, f"walls {k}") for k, row in enumerate(rows)
        ]
    return []
