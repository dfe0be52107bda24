"""Nothing in the report is typed in by hand: everything comes again, byte for byte, from what is stored."""

from __future__ import annotations

import csv
import dataclasses
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lossatlas import report
from lossatlas.report.page import render_page
from lossatlas.report.wording import cell_name
from lossatlas.report.write import build_sections
from lossatlas.study import Piece, Study
from lossatlas.study.load import parse_config

pytestmark = pytest.mark.timeout(180)

PUBLISHED_TOY = {
    "coefficients": 15,
    "points": 101,
    "steps": 10,
    "learning_rate": 0.01,
    "penalty": 10.0,
    "noise": 1.0,
    "tolerance": 0,
}
CONFIG: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits", "train_size": 64, "test_size": 32},
    "networks": {
        "fcp": {"replicas": 4, "keep": 3, "optimizers": {"lbfgs-gss": {"iterations": 4}, "sgd": {"epochs": 3}}},
    },
    "paths": {
        "straight": {"pairs": 3, "options": {"points": 5, "tolerance": 0}},
        "published": {
            "method": "fourier-published",
            "pairs": 3,
            "options": {"points": 5, "steps": 2, "tolerance": 0},
        },
        "aligned": {"align": True, "weight_sets": ["train"], "pairs": 3, "options": {"points": 5, "tolerance": 0}},
    },
    "atlas": {"all": {"method": "linear", "minima": 2, "paths": 4, "options": {"points": 5, "tolerance": 0}}},
    "weights": {},
    "holdout": {"validation": {"replicas": 2}},
    "maps": {
        "toy": {
            "resolution": 21,
            "repeats": 2,
            "finders": {
                "line": {"method": "linear"},
                "published": {"method": "fourier-published", "options": PUBLISHED_TOY},
            },
        }
    },
}

AGAIN = """
import sys
from pathlib import Path
from lossatlas import report
from lossatlas.study import Study
report.write(Study.open(sys.argv[1]).results(), Path(sys.argv[2]))
"""


class Quiet:
    def begin(self, piece: Piece, number: int, total: int) -> None: ...
    def update(self, piece: Piece, fraction: float, text: str) -> None: ...
    def end(self, piece: Piece, seconds: float) -> None: ...


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study(parse_config(CONFIG), tmp_path_factory.mktemp("study"))
    study.run(Quiet(), command="lossatlas study run tiny.toml --out DIR")
    report.write(study.results())
    return study


def contents(folder: Path) -> dict[str, bytes]:
    """The page, its figures and its tables."""
    files = [folder / "report.html", *(folder / "figures").iterdir(), *(folder / "tables").iterdir()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_another_process_writes_the_same_bytes(finished: Study, tmp_path: Path) -> None:
    code = [sys.executable, "-c", AGAIN, str(finished.folder), str(tmp_path)]
    # Another order of sets and dicts in the other process must not show.
    subprocess.run(code, check=True, env={**os.environ, "PYTHONHASHSEED": "1"}, timeout=120)
    ours, theirs = contents(finished.folder), contents(tmp_path)
    assert sorted(ours) == sorted(theirs)
    assert len(ours) > 20
    assert [name for name in ours if ours[name] != theirs[name]] == []


class Tables(HTMLParser):
    """Cells of every table of the page, by the name of the table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.name = ""
        self.cell: str | None = None
        self.body = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        place = dict(attrs).get("id") or ""
        if place.startswith("table-"):
            self.name = place.removeprefix("table-")
        if tag == "tbody":
            self.body = True
        if tag == "tr" and self.body:
            self.rows.setdefault(self.name, []).append([])
        if tag in ("td", "th") and self.body:
            self.cell = ""

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "tbody":
            self.body = False
        if tag in ("td", "th") and self.cell is not None:
            self.rows[self.name][-1].append(self.cell.strip())
            self.cell = None


def read(cell: str) -> tuple[float, float]:
    """The number that a cell shows, and half a unit of its last digit."""
    power = re.search(r"×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)$", cell)
    exponent = int(power[1].translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))) if power else 0
    text = (cell[: power.start()] if power else cell).replace("−", "-").replace(",", "")
    if text.endswith("%"):
        text, exponent = text[:-1], exponent - 2
    decimals = len(text.partition(".")[2])
    return float(text) * 10.0**exponent, 0.5 * 10.0 ** (exponent - decimals)


def test_every_number_shown_is_the_stored_one(finished: Study) -> None:
    page = Tables((finished.folder / "report.html").read_text(encoding="utf-8")).rows
    tables = dict(finished.results().tables)
    del page["claims"]  # its groups are not its rows; see the next test
    assert set(page) == set(tables) - {"claims"}
    assert {"table1", "table_s1", "side_by_side", "early_stopping", "passes", "separation"} <= set(page)
    numbers = 0
    for name, rows in page.items():
        table = tables[name]
        file = finished.folder / "tables" / f"{name}.csv"
        stored = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))[1:]
        assert len(rows) == len(stored) == len(table.rows)
        for shown, exact in zip(rows, stored, strict=True):
            for column, cell, value in zip(table.columns, shown, exact, strict=True):
                if value == "":
                    assert cell in ("–", ""), (name, column.key)
                elif column.format:
                    number, half = read(cell)
                    assert abs(number - float(value)) <= half * 1.0001 + 1e-12 * abs(number), (name, column.key)
                    numbers += 1
                else:
                    assert cell == cell_name(column.key, value), (name, column.key)
    assert numbers > 300


def test_every_test_of_a_claim_is_shown_with_its_stored_numbers(finished: Study) -> None:
    page = Tables((finished.folder / "report.html").read_text(encoding="utf-8")).rows["claims"]
    measured = [r for r in finished.results().tables["claims"].records() if r["verdict"] != "not measured"]
    assert len(page) == len(measured) > 10
    for shown, record in zip(page, measured, strict=True):
        assert shown[1:3] == [record["where"], record["verdict"]]
        if record["effect"] is not None:
            number, half = read(shown[3])
            assert abs(number - record["effect"]) <= half * 1.0001


def test_another_number_in_the_store_is_another_number_on_the_page(finished: Study) -> None:
    results = finished.results()
    table = results.tables["table1"]
    key = [column.key for column in table.columns].index("train_loss_mean")
    rows = tuple((*row[:key], 12345.0 + i, *row[key + 1 :]) for i, row in enumerate(table.rows))
    changed = {**results.tables, "table1": dataclasses.replace(table, rows=rows)}
    text = render_page("t", "s", build_sections(dataclasses.replace(results, tables=changed)))
    before = render_page("t", "s", build_sections(results))
    # In the table and in the sentence of the summary.
    assert text.count("1.23×10⁴") == before.count("1.23×10⁴") + 2
    assert "1.2×10⁴ by SGD" in text
    assert "1.2×10⁴ by SGD" not in before


def test_the_toy_landscape_stands_beside_figure_3(finished: Study) -> None:
    rows = {r["quantity"]: r for r in finished.results().tables["side_by_side"].records()}
    line, searched = rows["path height, straight"], rows["path height, λ = 10"]
    assert line["ours"] == pytest.approx(1.102346, abs=2e-6)
    assert (line["paper"], line["differs"], line["runs"]) == (1.102, "no", 2)
    (drawn,) = finished.results().maps
    assert searched["ours"] == pytest.approx(float(drawn.heights["published"].mean()))
