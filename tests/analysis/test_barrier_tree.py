"""Barrier trees against brute force, a flood fill written here, and landscapes whose passes are known."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from lossatlas import landscape
from lossatlas.analysis import BarrierTree, barrier_tree
from lossatlas.core.errors import InputError
from lossatlas.core.files import load_tree, save_tree

INF, NAN = math.inf, math.nan


@st.composite
def problems(draw: st.DrawFn, missing: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Energies and heights with zeros, negative numbers, ties, and pairs that are unknown or unconnected."""
    n = draw(st.integers(1, 8))
    # Whole numbers tie often, others almost never.
    number = draw(st.sampled_from([st.integers(-3, 3).map(float), st.floats(-1e3, 1e3)]))
    energies = np.array(draw(st.lists(number, min_size=n, max_size=n)))
    rise = number.map(abs)
    known = st.one_of(rise, rise, st.sampled_from([NAN, INF])) if missing else rise
    heights = np.full((n, n), NAN)
    for i, j in itertools.combinations(range(n), 2):
        heights[i, j] = heights[j, i] = max(energies[i], energies[j]) + draw(known)
    return energies, heights


def floyd_warshall(energies: np.ndarray, heights: np.ndarray) -> np.ndarray:
    lowest = np.where(np.isnan(heights), INF, heights)
    np.fill_diagonal(lowest, energies)
    for k in range(len(lowest)):
        lowest = np.minimum(lowest, np.maximum(lowest[:, k, None], lowest[None, k, :]))
    return lowest


def prim(heights: np.ndarray) -> list[float]:
    """Edge weights of a minimum spanning forest, grown one minimum at a time."""
    weights = np.where(np.isnan(heights), INF, heights)
    outside, edges = set(range(len(weights))), []
    while outside:
        inside = {outside.pop()}
        while outside:
            weight, k = min((weights[i, j], j) for i in inside for j in outside)
            if weight == INF:
                break
            edges.append(weight)
            outside.remove(k)
            inside.add(k)
    return sorted(edges)


@given(problems())
def test_minimax_is_what_brute_force_finds(problem: tuple[np.ndarray, np.ndarray]) -> None:
    found = barrier_tree(*problem).minimax.numpy()
    np.testing.assert_array_equal(found, floyd_warshall(*problem))
    for i, j, k in itertools.product(range(len(found)), repeat=3):
        assert found[i, k] <= max(found[i, j], found[j, k])


@given(problems())
def test_deaths_are_the_spanning_tree_to_the_last_bit(problem: tuple[np.ndarray, np.ndarray]) -> None:
    energies, heights = problem
    tree = barrier_tree(energies, heights)
    births, deaths = tree.persistence.numpy().T
    np.testing.assert_array_equal(births, energies)
    np.testing.assert_array_equal(np.sort(deaths[np.isfinite(deaths)]), prim(heights))
    assert (births <= deaths).all()
    parts = {tuple(row) for row in np.isfinite(tree.minimax.numpy()).tolist()}
    for part in parts:
        assert np.isinf(deaths[list(part)]).sum() == 1
        assert births[list(part)].min() == births[list(part) & np.isinf(deaths)].min()
    assert tree.connected == (len(parts) == 1)


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_minima_does_not_matter(problem: tuple[np.ndarray, np.ndarray], random: object) -> None:
    energies, heights = problem
    order = np.arange(len(energies))
    random.shuffle(order)  # type: ignore[attr-defined]
    tree, shuffled = barrier_tree(energies, heights), barrier_tree(energies[order], heights[np.ix_(order, order)])
    np.testing.assert_array_equal(shuffled.minimax, tree.minimax[order][:, order])
    assert sorted(shuffled.persistence.tolist()) == sorted(tree.persistence.tolist())
    assert [m.height for m in shuffled.merges] == [m.height for m in tree.merges]
    for levels in (None, [0.0, 1.0, 2.5]):
        nodes = {(node.height, node.minima) for node in tree.nodes(levels)}
        renamed = {(node.height, tuple(sorted(order[list(node.minima)]))) for node in shuffled.nodes(levels)}
        assert renamed == nodes


@given(problems(), st.data())
def test_a_further_path_never_raises_a_pass(problem: tuple[np.ndarray, np.ndarray], data: st.DataObject) -> None:
    energies, heights = problem
    if len(energies) < 2:
        return
    i, j = data.draw(st.sampled_from(list(itertools.combinations(range(len(energies)), 2))))
    more = heights.copy()
    more[i, j] = np.fmin(heights[i, j], max(energies[i], energies[j]) + data.draw(st.floats(0, 10)))
    more[j, i] = NAN
    assert (barrier_tree(energies, more).minimax <= barrier_tree(energies, heights).minimax).all()


@given(problems(missing=False))
def test_minimax_is_single_linkage(problem: tuple[np.ndarray, np.ndarray]) -> None:
    energies, heights = problem
    if len(energies) < 2:
        return
    # Shifted: scipy asks for distances that are not negative.
    shift = energies.min() - 1
    apart = squareform(np.where(np.eye(len(energies)), 0, heights - shift), checks=False)
    linked = squareform(hierarchy.cophenet(hierarchy.linkage(apart, "single"))) + shift
    found = barrier_tree(energies, heights).minimax.numpy()
    off = ~np.eye(len(energies), dtype=bool)
    np.testing.assert_allclose(found[off], linked[off], rtol=1e-12, atol=1e-9)


@given(problems(), st.one_of(st.none(), st.lists(st.integers(-4, 8).map(float), min_size=1)))
def test_nodes_are_the_superbasins_at_their_heights(
    problem: tuple[np.ndarray, np.ndarray], levels: list[float] | None
) -> None:
    tree = barrier_tree(*problem)
    nodes, n = tree.nodes(levels), len(tree)
    assert [(node.height, node.minima) for node in nodes[:n]] == [(e, (k,)) for k, e in enumerate(problem[0])]
    for node in nodes[n:]:
        assert node.minima in tree.superbasins(node.height)
        assert len(node.children) > 1
        assert sorted(m for k in node.children for m in nodes[k].minima) == list(node.minima)
        assert all(len(nodes[k].minima) == 1 or nodes[k].height < node.height for k in node.children)
        assert levels is None or node.height in levels
    # Nothing is missing either: each set of two or more at each height is some node, the last one to hold them.
    for level in tree.merge_heights.tolist() if levels is None else levels:
        sets = {s for s in tree.superbasins(level) if len(s) > 1}
        assert sets <= {node.minima for node in nodes}
    children = [k for node in nodes for k in node.children]
    assert len(children) == len(set(children))


@settings(max_examples=50)
@given(problems(), st.data())
def test_the_most_persistent_keep_their_persistence_without_the_others(
    problem: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    tree = barrier_tree(*problem)
    births, deaths = tree.persistence.numpy().T
    keep = np.lexsort((np.arange(len(births)), births, births - deaths))[: data.draw(st.integers(1, len(births)))]
    part = tree.subset(keep.tolist())
    np.testing.assert_array_equal(part.minimax, tree.minimax[keep][:, keep])
    assert part.labels == tuple(str(k) for k in keep)
    finite = np.isfinite(deaths[keep])
    if np.isinf(deaths).sum() <= len(keep):
        np.testing.assert_array_equal(part.persistence[finite], tree.persistence[keep][finite])


def test_elder_rule_by_hand() -> None:
    #      0: a 0.0   1: b 1.0   2: c 0.5   3: d 0.0
    heights = [[NAN, 3.0, NAN, 4.0], [NAN, NAN, 2.0, NAN], [NAN] * 4, [NAN] * 4]
    tree = barrier_tree([0.0, 1.0, 0.5, 0.0], heights, list("abcd"), ["u", "u", "v", "v"])
    assert [(m.height, m.survivor, m.absorbed, m.pair) for m in tree.merges] == [
        (2.0, 2, 1, (1, 2)),
        (3.0, 0, 2, (0, 1)),
        (4.0, 0, 3, (0, 3)),  # of two equals the first survives
    ]
    assert tree.persistence.tolist() == [[0, INF], [1, 2], [0.5, 3], [0, 4]]
    assert tree.superbasins(0.7) == ((0,), (3,), (2,))
    assert tree.superbasins(3.0) == ((0, 1, 2), (3,))
    assert tree.subset([3, 1]).labels == ("d", "b")
    assert tree.subset([3, 1]).groups == ("v", "u")
    assert tree.subset([3, 1]).minimax.tolist() == [[0, 4], [4, 1]]


def test_muller_brown_joins_its_minima_at_its_passes() -> None:
    surface = landscape.get("muller-brown")
    names = [minimum.name for minimum in surface.minima]
    heights = torch.full((3, 3), NAN, dtype=torch.float64)
    for way in surface.passes:
        if {way.start.name, way.end.name} != {"A", "B"}:
            heights[names.index(way.start.name), names.index(way.end.name)] = way.value
    tree = barrier_tree([minimum.value for minimum in surface.minima], heights, names)
    for way in surface.passes:  # A to B as well, of which it was not told
        assert float(tree.minimax[names.index(way.start.name), names.index(way.end.name)]) == way.value
    a, b, c = (names.index(name) for name in "ABC")
    assert [(m.survivor, m.absorbed) for m in tree.merges] == [(b, c), (a, b)]
    assert tree.superbasins(-100.0) == ((a,), (b,))
    assert tree.superbasins(-50.0) == ((a,), tuple(sorted((b, c))))


def flood(grid: np.ndarray) -> tuple[list[tuple[float, float]], dict[tuple[int, int], float], list[float]]:
    """Fill a grid from below: pairs of birth and death, and passes between basins that touch.

    Cells join the basin of the neighbour they were reached from; the pass between two basins is the lowest of the
    cells where they touch.
    """
    shape, flat = grid.shape, grid.ravel()
    basin = np.full(flat.size, -1)
    parent, births, diagram = [], [], []
    passes: dict[tuple[int, int], float] = {}

    def find(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    for cell in np.argsort(flat, kind="stable").tolist():
        row, column = divmod(cell, shape[1])
        near = [
            r * shape[1] + c
            for r, c in itertools.product((row - 1, row, row + 1), (column - 1, column, column + 1))
            if (r, c) != (row, column) and 0 <= r < shape[0] and 0 <= c < shape[1]
        ]
        touched = sorted({int(basin[k]) for k in near if basin[k] >= 0})
        if not touched:
            basin[cell] = len(births)
            parent.append(len(births))
            births.append(float(flat[cell]))
            continue
        basin[cell] = touched[0]
        for pair in itertools.combinations(touched, 2):
            passes.setdefault(pair, float(flat[cell]))
        for other in touched[1:]:
            one, two = sorted((find(touched[0]), find(other)), key=lambda k: (births[k], k))
            if one != two:
                parent[two] = one
                diagram.append((births[two], float(flat[cell])))
    diagram += [(births[k], INF) for k in range(len(births)) if find(k) == k]
    return diagram, passes, births


def toy_grid(cells: int, ripple: float = 0.0) -> np.ndarray:
    toy = landscape.get("paper-toy")
    axis = torch.linspace(-1.2, 1.2, cells, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    waves = ripple * (torch.sin(17 * points[:, 0]) * torch.sin(23 * points[:, 1] + 1))
    return (toy.value(points) + waves).reshape(cells, cells).numpy()


def tree_of(passes: dict[tuple[int, int], float], births: list[float]) -> BarrierTree:
    heights = np.full((len(births), len(births)), NAN)
    for pair, height in passes.items():
        heights[pair] = height
    return barrier_tree(births, heights)


def test_flood_fill_of_the_toy_finds_its_minima_and_its_pass() -> None:
    toy = landscape.get("paper-toy")
    diagram, passes, births = flood(toy_grid(121))
    tree = tree_of(passes, births)
    births_, deaths = tree.persistence.numpy().T
    lasting = np.flatnonzero(deaths - births_ > 0.05)
    expected = sorted(minimum.value for minimum in toy.minima)
    # A cell of .02: the energy at its corner nearest a minimum is off by at most half the curvature times (.014)².
    np.testing.assert_allclose(np.sort(births_[lasting]), expected, atol=1e-3)
    assert tree.subset(lasting.tolist()).merge_heights.tolist() == pytest.approx([toy.passes[0].value], abs=2e-3)
    assert sorted(map(tuple, tree.persistence.tolist())) == sorted(diagram)


def test_a_rippled_surface_has_the_same_persistence_by_basins_as_by_cells() -> None:
    diagram, passes, births = flood(toy_grid(81, ripple=0.2))
    tree = tree_of(passes, births)
    assert len(tree) > 20
    assert tree.connected
    assert sorted(map(tuple, tree.persistence.tolist())) == sorted(diagram)


def test_stored_and_read_back(tmp_path: Path) -> None:
    tree = barrier_tree([0.0, 1.0, 2.0], np.full((3, 3), NAN), ["a", "b", "c"], ["u", "v", "v"])
    assert not tree.connected
    assert tree.merge_pairs.shape == tree.merge_minima.shape == (0, 2)
    save_tree(tmp_path / "tree.json", tree.to_tree())
    read = BarrierTree.from_tree(load_tree(tmp_path / "tree.json"))
    for name, value in vars(tree).items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(getattr(read, name), value, rtol=0, atol=0, equal_nan=True)
        else:
            assert getattr(read, name) == value


def test_rounding_is_forgiven_and_the_argument_left_alone() -> None:
    energies = torch.tensor([0.1, 0.3], dtype=torch.float64)
    heights = torch.tensor([[0.1, 0.3 - 1e-16], [NAN, 0.3]], dtype=torch.float64)
    before = heights.clone()
    tree = barrier_tree(energies, heights)
    assert tree.merge_heights.tolist() == [0.3]
    assert torch.equal(heights.nan_to_num(), before.nan_to_num())
    assert torch.equal(energies, torch.tensor([0.1, 0.3], dtype=torch.float64))
    tree.energies[0] = 7.0
    assert float(energies[0]) == 0.1


@pytest.mark.parametrize(
    ("energies", "heights", "message"),
    [
        ([0.0, 1.0], [[0.0, 0.9], [0.9, 1.0]], "no path lower than its ends.*0.9 between minima 0 and 1"),
        ([0.0, 1.0], [[0.5, 2.0], [2.0, 1.0]], "on the diagonal of heights, got 0.5 where minimum 0 has 0"),
        ([0.0, 1.0], [[0.0, -INF], [NAN, 1.0]], "minus infinity"),
        ([0.0, 1.0], [[0.0, 2.0]], "matrix"),
        ([0.0, 1.0], [[0.0]], r"heights \(2, 2\) for 2 energies"),
        ([0.0, NAN], [[0.0, 2.0], [2.0, 1.0]], "finite energies"),
        ([], [[0.0]], "at least one minimum"),
    ],
)
def test_what_cannot_be_is_refused(energies: list[float], heights: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        barrier_tree(energies, heights)


def test_names_levels_and_subsets_are_checked() -> None:
    heights = [[NAN, 2.0], [NAN, NAN]]
    with pytest.raises(InputError, match="one of labels for each of 2 minima, got 1"):
        barrier_tree([0.0, 1.0], heights, labels=["a"])
    with pytest.raises(InputError, match="one of groups"):
        barrier_tree([0.0, 1.0], heights, groups="ab")
    tree = barrier_tree([0.0, 1.0], heights)
    for levels in ([], [NAN]):
        with pytest.raises(InputError, match="finite energies as levels"):
            tree.nodes(levels)
    for minima in ([], [0, 0], [2]):
        with pytest.raises(InputError, match="numbers of minima from 0 to 1"):
            tree.subset(minima)
