"""The report as Markdown: every section, figure and table of the page, with links to files that are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path as FilePath

import pytest
from paper_results import complete

from lossatlas.report import write
from lossatlas.report.blocks import Notice, Prose, Section
from lossatlas.report.markdown import render_markdown
from lossatlas.report.profiles import bound_on_passes
from lossatlas.report.write import build_sections
from lossatlas.study.results import StudyResults

COMBINATIONS = [("fcp", "lbfgs-gss"), ("fcp", "sgd")]


@pytest.fixture
def results(make_results: Callable[..., StudyResults], tmp_path: FilePath) -> StudyResults:
    return complete(make_results(tmp_path, COMBINATIONS))


def test_it_holds_what_the_page_holds(results: StudyResults, tmp_path: FilePath) -> None:
    target = tmp_path / "elsewhere"
    assert write(results, target, markdown=True) == target / "report.html"
    text = (target / "report.md").read_text(encoding="utf-8")
    sections = build_sections(results)
    assert re.findall(r"^## (.*)$", text, re.M) == [section.title for section in sections]
    figures = [figure for section in sections for figure in section.figures]
    assert re.findall(r"!\[.*\]\(figures/(.*)\.png\)", text) == [figure.name for figure in figures]
    assert len(re.findall(r"^\*\*Table \d+\.", text, re.M)) == sum(len(section.tables) for section in sections)
    links = re.findall(r"\]\(((?:figures|tables)/[^)]*)\)", text)
    assert len(links) >= 3 * len(figures)
    assert all((target / link).is_file() for link in links)


def test_without_being_asked_none_is_written(results: StudyResults, tmp_path: FilePath) -> None:
    write(results, tmp_path / "plain")
    assert not (tmp_path / "plain" / "report.md").exists()


def test_tables_have_as_many_cells_in_every_row(results: StudyResults) -> None:
    text = render_markdown("Title", "Below.", build_sections(results))
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.M)
    assert blocks
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_text_shows_as_it_is() -> None:
    section = Section("one", "A * b", (Prose("w_1 * w_2 < [0]\n`x`"), Notice("Beware.", ("a|b",))))
    text = render_markdown("T", "S", [section])
    assert "## A \\* b" in text
    assert "w\\_1 \\* w\\_2 \\< \\[0\\] \\`x\\`" in text
    assert "> Beware.\n> * a\\|b" in text


@pytest.mark.parametrize(
    ("tolerances", "expected"),
    [
        ([None, 1e-3], "A height is an upper bound on the pass"),
        ([0, 0], "A height is the highest loss at the points"),
        ([None, 0], "A height of a stage with a tolerance of 0 is"),
    ],
)
def test_heights_at_points_are_no_bounds(tolerances: list[float | None], expected: str) -> None:
    stages = [{"options": {} if tolerance is None else {"tolerance": tolerance}} for tolerance in tolerances]
    assert bound_on_passes(stages).startswith(expected)
