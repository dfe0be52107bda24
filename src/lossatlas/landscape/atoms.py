"""from_atoms: atoms with any ASE calculator as a landscape, and lists of atoms in and out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.landscape.analytic.energy import Device, check_count
from lossatlas.landscape.atoms_energy import AtomsEnergy, CalculatorSource
from lossatlas.landscape.atoms_input import check_image, interchangeable
from lossatlas.landscape.contract import check_rows
from lossatlas.landscape.permutational import Target, permutational_images
from lossatlas.landscape.rigid_motion import Anchored, Array, Frame, Free, Periodic

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["AtomsLandscape", "from_atoms"]


class AtomsLandscape(AtomsEnergy):
    """The energy of atoms, with lists of atoms in and out; made by :func:`from_atoms`, which says what it does."""

    def rows(self, images: Sequence[Atoms] | Atoms) -> Tensor:
        """Coordinates of the free atoms of each image, ``list of m Atoms -> (m, d)``, in Å.

        In a periodic cell each image after the first is moved by whole cells, atom by atom, to be nearest to the image
        before it, so that no atom jumps across the cell along a path; half a cell (to 0.1 Å) stays as given. Fixed
        atoms are taken as :func:`from_atoms` saw them.

        Args:
            images: the same atoms in the same order and cell, at least one; a single ``Atoms`` makes one row.

        Raises:
            InputError: other atoms, another cell, or fixed atoms elsewhere.
        """
        images = [images] if hasattr(images, "get_positions") else list(images)
        if not images:
            raise InputError("expected a list of at least one ase.Atoms, got an empty one")
        stack: list[Array] = []
        for number, image in enumerate(images):
            check_image(image, self._template, ~self._free, self._shortest, f"image {number}")
            points = image.get_positions()[self._free]
            stack.append(Anchored(self._shortest).bring(points, stack[-1]) if stack else points)
        return self._back(np.stack(stack).reshape(len(stack), self.dim))

    def atoms(self, rows: Tensor, template: Atoms | None = None, *, evaluate: bool = False) -> list[Atoms]:
        """New atoms at each row, ``(m, d) -> list of m Atoms``; a single row ``(d,)`` makes a list of one.

        Args:
            rows: coordinates in Å.
            template: where everything but positions is copied from (names, tags, constraints); None is the atoms given
                to :func:`from_atoms`.
            evaluate: whether each gets a ``SinglePointCalculator`` holding the energy (eV) and the forces (eV/Å) that
                the calculator gives there, one calculation each; without, they have no calculator.

        Raises:
            InputError: rows that do not fit, or a template of other atoms.
        """
        check_rows(rows, self)
        if template is not None:
            check_image(template, self._template, ~self._free, self._shortest, "template")
        images = []
        for row in self._points(rows.reshape(-1, self.dim)):
            image = (self._template if template is None else template).copy()
            placed = self._template.get_positions()
            placed[self._free] = row
            image.set_positions(placed, apply_constraint=False)
            if evaluate:
                from ase.calculators.singlepoint import SinglePointCalculator

                energy, forces = self._calculate(row)
                image.calc = SinglePointCalculator(image, energy=energy, free_energy=energy, forces=forces)
            images.append(image)
        return images

    # ------------------------------------------------------------------ motions that cost nothing
    def superpose(self, end: Tensor, start: Tensor) -> Tensor:
        """Move ``end`` as a whole to where Σ|e_i − s_i|² is least, ``(*b, d), (d,) -> (*b, d)``.

        Free molecules are translated and rotated, never reflected (Kabsch, Acta Cryst. A32, 922, 1976); crystals are
        translated and unwrapped; beside fixed atoms each atom only moves by whole cells.

        Raises:
            InputError: rows that do not fit, or coordinates that are not finite.
        """
        check_rows(end, self)
        target = self._one(start, "start")
        if not bool(torch.isfinite(end).all()):
            raise InputError("expected end with finite coordinates, got NaN or infinity: remove such rows first")
        points = self._points(end.reshape(-1, self.dim))
        return self._back(self._frame.bring(points, target)).reshape(end.shape)

    def match(self, end: Tensor, start: Tensor, *, seed: int = 0) -> Tensor:
        """Exchange identical atoms of ``end`` and superpose it, to be nearest to ``start``, ``(d,), (d,) -> (d,)``.

        The first of :meth:`permutations`, which says how.
        """
        return self.permutations(end, start, 1, seed=seed)[0]

    def permutations(self, end: Tensor, start: Tensor, count: int, *, seed: int = 0) -> Tensor:
        """Distinct permutational images of ``end``, superposed, from nearest to farther, ``-> (m, d)``, m ≤ count.

        Atoms are identical if element, initial charge and magnetic moment agree; that the calculator sees no other
        difference (no bonds by number) is the caller's knowledge. Images that a rotation or reflection of ``start``
        onto itself carries into each other count once. Up to 7 exchangeable atoms (5040 permutations) the order is
        exact; beyond, it comes from assignments alternated with superpositions from 300 placements.

        Args:
            end: the configuration to permute, ``(d,)``.
            start: where to bring it, ``(d,)``.
            count: how many images at most.
            seed: of the placements.

        Raises:
            InputError: rows that do not fit, coordinates that are not finite, or a count below 1.
        """
        check_count(count, "count")
        points, target = self._one(end, "end"), self._one(start, "start")
        kinds = interchangeable(self._template)[self._free]
        stream = generator(seed, "permutational images")
        found = permutational_images(points, Target(target, kinds, self._frame), count, stream)
        return self._back(found.reshape(len(found), self.dim))

    @property
    def _frame(self) -> Frame:
        periodic = bool(self._template.pbc.any())
        if not self._rigid or not self._free.all():
            return Anchored(self._shortest)
        return Periodic(self._shortest) if periodic else Free()


def from_atoms(
    atoms: Atoms,
    calculator: CalculatorSource = None,
    *,
    rigid: bool = True,
    dtype: torch.dtype = torch.float64,
    device: Device = None,
) -> AtomsLandscape:
    """Make a landscape of atoms and an ASE calculator, E(x) in eV over the coordinates x of the free atoms in Å.

    The gradient is minus the forces, without their components along rigid motions, which are numerical noise. Rows are
    computed one after another with private copies of atoms and calculator, in float64 whatever the landscape's type;
    what was passed in is never written to. The energy is the one the forces belong to, ``free_energy`` where the
    calculator has it. A calculation that fails gives NaN and a warning.

    Args:
        atoms: the atoms; ``FixAtoms`` constraints take atoms out of the coordinates, d = 3 × free atoms.
        calculator: an ASE calculator, or a function that makes one, for those that cannot be copied; None takes
            ``atoms.calc``.
        rigid: whether rigid motions leave the energy as it is; False where an outside field acts.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Returns:
        The landscape, with ``rows`` and ``atoms`` to go from lists of atoms to rows and back.

    Raises:
        InputError: not atoms, a constraint other than ``FixAtoms``, no free atom, or no calculator that can compute.
        ConfigurationError: ASE is not installed.

    Source:
        ASE: Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017).

    Example:
        >>> from ase import Atoms
        >>> from ase.calculators.lj import LennardJones
        >>> pair = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 2 ** (1 / 6)]], calculator=LennardJones(rc=100))
        >>> landscape = from_atoms(pair)
        >>> x = landscape.rows([pair])[0]
        >>> round(float(landscape.value(x)), 6), landscape.null_space(x).shape
        (-1.0, torch.Size([5, 6]))
        >>> landscape.atoms(x, evaluate=True)[0].get_forces().shape
        (2, 3)
    """
    return AtomsLandscape(atoms, calculator, rigid=rigid, dtype=dtype, device=device)
