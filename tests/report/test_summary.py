"""The summary stays true whichever way the numbers fall."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossatlas.core.table import Column, Table
from lossatlas.report.blocks import Notice, Prose
from lossatlas.report.sections import summary
from lossatlas.report.sections.summary import compare, margins
from lossatlas.study.results import StudyResults


def sentences(results: StudyResults) -> list[str]:
    return [block.text for block in summary.build(results).blocks if isinstance(block, Prose)]


def test_whole_study(results: StudyResults) -> None:
    done, training, early, accuracy, barriers, budget = sentences(results)
    assert done == (
        "Four networks (FCP, Autoencoder, LSTM and LeNet) were trained by L-BFGS-GSS and SGD on digits "
        "(1,437 training and 360 test examples): 42 runs, of which 41 are kept and 1 diverged. The "
        "computations took 3 min 34 s, added up."
    )
    assert training.startswith("L-BFGS-GSS has the lower mean training loss on FCP (1.4×10⁻⁸ against 6.8×10⁻⁴ by SGD),")
    assert training.endswith("by factors between 2.6 and 5.0×10⁴.")
    assert "within a factor of 1.2 of each other in mean early-stopped test loss" in early
    assert accuracy.startswith("All mean test accuracies are 96.9 %") or "lie between" in accuracy
    assert barriers.startswith("SGD has the lower mean barrier on straight lines between training-set minima on FCP")
    assert budget.startswith("41 of the 42 runs ended because the iterations or epochs they were given were used up")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"fcp": {}}, None),
        ({"fcp": {"sgd": 0.5}}, "Mean loss: FCP 0.50 by SGD."),
        (
            {"fcp": {"sgd": 0.5, "lbfgs-gss": 0.25}},
            "L-BFGS-GSS has the lower mean loss on FCP (0.25 against 0.50 by SGD), by a factor of 2.0.",
        ),
        (
            {"fcp": {"sgd": 0.25, "lbfgs-gss": 0.5}},
            "SGD has the lower mean loss on FCP (0.25 against 0.50 by L-BFGS-GSS), by a factor of 2.0.",
        ),
        (
            {"fcp": {"sgd": 0.0, "lbfgs-gss": 0.5}},
            "SGD has the lower mean loss on FCP (0 against 0.50 by L-BFGS-GSS).",
        ),
        (
            {"fcp": {"sgd": 0.0, "lbfgs-gss": 0.5}, "lstm": {"sgd": 1.0, "lbfgs-gss": 2.0}},
            "SGD has the lower mean loss on FCP (0 against 0.50 by L-BFGS-GSS) "
            "and LSTM (1.0 against 2.0 by L-BFGS-GSS).",
        ),
        (
            {"fcp": {"sgd": 0.0, "lbfgs-gss": 0.0}},
            "The optimizers are within a factor of 1.2 of each other in mean loss "
            "on FCP (0 by SGD and 0 by L-BFGS-GSS).",
        ),
        (
            {"fcp": {"sgd": 1.0, "adam": 4.0, "lbfgs-gss": 2.0}, "mine": {"adam": 1.0}},
            "SGD has the lowest mean loss on FCP (1.0 against 2.0 by L-BFGS-GSS), by a factor of 2.0; "
            "mean loss with one optimizer only: mine 1.0 by Adam.",
        ),
    ],
)
def test_every_way(values: dict[str, dict[str, float]], expected: str | None) -> None:
    assert compare("mean loss", values) == expected


@given(
    st.dictionaries(
        st.sampled_from(["net1", "net2", "net3"]),
        st.fixed_dictionaries({"sgd": st.floats(1e-12, 1e3), "adam": st.floats(1e-12, 1e3)}),
        min_size=1,
    )
)
def test_each_network_is_said_of_the_right_optimizer(values: dict[str, dict[str, float]]) -> None:
    text = compare("loss", values)
    assert text is not None
    parts = {part.split(" ")[0]: part for part in re.split(r"; ", text)}
    for network, row in values.items():
        low, top = sorted(row.values())
        winner = {"sgd": "SGD", "adam": "Adam"}[min(row, key=row.__getitem__)]
        said = [head for head, part in parts.items() if f"{network} (" in part]
        assert len(said) == 1
        assert said[0] == (winner if top / low >= 1.2 else said[0])
        assert (said[0].lower() == "the") == (top / low < 1.2)


def test_one_optimizer(make_results: Callable[..., StudyResults], tmp_path: Path) -> None:
    done, training, *_ = sentences(make_results(tmp_path, [("fcp", "sgd"), ("lenet", "sgd")]))
    assert done.startswith("Two networks (FCP and LeNet) were trained by SGD on digits")
    assert "9 runs, all kept." in done
    assert training.startswith("Mean training loss: FCP 6.8×10⁻⁴ by SGD and LeNet")


def test_nothing_yet(make_results: Callable[..., StudyResults], tmp_path: Path) -> None:
    results = make_results(tmp_path, [], tables={}, missing=("fcp/sgd",), provenance={})
    blocks = summary.build(results).blocks
    assert isinstance(blocks[0], Notice)
    assert "1 piece is missing" in blocks[0].text
    assert blocks[0].items == ("fcp/sgd",)
    assert sentences(results) == ["No network has been trained yet."]


def test_a_difference_within_the_errors_is_no_ranking() -> None:
    values = {"fcp": {"sgd": 2.1, "adam": 22.0}, "lstm": {"sgd": 1.0, "adam": 5.0}}
    margin = {"fcp": {"sgd": 0.2, "adam": 28.0}, "lstm": {"sgd": 0.1, "adam": 0.5}}
    assert compare("mean barrier", values, margin) == (
        "SGD has the lower mean barrier on LSTM (1.0 against 5.0 by Adam), by a factor of 5.0; so few runs do not "
        "decide the difference on FCP (2.1 by SGD and 22 by Adam)."
    )
    only = compare("mean barrier", {"fcp": values["fcp"]}, margin)
    assert only == "So few runs do not decide the difference in mean barrier on FCP (2.1 by SGD and 22 by Adam)."


def test_margins_are_of_students_t() -> None:
    columns = tuple(Column(name, name) for name in ("network", "optimizer", "runs", "loss_error"))
    table = Table("t", "T", "", columns, (("fcp", "sgd", 4, 0.5), ("fcp", "adam", 1, 0.5), ("lstm", "sgd", 4, None)))
    assert margins(table, "loss", "runs") == {"fcp": {"sgd": pytest.approx(0.5 * 3.1824, rel=1e-4)}}


def test_margins_are_of_the_intervals_where_there_are_some() -> None:
    columns = tuple(Column(name, name) for name in ("network", "optimizer", "minima", "x_error", "x_low", "x_high"))
    table = Table("t", "T", "", columns, (("lenet", "sgd", 4, 6.0, -6.0, 50.0), ("lenet", "adam", 4, 1.0, None, None)))
    assert margins(table, "x", "minima") == {"lenet": {"sgd": 28.0, "adam": pytest.approx(3.1824, rel=1e-4)}}
