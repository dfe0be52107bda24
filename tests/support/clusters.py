"""Atoms with known minima: seven Lennard-Jones atoms, and an atom that hops on Al(100)."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from ase import Atoms
from ase.build import add_adsorbate, fcc100
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from ase.optimize import BFGS
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from lossatlas.landscape.contract import SupportsHvp

# Without a cutoff in reach: ASE's default, 3 σ, shifts the energies.
REACH = 1000.0

LJ7_ENERGIES = (-16.505384, -15.935043, -15.593211, -15.533060)
"""The minima of seven atoms (σ = ε = 1), lowest first; the lowest saddle between the first two is at −15.44473380."""

# Two decimals, from which each relaxes into its own minimum.
# fmt: off
_LJ7 = (
    ((.01, -.93, -.24), (-.57, -.03, .09), (.16, -.51, .79), (.09, .61, .73), (-.1, .89, -.34), (-.15, -.06, -.94),
     (.57, .03, -.09)),
    ((.12, -.59, .35), (-.3, .53, -.69), (.57, .19, 1.01), (-.36, .42, .42), (.62, .3, -.1), (.17, -.48, -.76),
     (-.81, -.36, -.23)),
    ((-.36, -.34, -.57), (.09, -1.08, .13), (.39, .4, -.94), (-.5, -.22, .53), (-.31, .68, -.12), (.52, -.06, .07),
     (.17, .61, .89)),
    ((-.05, .69, .26), (.18, -.41, .21), (.9, .29, .69), (-.62, -.92, -.37), (.76, .31, -.42), (-.31, .11, -.66),
     (-.87, -.06, .29)),
)
# fmt: on


def lennard_jones(positions: NDArray[np.float64], symbols: str | None = None) -> Atoms:
    """Atoms of σ = ε = 1 without a cutoff in reach, in empty space."""
    return Atoms(symbols or f"Ar{len(positions)}", positions=positions, calculator=LennardJones(rc=REACH))


def lj7(which: int) -> Atoms:
    """Minimum ``which`` of seven Lennard-Jones atoms, 0 the lowest to 3, relaxed, with its calculator."""
    return lennard_jones(_relaxed_lj7(which))


def lj7_lowest() -> tuple[Atoms, Atoms]:
    """The two lowest minima, the pentagonal bipyramid and the capped octahedron."""
    return lj7(0), lj7(1)


def hessian(landscape: SupportsHvp, x: Tensor) -> Tensor:
    """The dense Hessian at a point, symmetrised, ``(d,) -> (d, d)``."""
    columns = landscape.hvp(x.expand(len(x), -1), torch.eye(len(x), dtype=x.dtype))
    return (columns + columns.T) / 2


@cache
def _relaxed_lj7(which: int) -> NDArray[np.float64]:
    atoms = lennard_jones(np.array(_LJ7[which]))

    def energy(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        atoms.set_positions(x.reshape(-1, 3))
        return atoms.get_potential_energy(), -atoms.get_forces().ravel()

    found = minimize(energy, atoms.positions.ravel(), jac=True, method="BFGS", options={"gtol": 1e-9})
    return np.asarray(found.x).reshape(-1, 3)


def aluminium_hop(adatom: str = "Au", fmax: float = 1e-3) -> tuple[Atoms, Atoms]:
    """An atom in one hollow of Al(100) and in the next, relaxed with EMT to forces below ``fmax`` eV/Å.

    The system of ASE's first tutorial on nudged elastic bands: 2 x 2 x 3 atoms of Al below, the two lower layers fixed.
    """
    start, end = (surface.copy() for surface in _relaxed_hop(adatom, fmax))
    start.calc, end.calc = EMT(), EMT()
    return start, end


def hollow(adatom: str = "Au") -> Atoms:
    """The slab with the atom above a hollow, as built and not relaxed."""
    slab = fcc100("Al", size=(2, 2, 3))
    add_adsorbate(slab, adatom, 1.7, "hollow")
    slab.center(axis=2, vacuum=4.0)
    slab.set_constraint(FixAtoms(mask=slab.get_tags() > 1))
    slab.calc = EMT()
    return slab


@cache
def _relaxed_hop(adatom: str, fmax: float) -> tuple[Atoms, Atoms]:
    slab = hollow(adatom)
    BFGS(slab, logfile=None).run(fmax=fmax)
    start = slab.copy()
    slab.positions[-1, 0] += slab.get_cell()[0, 0] / 2
    BFGS(slab, logfile=None).run(fmax=fmax)
    return start, slab.copy()
