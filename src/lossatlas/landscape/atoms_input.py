"""What the user hands over as atoms and calculators: checked, copied, never written to."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.landscape.rigid_motion import Array

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

__all__ = ["check_calculator", "check_image", "fixed_atoms", "interchangeable", "is_atoms"]

# In Å: far more than a file's rounding, far less than any displacement that matters.
_SAME_PLACE = 1e-3


def is_atoms(atoms: object, what: str = "atoms") -> None:
    """Refuse anything but ``ase.Atoms``.

    Raises:
        InputError: something else.
        ConfigurationError: ASE is not installed.
    """
    try:
        from ase import Atoms
    except ImportError as error:
        raise ConfigurationError(
            "expected ASE for landscapes of atoms, got none: pip install 'lossatlas[ase]'"
        ) from error
    if not isinstance(atoms, Atoms):
        raise InputError(f"expected {what} as ase.Atoms, got {type(atoms).__name__}: read them with ase.io.read(...)")


def fixed_atoms(atoms: Atoms) -> NDArray[np.bool_]:
    """Which atoms are fixed, ``-> (n,)``.

    Raises:
        InputError: a constraint other than ``FixAtoms``, or no free atom.
    """
    from ase.constraints import FixAtoms

    fixed = np.zeros(len(atoms), dtype=bool)
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms):
            raise InputError(
                f"expected no constraints but FixAtoms, got {type(constraint).__name__}: "
                "remove it from a copy of the atoms"
            )
        fixed[constraint.index] = True
    if fixed.all():
        raise InputError(f"expected at least one free atom, got {len(atoms)} atoms of which all are fixed: free some")
    return fixed


def check_calculator(source: Calculator | Callable[[], Calculator] | None) -> tuple[Calculator, bool]:
    """A private calculator, and whether it has the energy that its forces are the slope of.

    Raises:
        InputError: none, one that only holds results, has no forces, or cannot be copied.
    """
    from ase.calculators.singlepoint import SinglePointCalculator

    if source is None:
        raise InputError("expected a calculator, got none: pass calculator=..., or set atoms.calc")
    if not hasattr(source, "get_forces"):
        if not callable(source):
            raise InputError(
                f"expected an ASE calculator or a function that makes one, got {type(source).__name__}: "
                "pass an object such as ase.calculators.emt.EMT()"
            )
        calculator = source()
        if not hasattr(calculator, "get_forces"):
            raise InputError(
                f"expected calculator() to return an ASE calculator, got {type(calculator).__name__}: "
                "pass a function such as ase.calculators.emt.EMT"
            )
    else:
        try:
            calculator = copy.deepcopy(source)
        except Exception as error:
            raise InputError(
                f"expected a calculator that can be copied, got {type(source).__name__} ({error}): "
                "pass a function that makes a new one, calculator=lambda: ..."
            ) from error
    if isinstance(calculator, SinglePointCalculator):
        raise InputError(
            "expected a calculator that computes, got SinglePointCalculator, which only holds results of one geometry: "
            "pass calculator=..."
        )
    properties = getattr(calculator, "implemented_properties", ["energy", "forces"])
    if "forces" not in properties:
        raise InputError(
            f"expected a calculator with forces, got {type(calculator).__name__}, which has none: use another"
        )
    return calculator, "free_energy" in properties


def check_image(
    image: Atoms, template: Atoms, fixed: NDArray[np.bool_], shortest: Callable[[Array], Array], what: str
) -> None:
    """Refuse atoms that are not those of a template, elsewhere.

    Raises:
        InputError: other elements or another order, another cell, fixed atoms in another place, or a position that is
            not finite.
    """
    is_atoms(image, what)
    if not np.array_equal(image.numbers, template.numbers):
        raise InputError(
            f"expected {what} with the atoms of the landscape, {template.get_chemical_formula()}, in its order, got "
            f"{image.get_chemical_formula()}: make a landscape of these atoms, or sort them alike"
        )
    periodic = template.pbc
    same_cell = np.allclose(image.cell[periodic], template.cell[periodic], rtol=0, atol=_SAME_PLACE)
    if not np.array_equal(image.pbc, periodic) or not same_cell:
        raise InputError(
            f"expected {what} in the periodic cell of the landscape, got another one: the cell is kept fixed"
        )
    if not np.isfinite(image.positions).all():
        raise InputError(f"expected {what} with finite positions, got NaN or infinity: leave it out")
    away = np.linalg.norm(shortest(image.positions - template.positions), axis=1) * fixed
    if away.max() > _SAME_PLACE:
        raise InputError(
            f"expected the fixed atoms of {what} where the landscape has them, got atom {int(away.argmax())} "
            f"{away.max():.3g} Å away: fix the same atoms in the same places"
        )


def interchangeable(atoms: Atoms) -> NDArray[np.intp]:
    """One number per atom, equal for atoms of the same element, initial charge and magnetic moment, ``-> (n,)``."""
    parts = [atoms.numbers, atoms.get_initial_charges(), atoms.get_initial_magnetic_moments().reshape(len(atoms), -1)]
    _, kinds = np.unique(np.column_stack(parts), axis=0, return_inverse=True)
    return np.asarray(kinds, dtype=np.intp).reshape(-1)
