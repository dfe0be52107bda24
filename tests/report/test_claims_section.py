"""Claims in the report: counts, contradictions, and tests folded by claim."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossatlas.analysis.claims import Claim, claims_table
from lossatlas.analysis.uncertainty import Estimate
from lossatlas.report import write
from lossatlas.report.blocks import Groups, Notice, Prose
from lossatlas.report.citations import citations_for
from lossatlas.report.sections import claims
from lossatlas.study.results import StudyResults

MakeResults = Callable[..., StudyResults]
EFFECT = Estimate(0.25, 0.05, 0.125, 0.5, 8)


def claim(name: str, network: str, verdict: Any, **changes: Any) -> Claim:
    fields: dict[str, Any] = {
        "statement": f"{name} is so",
        "where": "train sets",
        "effect_name": "ratio of geometric means",
        "effect": None if verdict == "not measured" else EFFECT,
        "claimed": (0.0, 0.5),
        "paper": "holds",
        "paper_says": "it is so",
        "p_value": None if verdict == "not measured" else 0.01,
        "adjusted_p_value": None if verdict == "not measured" else 0.02,
    }
    return Claim(name=name, network=network, verdict=verdict, **(fields | changes))


SILENT: dict[str, Any] = {"paper": None, "paper_says": ""}
FOUND = (
    claim("lower", "fcp", "holds"),
    claim("lower", "lstm", "does not hold", where="test sets"),
    claim("higher", "fcp", "holds", where="as height", **SILENT),
    claim("higher", "fcp", "undecided at this size", where="as barrier", claimed=(1.0, math.inf), **SILENT),
    claim("higher", "lstm", "not measured", note="needs height, sgd test set", **SILENT),
)


@pytest.fixture
def results(make_results: MakeResults, tmp_path: Path) -> StudyResults:
    return make_results(tmp_path, [("fcp", "sgd")], tables={"claims": claims_table(FOUND)}, claims=FOUND)


def test_counts_and_contradictions(results: StudyResults) -> None:
    section = claims.build(results)
    assert section is not None
    prose, notice, groups = section.blocks
    assert isinstance(prose, Prose)
    assert prose.text == (
        "2 claims give 5 tests: 2 hold, 1 does not hold, 1 is undecided at this size and 1 was not measured. 2 of what "
        "the paper says, as it says it, are decided here; 1 of them agree. 3 of the 3 verdicts also stand among so "
        "many tests (Holm's p below 5 %)."
    )
    assert isinstance(notice, Notice)
    assert notice.text == "1 test contradicts the paper:"
    assert notice.items == ("LSTM, test sets: “lower is so” does not hold, in the paper it holds",)
    assert isinstance(groups, Groups)


def test_groups(results: StudyResults) -> None:
    section = claims.build(results)
    assert section is not None
    lower, higher = next(block for block in section.blocks if isinstance(block, Groups)).groups
    assert (lower.title, lower.remark) == ("lower is so", "FCP: holds; LSTM: does not hold")
    assert lower.note == "The paper: it is so. Claimed here: ratio of geometric means below 0.500."
    assert lower.rows[0] == (
        *("FCP", "train sets", "holds", "0.250", "0.125 to 0.500", "0.010", "0.020", "holds", "yes", ""),
    )  # fmt: skip
    assert higher.remark == "FCP: holds 1×, undecided 1×; LSTM: not measured"
    assert higher.note == (
        "The paper does not say. Claimed here: ratio of geometric means below 0.500 or ratio of geometric means above "
        "1.00."
    )
    assert higher.rows[0][7:9] == ("silent", "–")
    assert len(higher.rows) == 2
    assert higher.absent == ("LSTM, train sets: needs height, sgd test set",)


def test_page_links_to_one_file_for_all(results: StudyResults, tmp_path: Path) -> None:
    text = write(results, tmp_path / "out").read_text(encoding="utf-8")
    assert text.count('href="tables/claims.csv"') == 1
    assert (tmp_path / "out" / "tables" / "claims.csv").read_text() == results.tables["claims"].to_csv()
    assert text.count('<details class="group">') == 2
    assert "and what becomes of the paper's claims." in text.replace("&#39;", "'")
    assert {"welch1947", "schuirmann1987", "holm1979"} <= {work.key for work in citations_for(results)}


def test_all_agree(make_results: MakeResults, tmp_path: Path) -> None:
    section = claims.build(make_results(tmp_path, tables={"claims": claims_table(FOUND[:1])}))
    assert section is not None
    assert [type(block) for block in section.blocks] == [Prose, Groups]


def test_no_claims(make_results: MakeResults, tmp_path: Path) -> None:
    assert claims.build(make_results(tmp_path)) is None
