"""Surfaces drawn by both backends show the numbers of the surface, and the page says what is true."""

from __future__ import annotations

import csv
import io
import json
import math
import re

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from mpl_toolkits.mplot3d.axes3d import Axes3D

from lossatlas import landscape as landscapes
from lossatlas import slices
from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.report import Axis, Contour, Figure, Line, Panel, Relief, ScaleBar, SpaceLine, plot, surface_figure
from lossatlas.report import matplotlib_backend as on_paper
from lossatlas.report import plotly_backend as on_screen
from lossatlas.report.slicing import build_surface, write_surface
from lossatlas.report.slicing.summary import cautions, findings
from lossatlas.report.wording import number
from lossatlas.study import Slicing, load_slicing, slice_landscape

T = np.linspace(-1, 1, 5)
Z = np.add.outer(T**2, 2 * T**2)


@pytest.fixture(scope="module")
def walled():
    """A bowl with a wall that is not finite, two runs beside its plane."""
    bowl = landscapes.from_function(
        lambda x: torch.where(x[0] > 0.8, torch.nan, x[0] ** 2 + 2 * x[1] ** 2 + x[2] ** 2), dim=3
    )
    w = torch.full((3,), 0.1, dtype=torch.float64)
    plane = slices.plane_at(bowl, w, "coordinates")
    g = generator("runs")
    runs = {
        name: w
        + torch.randn(6, 3, generator=g, dtype=torch.float64).clamp(-0.6, 0.6) * torch.linspace(1, 0, 6)[:, None]
        for name in ("sgd", "adam")
    }
    runs["adam"][:, 2] += 2.0
    return slice_landscape(bowl, plane, marked={"w": w}, runs=runs, points=11, span=1.0, name="bowl", unit="J",
                           metrics=["gradient norm"])  # fmt: skip


# ------------------------------------------------------------------ marks in space
def test_panels_in_space_and_on_paper_do_not_mix():
    relief = Relief(T, T, Z, "Loss", "nat")
    axis = Axis("a", "")
    with pytest.raises(InputError, match="a panel with a third axis"):
        Panel("p", axis, axis, (relief,))
    with pytest.raises(InputError, match="a panel without a third axis"):
        Panel("p", axis, axis, (relief, Line(T, T, "SGD", "sgd")), z=axis)
    with pytest.raises(InputError, match=r"z of shape \(5, 5\)"):
        Relief(T, T, Z[:3], "Loss", "nat")
    with pytest.raises(InputError, match="as many x as y"):
        SpaceLine(T, T, T[:3], "SGD", "sgd")
    with pytest.raises(InputError, match="expected 5 names"):
        SpaceLine(T, T, T, "SGD", "sgd", ("one",))
    with pytest.raises(InputError, match="positive length"):
        ScaleBar((0.0, 0.0), 0.0, 1.0, "1 |w|")
    with pytest.raises(InputError, match="say how long"):
        ScaleBar((0.0, 0.0), 1.0, 1.0, " ")


def test_both_backends_draw_the_same_space():
    holed = Z.copy()
    holed[1, 3] = np.nan
    line = SpaceLine(T, -T, T**2, "SGD", "sgd", tuple("abcde"))
    panel = Panel(
        "space", Axis("a", "m"), Axis("b", ""), (Relief(T, T + 1, holed, "Loss", "nat"), line), z=Axis("Loss", "nat")
    )
    figure = Figure("space", "Space", "A bowl.", (panel,))
    paper, screen = on_paper.draw(figure), on_screen.draw(figure)
    (axes,) = (axes for axes in paper.axes if isinstance(axes, Axes3D))
    relief, course = screen.data
    assert isinstance(relief, go.Surface)
    assert isinstance(course, go.Scatter3d)
    np.testing.assert_array_equal(relief.z, holed)
    np.testing.assert_array_equal(relief.y, T + 1)
    np.testing.assert_array_equal([course.x, course.y, course.z], [T, -T, T**2])
    np.testing.assert_array_equal(axes.lines[0].get_data_3d(), [T, -T, T**2])
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel()) == ("a (m)", "b", "Loss (nat)")
    scene = screen.layout.scene
    assert (scene.xaxis.title.text, scene.yaxis.title.text, scene.zaxis.title.text) == ("a (m)", "b", "Loss (nat)")
    assert scene.dragmode == "turntable"
    assert [entry.label for entry in figure.legend] == ["SGD"]
    assert [trace.name for trace in screen.data if trace.showlegend] == ["SGD"]
    assert [text.get_text() for text in paper.legends[0].get_texts()] == ["SGD"]
    rows = list(csv.DictReader(io.StringIO(figure.to_csv())))
    assert len(rows) == 30
    assert [(float(r["x"]), float(r["y"]), float(r["z"])) for r in rows if r["series"] == "SGD: c"] == [(0, 0, 0)]
    assert sum(r["z"] == "" for r in rows) == 1
    first = on_paper.render_all(figure, ("png", "svg"))
    assert first == on_paper.render_all(figure, ("png", "svg"))
    assert json.loads(on_screen.panel_json(figure, 0))["data"][0]["type"] == "surface"


def test_a_scale_bar_is_as_long_as_it_says(walled):
    surface = walled.surface
    figure = surface_figure(surface)
    (bar,) = (mark for mark in figure.panels[0].marks if isinstance(mark, ScaleBar))
    length = float(bar.text.split()[0])
    assert bar.text.endswith("|w|")
    for extent, size in zip((bar.across, bar.up), surface.plane.lengths.tolist(), strict=True):
        assert extent * size == pytest.approx(length * float(surface.plane.origin.norm()))
    trace = next(t for t in on_screen.draw(figure).data if t.name == bar.label)
    np.testing.assert_allclose(trace.x, [bar.corner[0], bar.corner[0], bar.corner[0] + bar.across])
    assert not trace.showlegend
    assert bar.label not in [entry.label for entry in figure.legend]
    rows = [r for r in csv.DictReader(io.StringIO(figure.to_csv())) if r["series"] == bar.label]
    assert len(rows) == 3


# ------------------------------------------------------------------ surfaces
def test_the_map_is_the_surface_with_the_first_direction_across(walled):
    surface = walled.surface
    figure = surface_figure(surface, walled.traces, walled.places)
    contour = next(mark for mark in figure.panels[0].marks if isinstance(mark, Contour))
    np.testing.assert_array_equal(np.asarray(contour.z).T, surface.values)
    np.testing.assert_array_equal(contour.x, surface.axes[0])
    relief = figure.panels[1].marks[0]
    shown = np.asarray(relief.z).T
    np.testing.assert_array_equal(shown[np.isfinite(shown)], surface.values.numpy()[np.isfinite(shown)])
    wrong = next(mark for mark in figure.panels[0].marks if mark.label.startswith("not finite"))
    assert wrong.label == f"not finite: {surface.nonfinite} of 121 points"
    assert np.size(wrong.x) == surface.nonfinite == 22
    for k, trace in enumerate(walled.traces):
        (course,) = (mark for mark in figure.panels[0].marks if isinstance(mark, Line) and mark.label == trace.name)
        np.testing.assert_array_equal(np.stack([course.x, course.y], 1), trace.projection.coordinates)
        in_space = figure.panels[1].marks[1 + k]
        np.testing.assert_array_equal(in_space.z, trace.losses)
    assert "they leave the plane by up to" in figure.caption
    assert "22 of 121 points the energy is NaN" in figure.caption
    assert on_paper.render(figure, "png").startswith(b"\x89PNG")


def test_walls_do_not_take_all_lines():
    cliff = landscapes.from_function(lambda x: (x**2).sum() - 1 + (20 * x[0] - 10).exp(), dim=2)
    surface = slices.surface(cliff, torch.zeros(2, dtype=torch.float64), "coordinates", points=21, span=1.0)
    figure = surface_figure(surface)
    contour = next(mark for mark in figure.panels[0].marks if isinstance(mark, Contour))
    assert contour.levels[-1] < 0.1 * float(surface.values.max())
    assert "Contours and relief end at" in figure.caption
    np.testing.assert_array_equal(np.asarray(contour.z).T, surface.values)


def test_wide_losses_are_shown_in_logarithms():
    deep = landscapes.from_function(lambda x: (4 * (x**2).sum()).exp(), dim=2)
    surface = slices.surface(deep, torch.zeros(2, dtype=torch.float64), "coordinates", points=9, span=1.5)
    figure = surface_figure(surface)
    contour = next(mark for mark in figure.panels[0].marks if isinstance(mark, Contour))
    assert contour.log
    relief = np.asarray(figure.panels[1].marks[0].z).T
    expected = surface.values.log10().numpy()
    np.testing.assert_allclose(relief[np.isfinite(relief)], expected[np.isfinite(relief)])
    assert figure.panels[1].z.label == "log₁₀ of energy"


def test_flat_surfaces_curves_and_volumes(walled):
    flat = landscapes.from_function(lambda x: 0 * x.sum() + 3, dim=3)
    w = torch.zeros(3, dtype=torch.float64)
    assert surface_figure(slices.surface(flat, w, "coordinates", points=3, span=1.0)).panels
    curve = plot(slices.surface(flat, w, "coordinates", count=1, points=5, span=1.0, metrics=["gradient norm"]))
    assert [panel.title for panel in curve.panels] == ["Energy", "Gradient norm"]
    bowl = landscapes.from_function(lambda x: (x**2).sum(), dim=3)
    volume = slices.surface(bowl, w + 0.1, "coordinates", count=3, points=(5, 4, 3), span=1.0)
    figure = plot(volume)
    contours = [next(m for m in panel.marks if isinstance(m, Contour)) for panel in figure.panels]
    assert len(contours) == 3
    for k, contour in enumerate(contours):
        np.testing.assert_array_equal(np.asarray(contour.z).T, volume.values[..., k])
        assert contour.span == contours[0].span
    bars = {next(m for m in panel.marks if isinstance(m, ScaleBar)).text for panel in figure.panels}
    assert len(bars) == 1


# ------------------------------------------------------------------ the page
def test_the_page_says_what_is_true(walled, tmp_path):
    said = " ".join(findings(walled))
    # The bowl is lowest where x = y = 0: −0.1 from the origin of the plane, between two points of the grid.
    place, low = walled.surface.lowest
    assert "11 by 11 points on the plane of the axes of its coordinates the energy ranges from" in said
    assert f"from {number(low, 4)} at ({number(place[0], 3)}, {number(place[1], 3)})" in said
    assert "one local minimum" in said
    told = " ".join(cautions(walled))
    assert "At 22 of 121 points the energy is NaN or infinite" in told
    assert "off the plane for" in told
    assert "adam" in told
    page = write_surface(walled, tmp_path).read_text(encoding="utf-8")
    assert re.search(r"<h1>Energy surface</h1>", page)
    for name in ("surface", "metrics", "runs"):
        for suffix in ("png", "svg", "csv"):
            assert (tmp_path / "figures" / f"{name}.{suffix}").stat().st_size > 100
    for name in ("directions", "points", "runs"):
        assert (tmp_path / "tables" / f"{name}.csv").exists()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "tables" / "runs.csv").read_text())))
    adam = next(row for row in rows if row["run"] == "adam")
    assert float(adam["residual"]) == pytest.approx(float(walled.traces[1].projection.residuals.max()))
    assert float(adam["error"]) == pytest.approx(float(walled.traces[1].error.abs().max()))
    assert "Drag to turn" not in page.split('id="figure-runs"')[1]
    assert [section.anchor for section in build_surface(walled)] == ["summary", "surface", "metrics", "runs", "method"]


def test_a_surface_of_nothing_has_a_page(tmp_path):
    empty = landscapes.from_function(lambda x: x.sum() * torch.nan, dim=2)
    plane = slices.plane_at(empty, torch.zeros(2, dtype=torch.float64), "coordinates")
    found = slice_landscape(empty, plane, points=3, span=1.0)
    assert findings(found) == ("None of the 3 by 3 points of the grid has a finite energy.",)
    assert found.relief is None
    assert write_surface(found, tmp_path).exists()


def test_a_walk_that_goes_nowhere_is_told():
    bowl = landscapes.get("quadratic", dim=200)
    rows = torch.randn(30, 200, generator=generator("nowhere"), dtype=torch.float64).cumsum(0)
    plane = slices.trajectory_plane(rows).plane
    found = slice_landscape(bowl, plane, runs={"walk": rows}, points=3)
    assert "no more of the run than those of a random walk" in " ".join(cautions(found))


def test_slicings_read_back(tmp_path):
    bowl = landscapes.get("quadratic", dim=3)
    plane = slices.plane_at(bowl, torch.ones(3, dtype=torch.float64), "random")
    found = slice_landscape(bowl, plane, points=5, folder=tmp_path / "o", runs={"a": torch.rand(4, 3).double()})
    read = load_slicing(tmp_path / "o")
    assert isinstance(read, Slicing)
    assert torch.equal(read.surface.values, found.surface.values)
    assert torch.equal(read.traces[0].projection.residuals, found.traces[0].projection.residuals)
    assert math.isclose(read.relief[0], found.relief[0])
    # Other settings in the same folder make a surface of their own; going back reads the first.
    slice_landscape(bowl, plane, points=6, folder=tmp_path / "o")
    stored = {p: p.stat().st_mtime_ns for p in (tmp_path / "o" / "store").glob("surface-*.json")}
    assert len(stored) == 2
    slice_landscape(bowl, plane, points=5, folder=tmp_path / "o")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "o" / "store").glob("surface-*.json")} == stored
