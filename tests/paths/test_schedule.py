"""Schedules connect everything, repeat nothing, and spend their budget where the passes are highest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.sparse.csgraph import minimum_spanning_tree as scipy_tree

from lossatlas.analysis import barrier_tree
from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.paths.schedule import SpanningTree, all_pairs, distances, random_pairs

INF, NAN = math.inf, math.nan
Pair = tuple[int, int]


def spend(
    schedule: SpanningTree, apart: np.ndarray, truth: np.ndarray, energies: np.ndarray | None = None
) -> tuple[np.ndarray, list[list[Pair]]]:
    """Follow a schedule to its end: heights found and batches proposed."""
    heights = np.full(truth.shape, NAN)
    if energies is not None:
        np.fill_diagonal(heights, energies)
    batches = []
    while batch := schedule.next(apart, heights):
        batches.append(batch)
        for i, j in batch:
            heights[i, j] = truth[i, j]
    return heights, batches


@st.composite
def maps(draw: st.DrawFn, failures: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances, energies and true heights of every pair, with ties."""
    n = draw(st.integers(1, 8))
    number = draw(st.sampled_from([st.integers(0, 3).map(float), st.floats(0, 1e3)]))
    energies = np.array(draw(st.lists(number, min_size=n, max_size=n)))
    apart, truth = np.zeros((n, n)), np.diag(energies)
    for i, j in itertools.combinations(range(n), 2):
        apart[i, j] = apart[j, i] = draw(number)
        rise = draw(st.one_of(number, st.just(INF)) if failures else number)
        truth[i, j] = truth[j, i] = max(energies[i], energies[j]) + rise
    return apart, energies, truth


@given(maps(failures=True), st.integers(1, 5), st.booleans())
def test_all_pairs_come_once_when_the_budget_allows(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], batch: int, knows_energies: bool
) -> None:
    apart, energies, truth = problem
    heights, batches = spend(SpanningTree(batch=batch), apart, truth, energies if knows_energies else None)
    proposed = [pair for pairs in batches for pair in pairs]
    assert sorted(proposed) == all_pairs(len(energies))
    assert all(1 <= len(pairs) <= batch for pairs in batches)
    one, other = barrier_tree(energies, heights), barrier_tree(energies, truth)
    np.testing.assert_array_equal(one.minimax, other.minimax)
    np.testing.assert_array_equal(one.persistence, other.persistence)
    assert one.merges == other.merges


@given(maps(), st.data())
def test_any_budget_that_can_connects_all(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    apart, energies, truth = problem
    n = len(energies)
    budget = data.draw(st.integers(max(1, n - 1), max(1, n * (n - 1) // 2)))
    heights, batches = spend(SpanningTree(budget, data.draw(st.integers(1, 4))), apart, truth, energies)
    assert sum(map(len, batches)) == min(budget, n * (n - 1) // 2)
    assert connected_components(np.isfinite(heights) & ~np.eye(n, dtype=bool), directed=False)[0] == 1
    # The first n − 1 are a spanning tree of least length; shifted, for scipy takes 0 for "no edge".
    first = [pair for pairs in batches for pair in pairs][: n - 1]
    length = sum(apart[pair] for pair in first)
    assert length + (n - 1) == pytest.approx(scipy_tree(np.triu(apart + 1, 1)).sum())


@given(maps(failures=True))
def test_it_connects_what_can_be_connected_before_it_improves(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    apart, energies, truth = problem
    heights = np.full(truth.shape, NAN)
    schedule = SpanningTree()
    while pairs := schedule.next(apart, heights):
        _, part = connected_components(np.isfinite(heights) & ~np.eye(len(energies), dtype=bool), directed=False)
        open_pairs = [(i, j) for i, j in all_pairs(len(energies)) if math.isnan(heights[i, j]) and part[i] != part[j]]
        ((i, j),) = pairs
        if open_pairs:
            assert part[i] != part[j]
            assert apart[i, j] == min(apart[pair] for pair in open_pairs)
        heights[i, j] = truth[i, j]


@given(maps(), st.integers(0, 6), st.booleans())
def test_the_next_pair_crosses_the_cut_of_the_highest_edge_that_it_can_lower(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], further: int, knows_energies: bool
) -> None:
    apart, energies, truth = problem
    n = len(energies)
    if n < 3:
        return
    budget = min(n - 1 + further, n * (n - 1) // 2)
    heights, _ = spend(SpanningTree(budget), apart, truth, energies if knows_energies else None)
    proposed = SpanningTree().next(apart, heights)
    tree = barrier_tree(energies, heights)
    # By the definition: take the highest edge away, look at what lies across, go on to the next edge if nothing does.
    for level in sorted(set(tree.merge_heights.tolist()), reverse=True):
        across = [
            (i, j)
            for i, j in all_pairs(n)
            if math.isnan(heights[i, j])
            and tree.minimax[i, j] >= level
            and not (knows_energies and max(energies[i], energies[j]) >= tree.minimax[i, j])
        ]
        if across:
            assert proposed == [min(across, key=lambda pair: (apart[pair], pair))]
            return
    left = {pair for pair in all_pairs(n) if math.isnan(heights[pair])}
    assert set(proposed) <= left
    assert bool(proposed) == bool(left)


@given(maps(), st.integers(2, 5), st.booleans())
def test_a_batch_is_what_single_calls_propose(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], batch: int, improving: bool
) -> None:
    apart, energies, truth = problem
    n = len(energies)
    heights = np.full(truth.shape, NAN)
    if improving:
        heights, _ = spend(SpanningTree(max(1, n - 1)), apart, truth)
    singles, one = [], heights.copy()
    while len(singles) < batch and (pairs := SpanningTree().next(apart, one)):
        singles += pairs
        # A success that connects at no cost, or a failure.
        one[pairs[0]] = INF if improving else 0.0
        if not improving and len(singles) == n - 1:
            break
    assert SpanningTree(batch=batch).next(apart, heights) == singles


def test_paths_known_beforehand_are_not_doubled() -> None:
    apart = distances(torch.tensor([[0.0], [1.0], [3.0], [7.0]]))
    heights = np.full((4, 4), NAN)
    heights[3, 0] = 5.0  # the longest of all, in the lower triangle
    assert SpanningTree(batch=9).next(apart, heights) == [(0, 1), (1, 2)]


def ripples(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of a rough plane and the heights of the straight lines between them."""
    rng = np.random.default_rng(seed)
    wave, phase = rng.normal(size=(12, 2)) * 2, rng.uniform(0, 2 * np.pi, 12)

    def surface(x: np.ndarray) -> np.ndarray:
        return np.sin(x @ wave.T + phase).sum(-1)

    points = rng.uniform(-2, 2, (400, 2))
    points = points[np.argsort(surface(points))[:n]]
    t = np.linspace(0, 1, 101)[:, None]
    truth = np.array([[surface(a + t * (b - a)).max() for b in points] for a in points])
    return distances(torch.from_numpy(points)).numpy(), surface(points), np.maximum(truth, truth.T)


def test_a_third_of_the_pairs_finds_the_highest_pass() -> None:
    """Straight lines on ten rough planes: the last merge is what the schedule aims at, and random pairs miss."""
    budget, found, drawn = 92, [], []
    for seed in range(10):
        apart, energies, truth = ripples(seed, 24)
        exact = float(barrier_tree(energies, truth).merge_heights.max())
        heights, _ = spend(SpanningTree(budget, batch=4), apart, truth, energies)
        found.append(float(barrier_tree(energies, heights).merge_heights.max()) - exact)
        heights = np.full(truth.shape, NAN)
        for pair in random_pairs(24, budget, seed):
            heights[pair] = truth[pair]
        drawn.append(float(barrier_tree(energies, heights).minimax.max()) - exact)
    assert np.mean(found) < 0.3 * np.mean(drawn)
    assert np.count_nonzero(found) < np.count_nonzero(drawn)


def test_pairs_drawn_at_random() -> None:
    some = random_pairs(10, 7, 0, "fcp")
    # Stored studies were computed for these.
    assert some == [(0, 1), (0, 4), (0, 9), (1, 4), (1, 8), (4, 7), (6, 7)]
    assert len(set(some)) == 7
    assert all(a < b for a, b in some)
    assert random_pairs(10, 7, 1, "fcp") != some
    assert random_pairs(10, 7, 0, "lstm") != some
    assert random_pairs(10, None, 0, "fcp") == random_pairs(10, 99, 0, "fcp") == all_pairs(10)
    assert random_pairs(10, 0, 0) == random_pairs(1, None, 0) == []
    counts = dict.fromkeys(all_pairs(4), 0)
    for seed in range(600):
        for pair in random_pairs(4, 2, seed):
            counts[pair] += 1
    # Each with probability 1/3: 200 of 600, standard deviation 11.5.
    assert all(abs(count - 200) < 50 for count in counts.values())


def test_distances_keep_their_digits_far_from_the_origin() -> None:
    points = torch.tensor([[1e6, 0.0], [1e6, 1e-3], [1e6 + 3, 4.0]], dtype=torch.float64)
    expected = torch.tensor([[torch.dist(a, b) for b in points] for a in points], dtype=torch.float64)
    torch.testing.assert_close(distances(points), expected, rtol=1e-12, atol=0)
    with pytest.raises(InputError, match=r"points \(n, d\)"):
        distances(points[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SpanningTree(budget=0), "budget of at least one"),
        (lambda: SpanningTree(batch=0), "batch of at least one"),
        (lambda: SpanningTree(1).next(np.zeros((3, 3)), np.full((3, 3), NAN)), "at least 2 paths to connect 3"),
        (lambda: SpanningTree().next(np.zeros((2, 2)), np.zeros((3, 3))), r"\(3, 3\) as the heights"),
        (lambda: SpanningTree().next(np.full((2, 2), NAN), np.zeros((2, 2))), "1 not finite"),
        (lambda: SpanningTree().next(-np.ones((2, 2)), np.zeros((2, 2))), "1 negative"),
        (lambda: random_pairs(3, -1, 0), "at least 0"),
    ],
)
def test_what_cannot_be_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises((InputError, ConfigurationError), match=message):
        call()
