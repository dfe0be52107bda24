"""Critical depth: closed form, barrier trees, paths that were found, and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lossatlas as la
from lossatlas.analysis import barrier_tree
from lossatlas.core.errors import InputError
from lossatlas.landscape import from_function
from lossatlas.theory.annealing import CircleToy, NormalisedLandscape, circle_depth, critical_depth, tree_depth

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.25), (2.0, 1.0), (0.5, 0.01)])
def test_the_toy(a: float, b: float) -> None:
    toy = CircleToy(a, b)
    found = circle_depth(toy)
    assert found.value == pytest.approx(2 * a - b + b * b / (8 * a), abs=1e-9)
    assert found.value == pytest.approx(toy.critical_depth, abs=1e-9)
    assert found.global_minima == (0,)
    assert found.deepest_trap == 1


def test_reference_values() -> None:
    found = circle_depth(CircleToy())
    assert found.value == pytest.approx(1.7578, abs=5e-5)
    assert found.critical_rate == pytest.approx(0.569, abs=5e-4)
    assert [found.verdict(c).converges for c in (0.3, 0.5, 1.0, 2.0)] == [True, True, False, False]
    assert "converges in probability" in found.verdict(0.5).message
    assert "may be trapped" in found.verdict(1.0).message


def test_depth_from_a_path_and_a_barrier_tree() -> None:
    toy = CircleToy()
    line = from_function(lambda angle: toy.angle_energy(angle[0]), 1)
    ends = torch.tensor([[0.0], [math.pi]]).double()
    path = la.paths.find(line, ends[0], ends[1], method="linear", points=41)
    tree = barrier_tree(line.value(ends), [[NAN, path.height], [NAN, NAN]])
    assert tree_depth(tree).value == pytest.approx(toy.critical_depth, abs=1e-7)


def test_depth_from_a_path_of_free_vectors() -> None:
    toy = CircleToy()
    free = NormalisedLandscape(toy, toy.spheres)
    start, end = torch.tensor([-1.0, 0.0]).double(), torch.tensor([1.0, 0.0]).double()
    over = torch.tensor([0.0, 1.0]).double()
    heights = [la.paths.find(free, x, y, method="linear", points=41).height for x, y in ((start, over), (over, end))]
    found = critical_depth(free.value(torch.stack([start, end])), [[NAN, max(heights)], [NAN, NAN]])
    assert found.value == pytest.approx(toy.critical_depth, abs=1e-7)


def test_paths_that_are_too_high_err_on_the_safe_side() -> None:
    assert critical_depth([0.0, 1.0], [[NAN, 4.0], [NAN, NAN]]).critical_rate < 1 / 2


def test_ties_and_lack_of_traps() -> None:
    twins = critical_depth([0.0, 0.0], [[NAN, 1.0], [NAN, NAN]])
    assert (twins.value, twins.critical_rate, twins.deepest_trap, twins.global_minima) == (0.0, INF, None, (0, 1))
    assert twins.verdict(100.0).converges is True
    nearly = critical_depth([0.0, 1e-12], [[NAN, 1.0], [NAN, NAN]], tolerance=1e-9)
    assert nearly.global_minima == (0, 1)
    # Two equal traps side by side: neither is deeper than the other, both must reach the global minimum.
    pair = critical_depth([0.0, 1.0, 1.0], [[NAN, NAN, 5.0], [NAN, NAN, 2.0], [NAN, NAN, NAN]])
    assert pair.depths == (INF, 4.0, 4.0)


def test_what_is_not_connected_is_not_known() -> None:
    lost = critical_depth([0.0, 1.0], [[NAN, INF], [NAN, NAN]])
    assert lost.value == INF
    assert lost.verdict(0.1).converges is None
    assert "find more paths" in lost.verdict(0.1).message


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 5))
    energies = np.array(draw(st.lists(st.integers(0, 4).map(float), min_size=n, max_size=n)))
    heights = np.full((n, n), NAN)
    for i, j in itertools.combinations(range(n), 2):
        heights[i, j] = max(energies[i], energies[j]) + draw(st.integers(0, 5))
    return energies, heights


@given(maps(), st.floats(-10, 10), st.floats(0.1, 10))
def test_against_every_chain(given_map: tuple[np.ndarray, np.ndarray], shift: float, scale: float) -> None:
    energies, heights = given_map
    full = np.fmin(heights, heights.T)
    n = len(energies)
    wanted = 0.0
    for i in range(n):
        climbs = []
        for size in range(2, n + 1):
            climbs += [
                max(full[a, b] for a, b in itertools.pairwise(chain)) - energies[i]
                for chain in itertools.permutations(range(n), size)
                if chain[0] == i and energies[chain[-1]] < energies[i]
            ]
        wanted = max(wanted, min(climbs, default=0.0))
    found = critical_depth(energies, heights)
    assert found.value == wanted
    assert tree_depth(barrier_tree(energies, heights)).value == wanted
    moved = critical_depth(scale * energies + shift, scale * heights + shift, tolerance=1e-9)
    assert moved.value == pytest.approx(scale * wanted, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: critical_depth([0.0, 1.0], [[0.0]]), "one energy per minimum"),
        (lambda: critical_depth([], [[0.0]]), "one energy per minimum"),
        (lambda: critical_depth([0.0, NAN], [[NAN, 1.0], [NAN, NAN]]), "finite energies"),
        (lambda: critical_depth([0.0, 1.0], [[NAN, 0.5], [NAN, NAN]]), "check that heights are not barriers"),
        (lambda: critical_depth([0.0, 1.0], [[NAN, 2.0], [NAN, NAN]], tolerance=-1.0), "tolerance"),
        (lambda: critical_depth([0.0, 1.0], [[NAN, 2.0], [NAN, NAN]]).verdict(0.0), "expected c"),
    ],
)
def test_what_cannot_be_is_refused(call, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        call()
