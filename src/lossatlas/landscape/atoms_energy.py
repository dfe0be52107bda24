"""Energy and forces of atoms with any ASE calculator, row by row."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.landscape.analytic.energy import Device, Energy
from lossatlas.landscape.atoms_input import check_calculator, fixed_atoms, is_atoms
from lossatlas.landscape.contract import check_rows
from lossatlas.landscape.differences import product_of_gradients
from lossatlas.landscape.rigid_motion import Array, rigid_directions

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

__all__ = ["AtomsEnergy", "CalculatorSource"]

# In Å. A hop by half a cell is as long to either side, but for the rounding: then it goes where it was told to go.
_TIE = 0.1

CalculatorSource: TypeAlias = "Calculator | Callable[[], Calculator] | None"


class AtomsEnergy(Energy):
    """Potential energy over the free coordinates of atoms; arguments as for :func:`~lossatlas.landscape.from_atoms`."""

    hvp_method = "central differences"
    """How Hessian-vector products are computed: from two gradients each."""

    def __init__(
        self,
        atoms: Atoms,
        calculator: CalculatorSource = None,
        *,
        rigid: bool = True,
        dtype: torch.dtype = torch.float64,
        device: Device = None,
    ) -> None:
        is_atoms(atoms)
        fixed = fixed_atoms(atoms)
        self._free = ~fixed
        self._template = atoms.copy()
        self._work = atoms.copy()
        self._work.set_constraint()
        self._work.calc, self._consistent = check_calculator(atoms.calc if calculator is None else calculator)
        self._rigid = rigid
        formula = atoms.get_chemical_formula()
        super().__init__(3 * int(self._free.sum()), name=f"energy of {formula}", dtype=dtype, device=device)
        pbc = np.asarray(atoms.pbc)
        self._axes = np.zeros((0, 3))
        if pbc.sum() < 2:  # a molecule turns about every axis, a wire about its own
            cell = np.asarray(atoms.cell)[pbc]
            self._axes = np.eye(3) if not pbc.any() else cell / np.linalg.norm(cell)

    # ------------------------------------------------------------------ what it is
    def null_space(self, x: Tensor) -> Tensor:
        """Rigid motions at a point as orthonormal rows, ``(d,) -> (k, d)``.

        k is 6 for a molecule, 5 for a linear one, 3 for a crystal; fixed atoms leave only what does not move them.

        Raises:
            InputError: not one row of the landscape, or a coordinate that is not finite.
        """
        return self._back(self._rigid_motions(self._one(x, "x")))

    # ------------------------------------------------------------------ evaluation
    def _energy(self, x: Tensor) -> Tensor:
        return self._back(np.array([self._calculate(row, forces=False)[0] for row in self._points(x)]))

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, grads = np.empty(len(x)), np.empty((len(x), self.dim))
        for i, row in enumerate(self._points(x)):
            values[i], forces = self._calculate(row)
            grads[i] = -forces[self._free].reshape(-1)
            if np.isfinite(grads[i]).all():
                motions = self._rigid_motions(row)
                grads[i] -= (grads[i] @ motions.T) @ motions
        return self._back(values), self._back(grads)

    def _hessian_product(self, x: Tensor, v: Tensor) -> Tensor:
        def gradients(rows: Tensor) -> Tensor:
            return self._energy_and_grad(rows)[1]

        points, vectors = (tensor.detach().to("cpu", torch.float64) for tensor in (x, v))
        return product_of_gradients(gradients, points, vectors).to(dtype=self.dtype, device=self.device)

    def _calculate(self, row: Array, forces: bool = True) -> tuple[float, Array]:
        """Energy and the forces on all atoms, at the free positions ``(m, 3)``; NaN where there is none."""
        from ase.calculators.calculator import CalculationFailed, SCFError

        nothing = float("nan"), np.full((len(self._work), 3), np.nan)
        if not np.isfinite(row).all():  # neighbour lists may never end there
            return nothing
        self._work.positions[self._free] = row
        try:
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                energy = float(self._work.get_potential_energy(force_consistent=self._consistent))
                found = self._work.get_forces(apply_constraint=False) if forces else nothing[1]
        except (CalculationFailed, SCFError) as error:
            warnings.warn(f"the calculator failed at a point, whose energy is NaN now: {error}", stacklevel=2)
            return nothing
        forces_found: Array = np.array(found, dtype=np.float64)
        return energy, forces_found

    # ------------------------------------------------------------------ parts
    def _shortest(self, differences: Array) -> Array:
        """Shortest image of each difference vector, ``(*b, 3) -> (*b, 3)``; the vector itself in a tie."""
        if not self._template.pbc.any():
            return differences
        from ase.geometry import find_mic

        vectors, _ = find_mic(differences.reshape(-1, 3), self._template.cell, self._template.pbc)
        shortest: Array = np.asarray(vectors, dtype=np.float64).reshape(differences.shape)
        lengths = np.linalg.norm(differences, axis=-1), np.linalg.norm(shortest, axis=-1)
        return np.where((lengths[0] > lengths[1] + _TIE)[..., None], shortest, differences)

    def _rigid_motions(self, row: Array) -> Array:
        if not self._rigid:
            return np.zeros((0, self.dim))
        placed = self._template.get_positions()
        placed[self._free] = row
        return rigid_directions(placed, self._free, self._axes)

    def _one(self, x: Tensor, what: str) -> Array:
        check_rows(x, self)
        if x.ndim != 1 or not bool(torch.isfinite(x).all()):
            raise InputError(
                f"expected {what} as one row ({self.dim},) of finite coordinates, got shape {tuple(x.shape)}"
                f"{'' if x.ndim != 1 else ' with NaN or infinity'}: pass one point"
            )
        point: Array = self._points(x[None])[0]
        return point

    def _points(self, x: Tensor) -> Array:
        """Rows as float64 positions of the free atoms, ``(n, d) -> (n, d / 3, 3)``."""
        return np.asarray(x.detach().to("cpu", torch.float64).numpy()).reshape(len(x), -1, 3)

    def _back(self, found: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(found)).to(dtype=self.dtype, device=self.device)
