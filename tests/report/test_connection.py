"""The page of a connection: sentences that are true, and figures that show the numbers found."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lossatlas import symmetry
from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator, seeded
from lossatlas.landscape import NetworkLandscape, from_function, get
from lossatlas.paths import LinearPathFinder
from lossatlas.report import Contour, Line, Points, map_figure, plot, write_connection
from lossatlas.report import matplotlib_backend as on_paper
from lossatlas.report import plotly_backend as on_screen
from lossatlas.report.connecting import build_connection
from lossatlas.report.connecting.summary import verdicts
from lossatlas.study import Connection, connect, load_connection, surface


@pytest.fixture(scope="module")
def three() -> Connection:
    landscape = get("muller-brown")
    return connect(
        landscape, torch.stack([m.x for m in landscape.minima]), [m.name for m in landscape.minima], method="linear"
    )


@pytest.fixture(scope="module")
def copies() -> Connection:
    """A trained network and itself with other units first."""
    g = generator("page")
    x, y = torch.randn(60, 3, generator=g), torch.randint(0, 2, (60,), generator=g)
    with seeded("page net"):
        net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(net.parameters(), 5e-2)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    landscape = NetworkLandscape(net, F.cross_entropy, (x, y))
    structure = symmetry.permutation_structure(landscape)
    a = landscape.flatten(net)
    points = torch.stack([a, structure.apply(a, structure.random(5))])
    return connect(landscape, points, ["net", "copy"], method="linear", unit="nat", name="half planes")


def text(connection: Connection) -> str:
    return " ".join(verdicts(connection))


# ------------------------------------------------------------------ sentences
def test_different_basins_and_how_high(three: Connection) -> None:
    pair = dataclasses.replace(
        three, labels=("A", "B"), energies=three.energies[:2], routes=tuple(r for r in three.routes if r.second == 1)
    )
    said = text(pair)
    assert "A and B lie in different basins as far as is known" in said
    assert "rises to 12.68, 159 above A and 121 above B" in said
    assert "nothing was optimized" in said
    assert "The true pass cannot be higher" in said


def test_one_basin() -> None:
    bowl = from_function(lambda x: (x**2).sum(), dim=2)
    said = text(connect(bowl, torch.tensor([[0.0, 0.0], [1.0, 0.5]]).double(), ["low", "high"], method="linear"))
    assert "low and high lie in one basin: the straight line between them does not rise above the higher end." in said
    assert "No path between them can be lower than the higher end" in said


def test_no_path() -> None:
    wall = from_function(lambda x: torch.where(x[0].abs() < 0.1, torch.nan, x[0] ** 2), dim=1)
    found = connect(wall, torch.tensor([[-1.0], [1.0]]).double(), ["l", "r"], method="linear")
    assert "No path with finite values was found between l and r" in text(found)
    page = build_connection(found)
    notices = [str(block) for block in page[0].blocks]
    assert any("the loss is NaN" in notice for notice in notices)


def test_alignment_and_averaging(copies: Connection) -> None:
    said = text(copies)
    assert "With the hidden units of copy in the order of those of net" in said
    assert "They may be averaged after alignment" in said
    assert "accuracy" in said


def test_many_points(three: Connection) -> None:
    said = text(three)
    assert "3 of 3 pairs connected. The deepest is A" in said
    merge = three.tree.merges[-1].height
    assert f"All are joined at {merge:.3f}" in said
    apart = dataclasses.replace(three, routes=three.routes[:1])
    assert "2 sets that no known path joins" in text(apart)
    assert "No path has been computed yet" in text(dataclasses.replace(three, routes=()))


def test_an_unfinished_page_says_so(three: Connection, tmp_path: Path) -> None:
    for routes in ((), three.routes[:1]):
        page = write_connection(dataclasses.replace(three, routes=routes, surface=None), tmp_path)
        assert "This is not complete" in page.read_text(encoding="utf-8")


def test_warnings_name_the_point_once(three: Connection) -> None:
    paths = {
        "straight": dataclasses.replace(three.routes[0].paths["straight"], warnings=("the end is not a minimum: x",))
    }
    route = dataclasses.replace(three.routes[0], paths=paths)
    other = dataclasses.replace(three.routes[0], paths={
        "straight": dataclasses.replace(paths["straight"], warnings=("the end is not a minimum: y", "odd"))
    })  # fmt: skip
    (notice,) = [
        block for block in build_connection(dataclasses.replace(three, routes=(route, other)))[0].blocks
        if type(block).__name__ == "Notice" and block.items
    ]  # fmt: skip
    label = three.labels[route.second]
    assert sum(item.startswith(f"{label} is not a minimum") for item in notice.items) == 1
    assert any("odd" in item for item in notice.items)


# ------------------------------------------------------------------ files and figures
def test_every_figure_and_table_is_a_file_and_the_same_twice(
    three: Connection, copies: Connection, tmp_path: Path
) -> None:
    for found, wanted in (
        (three, {"map", "profiles", "disconnectivity"}),
        (copies, {"profiles"}),
    ):
        folder = tmp_path / found.labels[0]
        html = write_connection(found, folder).read_text(encoding="utf-8")
        assert {file.stem for file in (folder / "figures").iterdir()} == wanted | {"drawn"}
        for link in re.findall(r'href="((?:figures|tables)/[^"]+)"', html):
            assert (folder / link).is_file()
        assert "http://" not in html.split("<script>")[0]
        again = tmp_path / f"{folder.name} again"
        write_connection(found, again)
        for file in folder.rglob("*"):
            assert file.is_dir() or file.read_bytes() == (again / file.relative_to(folder)).read_bytes()


def test_a_page_from_the_store_is_the_same(tmp_path: Path) -> None:
    toy = get("paper-toy")
    found = connect(toy, torch.stack(toy.ends), method="linear", folder=tmp_path / "a")
    first = write_connection(found, tmp_path / "x").read_bytes()
    assert write_connection(load_connection(tmp_path / "a"), tmp_path / "y").read_bytes() == first


def test_profiles_are_the_losses_along_the_paths(copies: Connection) -> None:
    (section,) = [s for s in build_connection(copies) if s.anchor == "paths"]
    (panel,) = section.figures[0].panels
    lines = [mark for mark in panel.marks if isinstance(mark, Line)]
    paths = copies.routes[0].paths
    for line, path in zip(lines, paths.values(), strict=True):
        np.testing.assert_array_equal(np.asarray(line.y), path.loss.numpy())
        np.testing.assert_array_equal(np.asarray(line.x), path.arc.numpy())
    tops = [np.asarray(mark.y).item() for mark in panel.marks if isinstance(mark, Points)]
    assert tops == [path.refined_height for path in paths.values()]


def test_the_map_shows_paths_and_points(three: Connection) -> None:
    (section,) = [s for s in build_connection(three) if s.anchor == "map"]
    (panel,) = section.figures[0].panels
    contour, *marks = panel.marks
    assert isinstance(contour, Contour)
    lines = [mark for mark in marks if isinstance(mark, Line)]
    for line, route in zip(lines, three.routes, strict=True):
        np.testing.assert_array_equal(np.stack([line.x, line.y], 1), route.paths["straight"].points)
    highest = max(route.best.height for route in three.routes)
    # Walls of hundreds do not take the lines, and the highest path is inside.
    assert highest < contour.levels[-1] < highest + 50 < float(np.nanmax(contour.z))
    (points,) = [mark for mark in marks if isinstance(mark, Points)]
    assert points.members == three.labels


def test_both_backends_draw_a_map_alike(three: Connection) -> None:
    (section,) = [s for s in build_connection(three) if s.anchor == "map"]
    figure = section.figures[0]
    contour = figure.panels[0].marks[0]
    assert isinstance(contour, Contour)
    paper, screen = on_paper.draw(figure), on_screen.draw(figure)
    axes = paper.axes[0]
    assert axes.get_aspect() == 1.0
    assert {text.get_text() for text in axes.texts} == {"A", "B", "C"}
    (drawn,) = [part for part in axes.collections if isinstance(part, mpl.contour.QuadContourSet)]
    np.testing.assert_allclose(drawn.levels, contour.levels)
    trace = screen.data[0]
    assert (trace.contours.start, trace.contours.end) == (contour.levels[0], contour.levels[-1])
    assert trace.contours.size == pytest.approx(contour.levels[1] - contour.levels[0])
    assert screen.layout.yaxis.scaleanchor == "x"
    assert [list(t.text) for t in screen.data if isinstance(t, go.Scatter) and t.mode == "markers+text"] == [
        ["A", "B", "C"]
    ]


@pytest.mark.parametrize("span", [None, (-3.0, 17.0), (0.001, 0.0031), (1e6, 1.1e6), (-1e-9, 1e-9)])
def test_contour_levels_are_even_and_inside(span: tuple[float, float] | None) -> None:
    z = np.random.default_rng(0).normal(size=(4, 5))
    levels = Contour(range(5), range(4), z, "E", "", span=span).levels
    low, high = span or (z.min(), z.max())
    assert 7 <= len(levels) <= 21
    np.testing.assert_allclose(np.diff(levels), levels[1] - levels[0], rtol=1e-6)
    slack = 1e-9 * (high - low)
    assert low - slack <= levels[0]
    assert levels[-1] <= high + slack
    with pytest.raises(InputError, match="low < high"):
        Contour(range(5), range(4), z, "E", "", span=(1.0, 1.0))
    flat = Contour(range(5), range(4), np.zeros((4, 5)), "E", "")
    assert len(flat.levels) == 2


def test_several_named_paths_on_one_map() -> None:
    toy = get("paper-toy")
    finder = LinearPathFinder(points=11)
    paths = {f"λ = {k}": finder.find(toy, *toy.ends) for k in (10, 100)}
    figure = map_figure(surface(toy, toy.bounds, 21), paths, {"left": toy.ends[0]})
    assert [entry.label for entry in figure.legend][:2] == ["λ = 10", "λ = 100"]
    assert "λ = 10: 1.102" in figure.caption
    assert figure.interactive() is not None
    with pytest.raises(InputError, match="at least one path"):
        map_figure(surface(toy, toy.bounds, 21), {})
    bare = dataclasses.replace(paths["λ = 10"], points=None)
    with pytest.raises(InputError, match="points in two coordinates"):
        map_figure(surface(toy, toy.bounds, 21), {"bare": bare})


def test_plot_shows_the_refined_height_against_arc_length() -> None:
    toy = get("paper-toy")
    path = LinearPathFinder(points=6).find(toy, *toy.ends)
    panel = plot(path).panels[0]
    assert panel.x.label == "Arc length"
    top = panel.marks[-1]
    assert np.asarray(top.y).item() == path.refined_height > path.sampled_height
    assert np.asarray(top.x).item() == pytest.approx(path.refined_t * path.length)
    assert np.asarray(panel.marks[0].x)[-1] == path.length
    bare = dataclasses.replace(path, arc=None)
    assert plot(bare).panels[0].x.label == plot([path, bare]).panels[0].x.label == "Position on the path, t"
    holed = dataclasses.replace(
        path, loss=path.loss.clone().index_fill_(0, torch.tensor([2]), math.nan), refined_height=None
    )
    assert np.isnan(np.asarray(plot(holed).panels[0].marks[2].y)).sum() == 1
