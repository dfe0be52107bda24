"""Atoms and their calculators as landscapes, against ASE itself, dense Hessians and published minima."""

from __future__ import annotations

import sys
from itertools import permutations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms, FixBondLength
from clusters import LJ7_ENERGIES, aluminium_hop, lennard_jones, lj7, lj7_lowest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.landscape import from_atoms, get, permutational
from lossatlas.landscape.contract import SupportsHvp, SupportsNullSpace
from lossatlas.landscape.differences import central_gradient

FLOAT64 = torch.float64


def scattered(count: int, seed: int = 0) -> np.ndarray:
    """Positions without symmetry, at distances like those of a cluster."""
    return np.random.default_rng(seed).normal(size=(count, 3)) * count ** (1 / 3)


def hessian(landscape, x):
    columns = landscape.hvp(x.expand(landscape.dim, -1), torch.eye(landscape.dim, dtype=FLOAT64))
    return (columns + columns.T) / 2


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


# ---------------------------------------------------------------- rigid motions
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_rigid_motions_change_nothing(seed):
    rng = np.random.default_rng(seed)
    atoms = lj7(1)
    atoms.positions += 0.1 * rng.normal(size=(7, 3))
    landscape = from_atoms(atoms)
    x = landscape.rows([atoms])[0]
    turn, shift = Rotation.random(random_state=int(seed)).as_matrix(), 3 * rng.normal(size=3)
    moved = torch.from_numpy(x.numpy().reshape(7, 3) @ turn.T + shift).flatten()
    (value, there), (grad, slope) = landscape.value_and_grad(torch.stack([x, moved]))
    assert float(there - value) == pytest.approx(0, abs=1e-10 * max(1, abs(float(value))))
    size = float(grad.abs().max())
    assert np.abs(slope.numpy().reshape(7, 3) - grad.numpy().reshape(7, 3) @ turn.T).max() < 1e-9 * size
    motions = landscape.null_space(x)
    torch.testing.assert_close(motions @ motions.T, torch.eye(6, dtype=FLOAT64))
    assert float((motions @ grad).abs().max()) < 1e-12 * size
    back = landscape.superpose(moved, x)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)


def test_rigid_components_of_noisy_forces_are_removed():
    class Noisy(LennardJones):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            about = np.cross([0, 0, 1e-3], self.atoms.positions)
            self.results["forces"] = self.results["forces"] + about + [1e-3, 0, 0]

    atoms = lj7(1)
    noisy, kept = from_atoms(atoms, Noisy(rc=1000)), from_atoms(atoms, Noisy(rc=1000), rigid=False)
    x = noisy.rows([atoms])[0]
    assert float(noisy.value_and_grad(x)[1].abs().max()) < 1e-7
    assert float(kept.value_and_grad(x)[1].abs().max()) > 5e-4


@pytest.mark.parametrize(("fixed", "expected"), [([], 6), ([3], 3), ([0, 3], 1), ([0, 3, 5], 0)])
def test_fixed_atoms_leave_only_what_does_not_move_them(fixed, expected):
    atoms = lj7(0)
    atoms.set_constraint(FixAtoms(fixed))
    landscape = from_atoms(atoms)
    x = landscape.rows([atoms])[0]
    assert landscape.dim == 21 - 3 * len(fixed)
    motions = landscape.null_space(x)
    curvatures = torch.linalg.eigvalsh(hessian(landscape, x))
    assert len(motions) == expected == int((curvatures.abs() < 1e-4).sum())
    assert float((hessian(landscape, x) @ motions.T).abs().max()) < 1e-4 if expected else True


def wire() -> Atoms:
    positions = [[0, 0.3, 0], [0.2, 0, 1.1], [-0.4, 0.1, 2.2]]
    return Atoms("Ar3", positions=positions, cell=[9, 9, 3.3], pbc=[False, False, True], calculator=LennardJones())


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (lennard_jones(np.zeros((1, 3))), 3),
        (lennard_jones(np.outer([0, 1.1], [1, 2, 2]) / 3 + 5), 5),
        (lennard_jones(np.outer([0, 1.1, 2.3], [1, 2, 2]) / 3 - 5), 5),
        (lennard_jones(np.array([[0, 0, 0], [1.1, 0, 0], [2.2, 0.01, 0]])), 6),
        (bulk("Cu", cubic=True), 3),
        (wire(), 4),
    ],
    ids=["one", "two", "three in line", "three", "crystal", "wire"],
)
def test_number_of_rigid_motions(atoms, expected):
    atoms.calc = atoms.calc or EMT()
    landscape = from_atoms(atoms)
    x = landscape.rows([atoms])[0]
    motions = landscape.null_space(x)
    assert motions.shape == (expected, landscape.dim)
    step = 1e-3
    slopes = (landscape.value(x + step * motions) - landscape.value(x - step * motions)) / (2 * step)
    assert float(slopes.abs().max()) < 1e-8
    assert from_atoms(atoms, rigid=False).null_space(x).shape == (0, landscape.dim)
    assert isinstance(landscape, SupportsNullSpace)
    assert isinstance(landscape, SupportsHvp)
    assert not isinstance(get("paper-toy"), SupportsNullSpace)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_superposition_is_the_closest_without_reflection(seed):
    a, b = scattered(6, seed), scattered(6, seed + 1)
    landscape = from_atoms(lennard_jones(a))
    end, start = (torch.from_numpy(p).flatten() for p in (b, a))
    for other in (b, a * [-1, 1, 1]):
        found = landscape.superpose(torch.from_numpy(other).flatten(), start)
        _, distance = Rotation.align_vectors(a - a.mean(0), other - other.mean(0))
        assert float((found - start).norm()) == pytest.approx(distance, abs=1e-7)
    assert torch.equal(landscape.superpose(torch.stack([end, end]), start)[1], landscape.superpose(end, start))


# ---------------------------------------------------------------- permutations
@pytest.mark.parametrize(("count", "symbols"), [(7, "Ar7"), (12, "Ar12"), (9, "Ar5Ne4")])
def test_a_known_permutation_is_recovered(count, symbols):
    positions = scattered(count)
    landscape = from_atoms(lennard_jones(positions, symbols))
    start = torch.from_numpy(positions).flatten()
    order = np.random.default_rng(3).permutation(count) if len(set(symbols)) < 5 else [4, 2, 0, 3, 1, 8, 5, 7, 6]
    shuffled = positions[order] @ Rotation.random(random_state=4).as_matrix() + 2
    end = torch.from_numpy(shuffled).flatten()
    assert float((landscape.superpose(end, start) - start).norm()) > 1
    torch.testing.assert_close(landscape.match(end, start), start, rtol=0, atol=1e-10)
    torch.testing.assert_close(landscape.match(end, start, seed=1), start, rtol=0, atol=1e-10)


def test_different_elements_are_never_exchanged():
    positions = scattered(4)
    landscape = from_atoms(lennard_jones(positions, "ArNeArNe"))
    start, end = (torch.from_numpy(p).flatten() for p in (positions, positions[[1, 0, 3, 2]]))
    assert float((landscape.match(end, start) - start).norm()) > 0.1
    assert len(landscape.permutations(end, start, 100)) == 4


def test_all_images_against_every_permutation():
    a, b = scattered(5, 1), scattered(5, 2)
    landscape = from_atoms(lennard_jones(a))
    found = landscape.permutations(torch.from_numpy(b).flatten(), torch.from_numpy(a).flatten(), 1000)
    centred = b - b.mean(0)
    every = sorted(Rotation.align_vectors(a - a.mean(0), centred[list(order)])[1] for order in permutations(range(5)))
    distances = (found - torch.from_numpy(a).flatten()).norm(dim=-1).numpy()
    assert np.abs(distances - every).max() < 1e-7


def test_symmetric_images_count_once():
    # The bipyramid has 6 rotations: of 120 labellings of atoms without symmetry, 20 are different seen from it.
    turn = 2 * np.pi * np.arange(3) / 3
    ring = np.column_stack([np.cos(turn), np.sin(turn), 0 * turn])
    bipyramid = 0.65 * np.vstack([ring, [[0, 0, 1.3], [0, 0, -1.3]]])
    landscape = from_atoms(lennard_jones(bipyramid))
    start, end = (torch.from_numpy(p).flatten() for p in (bipyramid, scattered(5)))
    found = landscape.permutations(end, start, 1000)
    assert len(found) == 20
    distances = (found - start).norm(dim=-1)
    assert bool((distances.diff() >= 0).all())
    torch.testing.assert_close(landscape.value(found), landscape.value(end).expand(20), rtol=1e-9, atol=1e-9)
    assert torch.equal(landscape.permutations(end, start, 7), found[:7])
    assert torch.equal(landscape.match(end, start), found[0])


def test_the_search_for_many_atoms_agrees_with_looking_at_all(monkeypatch):
    a, b = lj7_lowest()
    landscape = from_atoms(a)
    start, end = landscape.rows([a, b])
    every = landscape.permutations(end, start, 8)
    monkeypatch.setattr(permutational, "_ALL", 0)
    searched = landscape.permutations(end, start, 8)
    distances, expected = ((rows - start).norm(dim=-1) for rows in (searched, every))
    assert float(distances[0]) == pytest.approx(float(expected[0]), abs=1e-9)
    assert bool((distances >= expected - 1e-9).all())
    assert len(landscape.permutations(start, start, 10_000)) == 40


def test_permutations_beside_fixed_atoms():
    positions = np.array([[0, 0, 0], [1.2, 0, 0], [0, 1.2, 0], [9.8, 5, 5], [5, 9.9, 5], [5, 5, 5.0]])
    atoms = Atoms("Ar6", positions=positions, cell=[10, 10, 10], pbc=True, calculator=LennardJones())
    atoms.set_constraint(FixAtoms([0, 1, 2]))
    other = atoms.copy()
    other.positions[3:] = [[5, 5.3, 5], [0.2, 5, 5], [5, 0.2, 5]]
    landscape = from_atoms(atoms)
    start, end = landscape.rows([atoms, other])
    expected = [[10.2, 5, 5], [5, 10.2, 5], [5, 5.3, 5]]
    torch.testing.assert_close(landscape.match(end, start).reshape(3, 3), torch.tensor(expected, dtype=FLOAT64))
    assert len(landscape.permutations(end, start, 100)) == 6


def test_a_shifted_crystal_is_brought_back():
    crystal = bulk("Cu", cubic=True) * (2, 1, 1)
    crystal.rattle(0.05, seed=0)
    crystal.calc = EMT()
    landscape = from_atoms(crystal)
    other = crystal.copy()
    order = np.random.default_rng(0).permutation(8)
    other.positions = other.positions[order] + [0.3, -0.2, 0.1]
    other.wrap()
    start, end = landscape.rows([crystal, other])
    torch.testing.assert_close(landscape.match(end, start), start, rtol=0, atol=1e-9)


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
