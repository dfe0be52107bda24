"""Figures refuse what cannot be drawn or read, and give their numbers away."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossatlas.core.errors import InputError
from lossatlas.report import Axis, Contour, Figure, Heatmap, Line, Panel, Points

TIME, LOSS = Axis("Time", "epochs"), Axis("Loss", "nat", "log")
LINE = Line([0, 1], [1.0, 0.5], "SGD", "sgd")


def figure(*marks: Line | Points | Heatmap, y: Axis = LOSS) -> Figure:
    return Figure("name", "Title", "Caption.", (Panel("panel", TIME, y, marks),))


def test_marks_keep_read_only_doubles() -> None:
    x = torch.arange(3, dtype=torch.float32)
    line = Line(x, np.array([1, 2, 3]), "a", "sgd")
    x += 1
    assert np.asarray(line.x).tolist() == [0, 1, 2]
    assert np.asarray(line.y).dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(line.y)[0] = 5


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([], [], "non-empty"),
        ([0, 1], [1.0], "as many x as y"),
        ([0, 1], [1.0, math.inf], "infinity"),
        ([0, math.nan], [1.0, 1.0], "finite numbers in x"),
        ([0, 1], [math.nan, math.nan], "leave the mark out"),
        ([[0, 1]], [[0, 1]], "1 axes"),
    ],
)
@pytest.mark.parametrize("kind", [Line, Points])
def test_bad_data_is_refused(kind: type[Line] | type[Points], x: list[float], y: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kind(x, y, "label", "sgd")


def test_names_of_points_must_match() -> None:
    with pytest.raises(InputError, match="expected 2 names"):
        Points([0, 1], [1, 2], "a", "sgd", members=("one",))


def test_grid_shapes_and_logarithms() -> None:
    with pytest.raises(InputError, match=r"z of shape \(2, 3\)"):
        Heatmap([0, 1, 2], [0, 1], np.ones((3, 2)), "loss", "nat")
    with pytest.raises(InputError, match="positive"):
        Contour([0, 1], [0, 1], np.zeros((2, 2)), "loss", "nat", log=True)
    grid = Heatmap([0, 1], [0, 1], np.full((2, 2), 100.0), "loss", "nat", log=True)
    assert grid.shown.tolist() == [[2, 2], [2, 2]]
    assert grid.text == "log₁₀ of loss (nat)"


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_logarithmic_axes_refuse_what_they_cannot_show(bad: float) -> None:
    with pytest.raises(InputError, match="logarithmic axis 'Loss' of panel 'panel'"):
        figure(Line([0, 1], [1.0, bad], "SGD", "sgd"))
    with pytest.raises(InputError, match="logarithmic axis 'Time'"):
        Panel("p", Axis("Time", "epochs", "log"), Axis("y", ""), (Points([bad], [1.0], "a", "sgd"),))
    assert figure(Line([0, 1], [1.0, bad], "SGD", "sgd"), y=Axis("Loss", "nat")).panels


def test_labels_titles_and_captions_are_required() -> None:
    with pytest.raises(InputError, match="label"):
        Axis(" ", "nat")
    with pytest.raises(InputError, match="'linear' or 'log'"):
        Axis("a", "nat", "cubic")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Axis("a")  # type: ignore[call-arg]
    with pytest.raises(InputError, match="no marks"):
        Panel("p", TIME, LOSS, ())
    panels = (Panel("p", TIME, LOSS, (LINE,)),)
    for change in ({"title": ""}, {"caption": " "}, {"panels": ()}, {"columns": 0}, {"name": "Has Space"}):
        with pytest.raises(InputError):
            Figure(**({"name": "a", "title": "T", "caption": "C", "panels": panels} | change))  # type: ignore[arg-type]


def test_legend_has_each_label_once() -> None:
    marks = (LINE, Line([0, 1], [2.0, 1.0], "SGD", "sgd"), Points([0], [1.0], "best", "sgd"))
    assert [entry.label for entry in figure(*marks).legend] == ["SGD", "best"]


@given(
    st.lists(
        st.tuples(
            st.floats(-1e6, 1e6),
            st.one_of(st.floats(1e-300, 1e300), st.just(math.nan)),
        ),
        min_size=1,
    ).filter(lambda rows: any(not math.isnan(y) for _, y in rows))
)
def test_csv_reads_back_to_the_same_bits(rows: list[tuple[float, float]]) -> None:
    x, y = [list(column) for column in zip(*rows, strict=True)]
    text = figure(Line(x, y, 'a, "b"', "sgd", member="replica 1")).to_csv()
    read = list(csv.DictReader(io.StringIO(text)))
    assert [row["series"] for row in read] == ['a, "b": replica 1'] * len(rows)
    assert [float(row["x"]) for row in read] == x
    np.testing.assert_array_equal([float(row["y"] or "nan") for row in read], y)


def test_csv_of_a_grid_has_a_row_per_cell() -> None:
    grid = Heatmap([0, 1, 2], [5, 6], [[1.0, 2.0, 3.0], [4.0, math.nan, 6.0]], "loss", "nat")  # type: ignore[arg-type]
    read = list(csv.DictReader(io.StringIO(figure(grid, y=Axis("v", "")).to_csv())))
    cells = [(float(r["x"]), float(r["y"]), r["z"]) for r in read]
    assert cells == [(0, 5, "1.0"), (1, 5, "2.0"), (2, 5, "3.0"), (0, 6, "4.0"), (1, 6, ""), (2, 6, "6.0")]


def test_save_by_suffix(tmp_path: Path) -> None:
    drawn = figure(LINE)
    starts = {
        "png": b"\x89PNG",
        "svg": b"<?xml",
        "pdf": b"%PDF",
        "csv": b"panel,series,x,y\n",
        "html": b"<!doctype html>",
    }
    for suffix, start in starts.items():
        path = drawn.save(tmp_path / f"figure.{suffix}")
        assert path.read_bytes().startswith(start), suffix
    page = (tmp_path / "figure.html").read_text()
    assert 'src="http' not in page
    assert '"showSendToCloud": false' in page
    with pytest.raises(InputError, match=r"ending in .png.*got '.bmp'"):
        drawn.save(tmp_path / "figure.bmp")
    assert sorted(p.suffix[1:] for p in tmp_path.iterdir()) == sorted(starts)


def test_notebooks_get_a_drawing_and_the_caption() -> None:
    shown = Figure("n", "T", "a < b", (Panel("p", TIME, LOSS, (LINE,)),))._repr_html_()
    assert shown.startswith("<figure><svg")
    assert "<figcaption>a &lt; b</figcaption>" in shown
