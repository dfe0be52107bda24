"""Disconnectivity graphs: nothing crosses, every number is where the tree has it."""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossatlas.analysis import BarrierTree, barrier_tree
from lossatlas.core.errors import InputError
from lossatlas.report import Line, Points, plot
from lossatlas.report import matplotlib_backend as on_paper
from lossatlas.report import plotly_backend as on_screen
from lossatlas.report.disconnectivity import disconnectivity_figure
from lossatlas.report.palette import colour_of
from lossatlas.report.tree_layout import branches, leaf_order

NAN = math.nan


def random_tree(seed: int, n: int, ties: bool = False, unknown: float = 0.0, groups: int = 2) -> BarrierTree:
    rng = np.random.default_rng(seed)
    energies = rng.integers(0, 4, n).astype(float) if ties else rng.normal(size=n)
    rise = rng.integers(0, 5, (n, n)).astype(float) if ties else rng.exponential(2.0, (n, n))
    heights = np.maximum.outer(energies, energies) + np.minimum(rise, rise.T)
    hidden = rng.random((n, n)) < unknown
    heights[hidden | hidden.T] = NAN
    np.fill_diagonal(heights, energies)
    names = ["lbfgs-gss", "sgd", "adam"][:groups]
    return barrier_tree(energies, heights, [f"m{k}" for k in range(n)], [names[k % groups] for k in range(n)])


def positive(tree: BarrierTree) -> BarrierTree:
    return barrier_tree(tree.energies.exp(), tree.heights.exp(), tree.labels, tree.groups)


def crosses(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether two segments cross inside both."""

    def side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
        return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    (a, b), (c, d) = first, second
    return side(a, b, c) * side(a, b, d) < -1e-14 and side(c, d, a) * side(c, d, b) < -1e-14


def count_crossings(tree: BarrierTree, levels: list[float] | None, log: bool) -> int:
    nodes = tree.nodes(levels)
    lines = branches(nodes, leaf_order(nodes, tree.energies.tolist()), log=log, levels=levels)
    span = np.array([y for line in lines for y in line.y] or [1.0])
    span = np.log(span) if log else span
    segments = []
    for line in lines:
        assert all(a <= b for a, b in itertools.pairwise(line.y))
        y = np.log(line.y) if log else np.array(line.y)
        points = np.stack([line.x, (y - span.min()) / (np.ptp(span) or 1.0)], axis=1)
        segments += [(a, b) for a, b in itertools.pairwise(points) if not np.array_equal(a, b)]
    return sum(crosses(one, other) for one, other in itertools.combinations(segments, 2))


trees = st.builds(random_tree, st.integers(0, 10_000), st.integers(1, 12), st.booleans(), st.sampled_from([0.0, 0.6]))


@settings(max_examples=60)
@given(trees, st.booleans(), st.one_of(st.none(), st.lists(st.floats(-2, 8), min_size=1, max_size=5)))
def test_no_branches_cross(tree: BarrierTree, log: bool, levels: list[float] | None) -> None:
    if log:
        tree, levels = positive(tree), levels and [math.exp(level) for level in levels]
    nodes = tree.nodes(levels)
    order = leaf_order(nodes, tree.energies.tolist())
    assert sorted(order) == list(range(len(tree)))
    for node in nodes:
        places = sorted(order.index(m) for m in node.minima)
        assert places == list(range(places[0], places[0] + len(places)))
    assert count_crossings(tree, levels, log) == 0


@pytest.mark.parametrize("log", [False, True])
def test_no_branches_cross_in_crowds(log: bool) -> None:
    for seed in range(6):
        tree = random_tree(seed, 40)
        assert count_crossings(positive(tree) if log else tree, None, log) == 0


def test_twigs_hang_on_both_sides_of_the_trunk() -> None:
    heights = np.full((7, 7), NAN)
    heights[0, 1:] = np.arange(1, 7)
    tree = barrier_tree(np.zeros(7), heights)
    order = leaf_order(tree.nodes(), [0.0] * 7)
    assert 2 <= order.index(0) <= 4
    assert {order.index(6), order.index(5)} == {0, 6}


@settings(max_examples=40)
@given(trees)
def test_branches_begin_at_energies_and_end_at_passes(tree: BarrierTree) -> None:
    nodes = tree.nodes()
    order = leaf_order(nodes, tree.energies.tolist())
    lines = branches(nodes, order)
    parent = {child: node for node in nodes for child in node.children}
    assert sorted(line.node for line in lines if line.joined) == sorted(parent)
    for line in lines:
        assert line.y[0] == nodes[line.node].height
        if line.joined:
            assert line.y[-1] == parent[line.node].height
    loose = [line for line in lines if not line.joined]
    assert len(loose) == (0 if tree.connected else len(tree) - len(tree.merge_heights))
    for line in lines[: len(tree)]:
        if line.node < len(tree):
            assert line.x[0] == order.index(line.node)


def test_a_chain_longer_than_recursion_allows_can_be_laid_out() -> None:
    n = sys.getrecursionlimit() + 100
    heights = np.full((n, n), NAN)
    heights[0, 1:] = np.arange(1, n)
    tree = barrier_tree(np.zeros(n), heights)
    assert len(leaf_order(tree.nodes(), [0.0] * n)) == n


def test_colours_say_the_group_and_grey_says_several() -> None:
    heights = [[NAN, 1.0, 5.0, 9.0], [NAN, NAN, 9.0, 9.0], [NAN, NAN, NAN, 2.0], [NAN] * 4]
    tree = barrier_tree([0.0, 0.5, 0.2, 0.3], heights, list("abcd"), ["sgd", "sgd", "adam", "sgd"])
    figure = disconnectivity_figure(tree, unit="nat")
    (panel,) = figure.panels
    lines = {mark.member: mark for mark in panel.marks if isinstance(mark, Line)}
    assert {name: mark.label for name, mark in lines.items()} == {
        "a": "SGD",
        "b": "SGD",
        "c": "Adam",
        "d": "SGD",
        "2 minima": "several groups",  # c and d; a and b come first under the same name
    }
    both = [mark for mark in panel.marks if isinstance(mark, Line) and mark.member == "2 minima"]
    assert [(mark.label, mark.role, np.asarray(mark.y)[0]) for mark in both] == [
        ("SGD", "sgd", 1.0),
        ("several groups", "neutral", 2.0),
    ]
    points = {mark.label: mark for mark in panel.marks if isinstance(mark, Points)}
    assert {m: e for p in points.values() for m, e in zip(p.members, np.asarray(p.y), strict=True)} == {
        "a": 0.0,
        "b": 0.5,
        "c": 0.2,
        "d": 0.3,
    }
    assert panel.x.categories == tuple(
        name
        for _, name in sorted((x, m) for p in points.values() for x, m in zip(np.asarray(p.x), p.members, strict=True))
    )
    assert (panel.y.text, panel.y.scale) == ("Loss (nat)", "linear")
    assert [entry.label for entry in figure.legend] == ["SGD", "Adam", "several groups"]
    assert "The 3 minima of SGD are all joined at 5.0." in figure.caption
    assert "(SGD and Adam) first meet at 2.0" in figure.caption


def test_both_backends_draw_it() -> None:
    figure = disconnectivity_figure(random_tree(1, 9, unknown=0.7))
    paper, screen = on_paper.draw(figure), on_screen.draw(figure)
    labels = [entry.label for entry in figure.legend]
    assert "no path known" in labels
    assert "that no known path joins" in figure.caption
    assert [text.get_text() for text in paper.legends[0].get_texts()] == labels
    assert [trace.name for trace in screen.data if trace.showlegend] == labels
    names = [text.get_text() for text in paper.axes[0].get_xticklabels()]
    assert names == list(screen.layout.xaxis.ticktext) == list(figure.panels[0].x.categories)
    for trace in screen.data:
        if trace.name == "SGD":
            assert colour_of("sgd") in (trace.line.color, trace.marker.color)
    assert on_paper.render(figure, "svg").startswith(b"<?xml")


def test_positive_energies_over_decades_get_a_logarithmic_axis() -> None:
    tree = random_tree(2, 12)
    wide = barrier_tree((3 * tree.energies).exp(), (3 * tree.heights).exp())
    assert disconnectivity_figure(wide).panels[0].y.scale == "log"
    assert disconnectivity_figure(tree).panels[0].y.scale == "linear"
    narrow = barrier_tree(tree.energies + 100, tree.heights + 100)
    assert disconnectivity_figure(narrow).panels[0].y.scale == "linear"


def test_levels_round_passes_up_and_the_last_one_joins_all() -> None:
    for tree in (random_tree(3, 30), positive(random_tree(3, 30))):
        figure = disconnectivity_figure(tree, levels=8)
        assert "8 levels" in figure.caption
        tops = {float(np.asarray(m.y)[-1]) for m in figure.panels[0].marks if isinstance(m, Line)}
        assert len(tops) <= 8
        assert max(tops) == float(tree.merge_heights.max())
    with pytest.raises(InputError, match="at least two levels"):
        disconnectivity_figure(tree, levels=1)


def test_crowds_keep_the_most_persistent_minima_and_lose_their_names() -> None:
    tree = random_tree(4, 90, groups=1)
    figure = disconnectivity_figure(tree, leaves=70)
    (panel,) = figure.panels
    assert "70 most persistent of 90 minima" in figure.caption
    assert set(panel.x.categories) == {""}
    assert len(panel.x.categories) == 70
    assert not any(isinstance(mark, Points) for mark in panel.marks)
    assert len(on_paper.draw(figure).axes[0].get_xticks()) == len(on_screen.draw(figure).layout.xaxis.tickvals) == 0
    births, deaths = tree.persistence.numpy().T
    kept = np.argsort(births - deaths)[:70]
    shown = {m.member for m in panel.marks if isinstance(m, Line)} & set(tree.labels)
    assert shown == {tree.labels[k] for k in kept}
    tops = {float(np.asarray(m.y)[-1]) for m in panel.marks if isinstance(m, Line)}
    assert tops == set(deaths[kept][np.isfinite(deaths[kept])].tolist())
    with pytest.raises(InputError, match="at least one leaf"):
        disconnectivity_figure(tree, leaves=0)


def test_plot_takes_a_tree_of_one_minimum_or_many() -> None:
    alone = plot(barrier_tree([1.5], [[NAN]], ["only"]))
    assert [mark.label for mark in alone.panels[0].marks] == ["minima"]
    many = plot(random_tree(5, 6))
    assert many.name == "disconnectivity"
    assert many.to_csv().count("\n") > 10
