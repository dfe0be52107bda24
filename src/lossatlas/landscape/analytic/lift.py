"""Lifting: a plane's energy hidden in many dimensions, with the same exact passes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import random_rotation
from lossatlas.core.randomness import generator
from lossatlas.landscape.analytic.critical import CriticalPoint
from lossatlas.landscape.analytic.energy import Device, Energy, check_count

__all__ = ["Lifted", "lift"]


class Lifted(Energy):
    """E(x) = F(u, v) + k/2 |z − φ(u, v)|², where (u, v, z) = Rᵀx and φ_j = A_j sin(w_j · (u, v) + p_j).

    Every critical point of F is one of E, with the same value and index, and the pass between two minima is F's:
    E ≥ F everywhere, and E = F on the curved sheet z = φ(u, v). The lowest path bends in all d dimensions.

    Args:
        base: a two-dimensional energy F.
        dim: number of coordinates d, at least 3.
        stiffness: k, in the energy's unit per squared length; of the size of F's own curvature to be neither
            a trough nor a plain.
        seed: names the rotation R and the sheet φ.
        name: name in messages and tables; default: the base's with the dimension.
        dtype: floating type of rows and values; default: the base's.
        device: where rows must be; default: the base's.

    Raises:
        InputError: the base is not two-dimensional, d < 3, or the stiffness is not positive.

    Example:
        >>> from lossatlas.landscape.analytic import PaperToy
        >>> lifted = Lifted(PaperToy(), 50)
        >>> lifted.dim, round(lifted.passes[0].value, 9)
        (50, 0.624393347)
    """

    def __init__(
        self,
        base: Energy,
        dim: int,
        *,
        stiffness: float = 10.0,
        seed: int = 0,
        name: str | None = None,
        dtype: torch.dtype | None = None,
        device: Device = None,
    ) -> None:
        if not isinstance(base, Energy) or base.dim != 2:
            came = f"dimension {base.dim}" if isinstance(base, Energy) else type(base).__name__
            raise InputError(f"expected a two-dimensional energy to lift, got {came}: use one such as 'paper-toy'")
        check_count(dim, "dim", least=3)
        if not (isinstance(stiffness, int | float) and 0 < stiffness < math.inf):
            raise InputError(f"expected stiffness as a positive finite number, got {stiffness!r}")
        self._base, self.stiffness = base, float(stiffness)
        draw = generator(seed, "lift", dim)
        extra = dim - 2
        angle, length, phase = torch.rand(3, extra, dtype=torch.float64, generator=draw).unbind()
        frequency = (1 + 2 * length) * torch.stack([torch.cos(2 * math.pi * angle), torch.sin(2 * math.pi * angle)])
        constants = {
            "rotation": random_rotation(dim, seed),
            "frequency": frequency,
            "phase": 2 * math.pi * phase,
            # Summed over j this makes the sheet's mean squared slope 1, whatever the dimension.
            "amplitude": math.sqrt(2 / extra) / torch.linalg.vector_norm(frequency, dim=0),
        }
        super().__init__(
            dim,
            name=name or f"{base.name}-{dim}d",
            dtype=dtype or base.dtype,
            device=device if device is not None else base.device,
            constants=constants,
        )
        self._lift_points()

    @property
    def base(self) -> Energy:
        """The two-dimensional energy F."""
        return self._base

    def project(self, x: Tensor) -> Tensor:
        """The plane's coordinates of each row, ``(*b, d) -> (*b, 2)``: for plots of what happens in d dimensions."""
        return x @ self._constant("rotation")[:, :2]

    def embed(self, plane: Tensor) -> Tensor:
        """The point of the sheet above each point of the plane, ``(*b, 2) -> (*b, d)``, where E = F."""
        sheet = self._constant("amplitude") * torch.sin(self._angles(plane))
        return torch.cat([plane, sheet], -1) @ self._constant("rotation").T

    # ------------------------------------------------------------------ evaluation
    def _energy(self, x: Tensor) -> Tensor:
        plane, _, rest = self._split(x)
        return self._base._energy(plane) + self.stiffness / 2 * rest.square().sum(-1)

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        plane, angles, rest = self._split(x)
        values, slope = self._base._energy_and_grad(plane)
        pull = self.stiffness * rest
        slope = slope - (pull * self._constant("amplitude") * torch.cos(angles)) @ self._constant("frequency").T
        grads = torch.cat([slope, pull], -1) @ self._constant("rotation").T
        return values + self.stiffness / 2 * rest.square().sum(-1), grads

    def _hessian_product(self, x: Tensor, v: Tensor) -> Tensor:
        plane, angles, rest = self._split(x)
        turned = v @ self._constant("rotation")
        a, b = turned[:, :2], turned[:, 2:]
        amplitude, frequency = self._constant("amplitude"), self._constant("frequency")
        along = a @ frequency
        first = amplitude * torch.cos(angles)
        change = b - first * along
        inner = change * first - rest * amplitude * torch.sin(angles) * along
        plane_part = self._base._hessian_product(plane, a) - self.stiffness * inner @ frequency.T
        return torch.cat([plane_part, self.stiffness * change], -1) @ self._constant("rotation").T

    # ------------------------------------------------------------------ inside
    def _angles(self, plane: Tensor) -> Tensor:
        return plane @ self._constant("frequency") + self._constant("phase")

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinates in the plane ``(n, 2)``, the sheet's angles and the distance from it ``(n, d - 2)``."""
        y = x @ self._constant("rotation")
        plane = y[:, :2]
        angles = self._angles(plane)
        return plane, angles, y[:, 2:] - self._constant("amplitude") * torch.sin(angles)

    def _lift_points(self) -> None:
        base, exact = self._base.to(dtype=torch.float64, device="cpu"), self.to(dtype=torch.float64, device="cpu")
        points = [
            CriticalPoint(exact.embed(point.x), point.value, point.index, point.name)
            for point in (*base.minima, *base.saddles)
        ]
        passes = [(each.start.name, each.end.name, each.saddle.name) for each in base.passes]
        ends = base.ends
        self._know(points, passes, ends=ends and (exact.embed(ends[0]), exact.embed(ends[1])))

    def _place(self, dtype: torch.dtype, device: torch.device) -> None:
        super()._place(dtype, device)
        self._base = self._base.to(dtype=dtype, device=device)


def lift(base: Energy, dim: int, *, stiffness: float = 10.0, seed: int = 0) -> Lifted:
    """Lift a two-dimensional energy to ``dim`` dimensions; see :class:`Lifted`.

    Args:
        base: a two-dimensional energy.
        dim: number of coordinates d, at least 3.
        stiffness: k, in the energy's unit per squared length.
        seed: names the rotation and the sheet.

    Returns:
        The lifted energy, with the base's critical points and exact passes.

    Raises:
        InputError: as :class:`Lifted`.

    Example:
        >>> from lossatlas.landscape.analytic import MullerBrown
        >>> lift(MullerBrown(), 10, stiffness=500.0).name
        'muller-brown-10d'
    """
    return Lifted(base, dim, stiffness=stiffness, seed=seed)
