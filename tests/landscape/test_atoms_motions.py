"""Rigid motions and permutations of atoms, against dense Hessians, scipy's rotations and brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from clusters import hessian, lennard_jones, lj7, lj7_lowest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from lossatlas.landscape import from_atoms, get, permutational
from lossatlas.landscape.contract import SupportsHvp, SupportsNullSpace

FLOAT64 = torch.float64


def scattered(count: int, seed: int = 0) -> np.ndarray:
    """Positions without symmetry, at distances like those of a cluster."""
    return np.random.default_rng(seed).normal(size=(count, 3)) * count ** (1 / 3)


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
