"""Both backends draw the same figure: the same numbers, words and entries of the legend."""

from __future__ import annotations

import re
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest

from lossatlas.report import Axis, Contour, Figure, Heatmap, Line, Panel, Points
from lossatlas.report import matplotlib_backend as on_paper
from lossatlas.report import plotly_backend as on_screen
from lossatlas.report.palette import _KNOWN, _OTHERS, NEUTRAL, colour_of
from lossatlas.report.write import build_sections
from lossatlas.study.results import StudyResults

T = np.linspace(0, 1, 7)


@pytest.fixture
def mixed() -> Figure:
    """Every kind of mark, gaps, both scales, categories, several lines of one label."""
    lines = (
        Line(T, 10.0 ** (-4 * T), "L-BFGS-GSS", "lbfgs-gss", "replica 0", faint=True),
        Line(T, np.where(T > 0.5, np.nan, 2 - T), "L-BFGS-GSS", "lbfgs-gss", "replica 1", faint=True),
        Line(T, 1 + T, "SGD", "sgd", dashed=True),
        Points([0.5, 1.0], [0.01, 1e-4], "chosen", "lbfgs-gss", "diamond", ("replica 0", "replica 1")),
    )
    rows = (Points([1.0, 2.0], [0.0, 1.0], "SGD", "sgd", "square"), Points([1.5], [0.0], "mean", "neutral", "tick"))
    names = Axis("Optimizer", "", categories=("SGD\ntraining", "SGD\ntest"))
    panels = (
        Panel("curves", Axis("Time", "epochs"), Axis("Loss", "nat", "log"), lines),
        Panel("barriers", Axis("Barrier", "nat"), names, rows),
    )
    return Figure("mixed", "Mixed", "Everything.", panels, columns=2)


def finite(x: object, y: object) -> np.ndarray:
    points = np.stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)], axis=1)
    return points[np.isfinite(points).all(axis=1)]


def by_label(marks: list[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    labels = dict.fromkeys(label for label, _ in marks)
    return {label: np.concatenate([points for name, points in marks if name == label]) for label in labels}


def described(figure: Figure) -> list[dict[str, np.ndarray]]:
    return [by_label([(m.label, finite(m.x, m.y)) for m in panel.marks]) for panel in figure.panels]


def test_same_numbers_words_and_legend(mixed: Figure) -> None:
    paper, screen = on_paper.draw(mixed), on_screen.draw(mixed)

    drawn_on_paper = [
        by_label([(str(line.get_label()), finite(*line.get_data())) for line in axes.lines]) for axes in paper.axes
    ]
    drawn_on_screen = [
        by_label([(t.name, finite(t.x, t.y)) for t in screen.data if t.xaxis in wanted])
        for wanted in ((None, "x"), ("x2",))
    ]
    for expected, one, other in zip(described(mixed), drawn_on_paper, drawn_on_screen, strict=True):
        assert list(expected) == list(one) == list(other)
        for label, points in expected.items():
            np.testing.assert_array_equal(points, one[label])
            np.testing.assert_array_equal(points, other[label])

    labels = [entry.label for entry in mixed.legend]
    assert labels == ["L-BFGS-GSS", "SGD", "chosen", "mean"]
    assert [text.get_text() for text in paper.legends[0].get_texts()] == labels
    assert [trace.name for trace in screen.data if trace.showlegend] == labels

    axes = [(panel.x.text, panel.y.text) for panel in mixed.panels]
    assert [(a.get_xlabel(), a.get_ylabel()) for a in paper.axes] == axes
    layout = screen.layout
    assert [
        (layout.xaxis.title.text, layout.yaxis.title.text),
        (layout.xaxis2.title.text, layout.yaxis2.title.text),
    ] == axes
    assert [a.get_yscale() for a in paper.axes] == [layout.yaxis.type, layout.yaxis2.type] == ["log", "linear"]
    assert [label.get_text() for label in paper.axes[1].get_yticklabels()] == ["SGD\ntraining", "SGD\ntest"]
    assert list(layout.yaxis2.ticktext) == ["SGD<br>training", "SGD<br>test"]
    assert [note.text for note in layout.annotations] == [axes.get_title(loc="left") for axes in paper.axes]


def test_same_colours(mixed: Figure) -> None:
    paper, screen = on_paper.draw(mixed), on_screen.draw(mixed)
    on_first = {str(line.get_label()): line.get_color() for axes in paper.axes for line in axes.lines}
    colours = {t.name: (t.line.color if t.mode == "lines" else t.marker.color) for t in screen.data}
    assert on_first == colours
    assert colours["SGD"] == colour_of("sgd")


@pytest.mark.parametrize("kind", [Heatmap, Contour])
def test_grids(kind: type[Heatmap]) -> None:
    z = np.arange(1.0, 7.0).reshape(2, 3)
    mark = kind([0, 1, 2], [10, 20], z, "Loss", "nat", log=True)
    figure = Figure("grid", "Grid", "A grid.", (Panel("p", Axis("u", ""), Axis("v", ""), (mark,)),))
    paper, screen = on_paper.draw(figure), on_screen.draw(figure)
    trace = screen.data[0]
    assert trace.type == kind.__name__.lower()
    np.testing.assert_array_equal(trace.z, np.log10(z))
    np.testing.assert_array_equal(trace.x, [0, 1, 2])
    np.testing.assert_array_equal(trace.y, [10, 20])
    if kind is Heatmap:
        np.testing.assert_array_equal(np.asarray(paper.axes[0].collections[0].get_array()).reshape(2, 3), np.log10(z))
    assert trace.colorbar.title.text == paper.axes[1].get_ylabel() == "log₁₀ of Loss (nat)"
    assert on_paper.render(figure, "png").startswith(b"\x89PNG")


def test_one_panel_alone_carries_the_same_numbers(mixed: Figure) -> None:
    text = on_screen.panel_json(mixed, 0)
    assert '"dtype":"f4"' in text
    assert "Mixed" not in text
    alone = on_screen.draw(mixed, only=0)
    drawn = by_label([(t.name, finite(t.x, t.y)) for t in alone.data])
    for label, points in described(mixed)[0].items():
        np.testing.assert_array_equal(points, drawn[label])


def test_a_gap_separates_neighbouring_lines(mixed: Figure) -> None:
    trace = on_screen.draw(mixed).data[0]
    assert len(trace.x) == 2 * len(T) + 1
    assert np.isnan(trace.y[len(T)])
    assert trace.text[0] == "replica 0"
    assert trace.text[-1] == "replica 1"


def test_bytes_repeat_and_global_style_is_left_alone(mixed: Figure) -> None:
    before = dict(mpl.rcParams)
    first = on_paper.render_all(mixed, ("png", "svg"))
    assert first == on_paper.render_all(mixed, ("png", "svg"))
    assert dict(mpl.rcParams) == before


def test_every_figure_of_the_report_has_both(make_results: Callable[..., StudyResults], results: StudyResults) -> None:
    for section in build_sections(results):
        for figure in section.figures:
            screen = on_screen.draw(figure)
            assert [t.name for t in screen.data if t.showlegend] == [entry.label for entry in figure.legend]
            total = sum(len(finite(t.x, t.y)) for t in screen.data)
            assert total == sum(len(finite(m.x, m.y)) for panel in figure.panels for m in panel.marks)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.8, 2.1, ["1.0", "1.5", "2.0"]),
        (0.3, 1.3, ["0.3", "0.4", "0.5", "0.7", "1"]),
        (0.009, 0.075, ["0.01", "0.02", "0.03", "0.05", "0.07"]),
        (0.001, 0.1, ["1×10⁻³", "3×10⁻³", "0.01", "0.03", "0.1"]),
    ],
)
def test_narrow_logarithmic_axes_have_whole_numbers(low: float, high: float, expected: list[str]) -> None:
    line = Line([0, 1], [low, high], "SGD", "sgd")
    figure = Figure("a", "A", "A.", (Panel("p", Axis("t", ""), Axis("Loss", "nat", "log"), (line,)),))
    axis = on_screen.draw(figure).layout.yaxis
    assert list(axis.ticktext) == expected
    assert all(0.9 * low <= tick <= 1.1 * high for tick in axis.tickvals)


@pytest.mark.parametrize(("low", "step"), [(1e-3, 1), (1e-8, 2), (1e-15, 3)])
def test_wide_logarithmic_axes_have_powers_of_ten(low: float, step: int) -> None:
    line = Line([0, 1], [low, 1.0], "SGD", "sgd")
    figure = Figure("a", "A", "A.", (Panel("p", Axis("t", ""), Axis("Loss", "nat", "log"), (line,)),))
    axis = on_screen.draw(figure).layout.yaxis
    assert (axis.tickmode, axis.dtick) == ("linear", step)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_can_be_seen_on_both_backgrounds() -> None:
    from importlib import resources

    style = resources.files("lossatlas.report").joinpath("templates", "style.css").read_text()
    papers = set(re.findall(r"--paper: (#[0-9a-f]{6})", style))
    assert len(papers) == 2
    for colour in {*_KNOWN.values(), *_OTHERS, NEUTRAL}:
        for paper in papers:
            bright, dim = sorted((luminance(colour), luminance(paper)), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 3, (colour, paper)


def simulated(colour: str, matrix: np.ndarray) -> np.ndarray:
    return matrix @ [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def test_the_two_optimizers_differ_for_colour_blind_readers() -> None:
    # Complete absence of one kind of cone, in the usual linear approximation.
    deuteranopia = np.array([[0.625, 0.375, 0], [0.7, 0.3, 0], [0, 0.3, 0.7]])
    protanopia = np.array([[0.567, 0.433, 0], [0.558, 0.442, 0], [0, 0.242, 0.758]])
    for matrix in (deuteranopia, protanopia):
        apart = simulated(colour_of("lbfgs-gss"), matrix) - simulated(colour_of("sgd"), matrix)
        assert np.linalg.norm(apart) > 0.4


def test_unknown_optimizers_keep_their_colour() -> None:
    assert colour_of("mine") == colour_of("mine")
    assert colour_of("mine") in _OTHERS
