"""Atoms and their calculators as landscapes, against ASE itself and published minima."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms, FixBondLength
from clusters import LJ7_ENERGIES, aluminium_hop, hessian, lj7

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.landscape import from_atoms
from lossatlas.landscape.differences import central_gradient

FLOAT64 = torch.float64


# ---------------------------------------------------------------- energies
@pytest.mark.parametrize("which", range(4))
def test_lennard_jones_minima(which):
    atoms = lj7(which)
    landscape = from_atoms(atoms)
    x = landscape.rows([atoms])[0]
    value, grad = landscape.value_and_grad(x)
    assert float(value) == pytest.approx(LJ7_ENERGIES[which], abs=1e-6)
    assert float(grad.abs().max()) < 1e-7
    curvatures = torch.linalg.eigvalsh(hessian(landscape, x))
    assert (curvatures.abs() < 1e-4).sum() == len(landscape.null_space(x)) == 6
    assert (curvatures > 1).sum() == 15


def test_gradients_are_minus_forces_of_free_atoms_and_slopes():
    start, end = aluminium_hop("Al")
    landscape = from_atoms(start)
    assert landscape.dim == 15
    rows = landscape.rows([start, end])
    rows = rows + 0.05 * torch.randn(rows.shape, dtype=FLOAT64, generator=torch.Generator().manual_seed(0))
    value, grad = landscape.value_and_grad(rows)
    for image, energy, slope in zip(landscape.atoms(rows), value, grad, strict=True):
        image.calc = EMT()
        assert image.get_potential_energy() == pytest.approx(float(energy), abs=1e-10)
        assert np.abs(image.get_forces()[8:].ravel() + slope.numpy()).max() < 1e-10
        assert np.array_equal(image.positions[:8], start.positions[:8])
    torch.testing.assert_close(central_gradient(landscape.value, rows), grad, rtol=0, atol=1e-6)


def test_the_energy_is_the_one_the_forces_belong_to():
    class Smeared(LennardJones):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["energy"] -= 7.0

    pair = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 2 ** (1 / 6)]], calculator=Smeared(rc=1000))
    landscape = from_atoms(pair)
    assert float(landscape.value(landscape.rows([pair])[0])) == pytest.approx(-1, abs=1e-12)


def test_calculations_that_fail_are_nan_and_say_so():
    class Fragile(LennardJones):
        calls = 0

        def calculate(self, atoms=None, properties=None, system_changes=all_changes):
            type(self).calls += 1
            if abs(atoms.positions).max() > 5:
                raise CalculationFailed("too far")
            super().calculate(atoms, properties, system_changes)

    pair = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 1.1]], calculator=Fragile(rc=1000))
    landscape = from_atoms(pair)
    good = landscape.rows([pair])[0]
    with pytest.warns(UserWarning, match="too far"):
        value, grad = landscape.value_and_grad(torch.stack([good, 10 * good, good]))
    assert torch.isfinite(value).tolist() == [True, False, True]
    assert bool(torch.isfinite(grad[[0, 2]]).all())
    calls = Fragile.calls
    assert bool(landscape.value(torch.full((6,), float("nan"), dtype=FLOAT64)).isnan())
    assert Fragile.calls == calls


# ---------------------------------------------------------------- atoms in and out
def test_lists_of_atoms_go_in_and_come_out():
    start, end = aluminium_hop()
    landscape = from_atoms(start)
    middle = start.copy()
    middle.positions[-1] = (start.positions[-1] + end.positions[-1]) / 2
    images = [start, middle, end]
    rows = landscape.rows(images)
    assert rows.shape == (3, 15)
    named = start.copy()
    named.info["name"] = "hop"
    for image, back in zip(images, landscape.atoms(rows, named, evaluate=True), strict=True):
        assert np.array_equal(back.positions, image.positions)
        assert back.info["name"] == "hop"
        image.calc = EMT()
        assert back.get_potential_energy() == pytest.approx(image.get_potential_energy(), abs=1e-10)
        assert np.abs(back.get_forces() - image.get_forces()).max() < 1e-10
        raw = image.get_forces(apply_constraint=False)
        assert np.abs(back.get_forces(apply_constraint=False) - raw).max() < 1e-10
    assert torch.equal(landscape.rows(landscape.atoms(rows)), rows)
    assert landscape.atoms(rows[0])[0].calc is None
    assert torch.equal(landscape.rows(start), rows[:1])


def test_paths_do_not_jump_across_the_cell():
    start, _ = aluminium_hop()
    images = []
    for step in range(13):  # once around the cell
        image = start.copy()
        image.positions[-1, 0] += step / 12 * image.cell[0, 0]
        image.wrap()
        images.append(image)
    landscape = from_atoms(start)
    rows = landscape.rows(images)
    assert float((rows[1:] - rows[:-1]).norm(dim=-1).max()) < 0.5
    travelled = (rows[-1] - rows[0]).reshape(-1, 3)[-1]
    assert travelled.tolist() == pytest.approx([start.cell[0, 0], 0, 0], abs=1e-9)
    assert float(landscape.value(rows[-1])) == pytest.approx(float(landscape.value(rows[0])), abs=1e-9)


def test_half_a_cell_goes_where_it_was_told_to_go():
    start, end = aluminium_hop()
    landscape = from_atoms(start)
    x, y = landscape.rows([start, end])
    assert float((y - x)[-3]) == pytest.approx(float(start.cell[0, 0]) / 2, abs=1e-3)
    torch.testing.assert_close(landscape.superpose(y, x), y, rtol=0, atol=1e-12)
    end.positions[-1] -= end.cell[0] + end.cell[1]  # two cells off is not half a cell
    torch.testing.assert_close(landscape.rows([start, end])[1][:-3], y[:-3])
    assert float((landscape.rows([start, end])[1] - x).norm()) == pytest.approx(float((y - x).norm()), abs=1e-3)


def test_nothing_of_the_users_is_written_to():
    start, end = aluminium_hop()
    energy = start.get_potential_energy()
    calculator, positions, results = start.calc, start.positions.copy(), dict(start.calc.results)
    landscape = from_atoms(start)
    rows = landscape.rows([start, end])
    landscape.value_and_grad(rows + 0.1)
    landscape.atoms(rows, evaluate=True)[0].positions += 1
    landscape.match(rows[1], rows[0])
    assert start.calc is calculator
    assert calculator.results is not None
    assert all(calculator.results[key] is value for key, value in results.items())
    assert np.array_equal(start.positions, positions)
    assert isinstance(start.constraints[0], FixAtoms)
    assert start.get_potential_energy() == energy
    start.positions += 5  # and the landscape does not see what becomes of the user's atoms
    assert torch.equal(landscape.rows([end])[0], rows[1])


# ---------------------------------------------------------------- what is refused
class Uncopyable(LennardJones):
    def __deepcopy__(self, memo: object) -> None:
        raise TypeError("holds a socket")


class Forceless(Calculator):
    implemented_properties = ("energy",)


def test_calculators_that_cannot_be_copied_are_made():
    atoms = lj7(0)
    with pytest.raises(InputError, match=r"socket.*calculator=lambda"):
        from_atoms(atoms, Uncopyable(rc=1000))
    landscape = from_atoms(atoms, lambda: Uncopyable(rc=1000))
    assert float(landscape.value(landscape.rows([atoms])[0])) == pytest.approx(LJ7_ENERGIES[0], abs=1e-6)


def test_atoms_that_cannot_be_a_landscape_are_refused():
    atoms = lj7(0)
    stored = from_atoms(atoms).atoms(from_atoms(atoms).rows([atoms]), evaluate=True)[0]
    bare, bound, still = atoms.copy(), atoms.copy(), atoms.copy()
    bound.set_constraint(FixBondLength(0, 1))
    still.set_constraint(FixAtoms(range(7)))
    for wrong, calculator, message in [
        (atoms.positions, None, "ase.Atoms, got ndarray"),
        (bare, None, "got none: pass calculator"),
        (bound, EMT(), "FixAtoms, got FixBondLength"),
        (still, EMT(), "at least one free atom"),
        (stored, None, "only holds results"),
        (atoms, 3, "got int"),
        (atoms, lambda: 3, "return an ASE calculator, got int"),
        (atoms, Forceless(), "with forces, got Forceless"),
    ]:
        with pytest.raises(InputError, match=message):
            from_atoms(wrong, calculator)


def test_images_that_do_not_belong_are_refused():
    start, end = aluminium_hop()
    landscape = from_atoms(start)
    elsewhere, cell, other, broken = (end.copy() for _ in range(4))
    elsewhere.positions[2] += 0.1
    cell.set_cell(cell.cell * 1.1)
    other.numbers[0] = 79
    broken.positions[-1, 0] = np.nan
    for wrong, message in [
        ([], "empty"),
        ([start, elsewhere], "fixed atoms of image 1 .* atom 2 0.173"),
        ([cell], "image 0 in the periodic cell"),
        ([other], "Al11Au2"),
        ([broken], "finite positions"),
        ([start.positions], "image 0 as ase.Atoms, got ndarray"),
    ]:
        with pytest.raises(InputError, match=message):
            landscape.rows(wrong)
    x = landscape.rows([start])[0]
    nan = torch.full_like(x, float("nan"))
    with pytest.raises(InputError, match="count"):
        landscape.permutations(x, x, 0)
    for call in (landscape.null_space, lambda y: landscape.superpose(y, x), lambda y: landscape.match(x, y)):
        with pytest.raises(InputError, match="NaN"):
            call(nan)
    with pytest.raises(InputError, match="one row"):
        landscape.null_space(x[None])
    with pytest.raises(InputError, match="Al11Au2"):
        landscape.atoms(x, other)


def test_without_ase_one_sentence_says_how_to_get_it(monkeypatch):
    atoms = lj7(0)
    monkeypatch.setitem(sys.modules, "ase", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'lossatlas\[ase\]'"):
        from_atoms(atoms)
