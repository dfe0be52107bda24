"""Histograms count every value once, whatever the values; both backends draw the same outline."""

from __future__ import annotations

import csv
import io
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lossatlas.core.errors import InputError
from lossatlas.report import Axis, Figure, Histogram, Line, Panel, Points, VerticalLine
from lossatlas.report import matplotlib_backend as on_paper
from lossatlas.report import plotly_backend as on_screen
from lossatlas.report.distributions import Sample, distribution_panel
from lossatlas.report.histogram import common_edges
from lossatlas.report.page import _swatch
from lossatlas.report.palette import colour_of

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SETS = st.lists(st.lists(FINITE, min_size=1, max_size=30), min_size=1, max_size=4)
HUGE = sys.float_info.max


@given(SETS)
@example([[HUGE, -HUGE]])
@example([[HUGE]])
@example([[-HUGE, -HUGE]])
@example([[5e-324], [0.0]])
@example([[1.0, 1.0 + 2**-52]])
def test_every_value_of_every_set_is_counted_once(sets: list[list[float]]) -> None:
    edges = common_edges(sets)
    assert (np.diff(edges) > 0).all()
    assert np.isfinite(edges).all()
    for values in sets:
        histogram = Histogram(values, edges, "a", "sgd")
        assert histogram.counts.sum() == len(values)
        assert (histogram.counts >= 0).all()
    if min(map(min, sets)) < max(map(max, sets)):
        assert (edges[0], edges[-1]) == (min(map(min, sets)), max(map(max, sets)))


@given(st.lists(st.lists(st.floats(5e-324, HUGE), min_size=1, max_size=20), min_size=1, max_size=3))
@example([[HUGE]])
@example([[5e-324]])
@example([[5e-324, HUGE]])
def test_logarithmic_edges_stay_positive_and_hold_everything(sets: list[list[float]]) -> None:
    edges = common_edges(sets, log=True)
    assert edges[0] > 0
    assert sum(Histogram(values, edges, "a", "sgd").counts.sum() for values in sets) == sum(map(len, sets))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50), st.floats(-1e3, 1e3), st.floats(0.01, 100))
def test_counts_are_those_of_numpy(values: list[float], shift: float, scale: float) -> None:
    moved = [scale * value + shift for value in values]
    edges = common_edges([moved])
    counts = Histogram(moved, edges, "a", "sgd").counts
    np.testing.assert_array_equal(counts, np.histogram(moved, edges)[0])


def test_edges_are_as_fine_as_the_narrowest_set_asks_for() -> None:
    generator = np.random.default_rng(0)
    narrow, wide = generator.normal(0, 1, 300), generator.normal(0, 2, 300)
    quarter, three = np.quantile(narrow, [0.25, 0.75])
    width = np.diff(common_edges([narrow, wide]))[0]
    # Freedman and Diaconis; the range holds a whole number of bins.
    assert width == pytest.approx(2 * (three - quarter) / 300 ** (1 / 3), rel=0.05)
    assert np.diff(common_edges([wide]))[0] > 1.5 * width
    logs = np.diff(np.log(common_edges([np.exp(narrow)], log=True)))
    np.testing.assert_allclose(logs, logs[0], rtol=1e-9)
    assert 9 <= common_edges([[1.0, 2.0, 3.0]]).size <= 41


def test_outline_covers_the_bins_that_are_filled() -> None:
    histogram = Histogram([1.0, 3.5, 3.5, 4.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "a", "sgd")
    assert histogram.counts.tolist() == [0, 1, 0, 2, 1]
    assert histogram.x.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert histogram.y.tolist() == [0, 1, 1, 0, 0, 2, 2, 1, 1, 0]
    assert np.trapezoid(histogram.y, histogram.x) == 4


@pytest.mark.parametrize(
    ("values", "edges", "members", "message"),
    [
        ([], [0.0, 1.0], (), "non-empty"),
        ([0.5], [0.0], (), "increasing edges"),
        ([0.5], [0.0, 1.0, 1.0], (), "increasing edges"),
        ([0.5, 2.0], [0.0, 1.0], (), "1 outside"),
        ([0.5, math.nan], [0.0, 1.0], (), "NaN"),
        ([0.5, 0.6], [0.0, 1.0], ("one",), "expected 2 names"),
    ],
)
def test_bad_histograms_are_refused(
    values: list[float], edges: list[float], members: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Histogram(values, edges, "a", "sgd", members)


def test_other_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="use log=False"):
        common_edges([[1.0], [0.0]], log=True)
    with pytest.raises(InputError, match="at least one set"):
        common_edges([])
    with pytest.raises(InputError, match="infinity"):
        VerticalLine(math.inf, "pass", "neutral")
    with pytest.raises(InputError, match="begin at zero"):
        Axis("Height", "nat", "log", zero=True)
    with pytest.raises(InputError, match="logarithmic axis 'Paths'"):
        Panel("p", Axis("x", ""), Axis("Paths", "", "log"), (Histogram([1.0], [0.0, 2.0], "a", "sgd"),))


@pytest.fixture
def figure() -> Figure:
    edges = [0.5, 1.0, 2.0, 8.0]
    solid = Histogram([0.6, 1.0, 1.5], edges, "SGD", "sgd", ("first", "second", "third"))
    dashed = Histogram([7.0, 0.5], edges, "L-BFGS", "lbfgs-gss", dashed=True)
    exact = VerticalLine(0.25, "exact", "neutral", dotted=True)
    counts = Panel("counts", Axis("Height", "nat"), Axis("Paths", "count", zero=True), (solid, dashed, exact))
    rows = Points([1.0, 2.0], [0.0, 1.0], "SGD", "sgd")
    names = Panel("rows", Axis("Height", "nat"), Axis("Set", "", categories=("a", "b")), (exact, rows))
    curve = Line([1.0, 2.0], [1.0, 100.0], "SGD", "sgd")
    loss = Panel("loss", Axis("Height", "nat", "log"), Axis("Loss", "nat", "log"), (curve, exact))
    return Figure("counts", "Counts", "What to see.", (counts, names, loss))


def test_both_backends_draw_the_same_outlines(figure: Figure) -> None:
    paper, screen = on_paper.draw(figure), on_screen.draw(figure)
    for mark in figure.panels[0].marks[:2]:
        assert isinstance(mark, Histogram)
        line = next(line for line in paper.axes[0].lines if line.get_label() == mark.label)
        trace = next(trace for trace in screen.data if trace.name == mark.label and trace.xaxis == "x")
        for x, y in (line.get_data(), (trace.x, trace.y)):
            np.testing.assert_array_equal(x, mark.x)
            np.testing.assert_array_equal(y, mark.y)
        assert line.get_color() == trace.line.color == colour_of(mark.role)
        assert (line.get_linestyle() == "--") == (trace.line.dash == "dash") == mark.dashed
        assert trace.fill == "tozeroy"
    assert paper.axes[0].get_ylim()[0] == 0
    assert screen.layout.yaxis.rangemode == "tozero"
    assert all(tick == int(tick) for tick in paper.axes[0].get_yticks())
    assert screen.layout.yaxis.dtick == 1


def test_vertical_lines_cross_the_whole_panel(figure: Figure) -> None:
    paper, screen = on_paper.draw(figure), on_screen.draw(figure)
    lines = [line for axes in paper.axes for line in axes.lines if line.get_label() == "exact"]
    traces = [trace for trace in screen.data if trace.name == "exact"]
    assert len(lines) == len(traces) == 3
    for line, trace in zip(lines, traces, strict=True):
        assert set(line.get_xdata()) == set(trace.x) == {0.25}
        assert trace.line.dash == "dot"
    heights = [(min(trace.y), max(trace.y)) for trace in traces]
    assert heights == [(0, 2), (-0.5, 1.5), (1, pytest.approx(100))]
    low, high = screen.layout.xaxis.range
    assert low < 0.25
    assert high > 8, "there is room for the line and for the last bin"


def test_legend_has_swatches_for_all(figure: Figure) -> None:
    assert [entry.label for entry in figure.legend] == ["SGD", "L-BFGS", "exact"]
    swatches = [_swatch(entry) for entry in figure.legend]
    assert "fill-opacity" in swatches[0]
    assert "stroke-dasharray" in swatches[1]
    assert "M13 0V14" in swatches[2]


def test_csv_has_bins_values_and_lines(figure: Figure) -> None:
    rows = list(csv.DictReader(io.StringIO(figure.to_csv())))
    assert list(rows[0]) == ["panel", "series", "x", "y", "x_end"]
    first = [row for row in rows if row["panel"] == "counts"]
    bins = [(float(r["x"]), float(r["x_end"]), int(r["y"])) for r in first if r["series"] == "SGD"]
    assert bins == [(0.5, 1.0, 1), (1.0, 2.0, 2), (2.0, 8.0, 0)]
    values = {r["series"]: (r["x"], r["y"]) for r in first if r["series"].startswith("SGD: ")}
    assert values == {"SGD: first": ("0.6", ""), "SGD: second": ("1.0", ""), "SGD: third": ("1.5", "")}
    assert sorted(r["x"] for r in first if r["series"] == "L-BFGS: one value") == ["0.5", "7.0"]
    assert [(r["x"], r["y"], r["x_end"]) for r in first if r["series"] == "exact"] == [("0.25", "", "")]


def test_names_of_lines_travel_once() -> None:
    lines = tuple(Line([0, 1, 2], [k, k, k], "SGD", "sgd", member=f"replica {k}") for k in range(5))
    panel = Panel("p", Axis("Time", "epochs"), Axis("Loss", "nat"), lines)
    figure = Figure("f", "Title", "Caption.", (panel,))
    text = on_screen.panel_json(figure, 0)
    assert [text.count(f"replica {k}") for k in range(5)] == [1] * 5
    assert '"customdata":[["replica 0",4],["replica 1",4],["replica 2",4],["replica 3",4],["replica 4",3]]' in text


def test_values_that_are_all_the_same_are_points_and_said_so() -> None:
    samples = [Sample(name, name, name.lower(), (0.0,) * 12, tuple("abcdefghijkl")) for name in ("SGD", "Adam")]
    panel = distribution_panel("FCP, barriers", samples, "Barrier", "nat", counted="Paths")
    assert panel is not None
    assert panel.title == "FCP, barriers: all 0"
    assert all(isinstance(mark, Points) for mark in panel.marks)
    assert [len(mark.x) for mark in panel.marks] == [12, 12]
    other = replace(samples[1], values=(0.0,) * 11 + (0.1,))
    drawn = distribution_panel("FCP, barriers", [samples[0], other], "Barrier", "nat", counted="Paths")
    assert drawn is not None
    assert drawn.title == "FCP, barriers"
    assert all(isinstance(mark, Histogram) for mark in drawn.marks)
