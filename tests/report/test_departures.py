"""What a study did otherwise than the paper, read off its configuration."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossatlas.report.blocks import Definitions, Notice, Prose
from lossatlas.report.departures import departures
from lossatlas.report.reductions import reductions
from lossatlas.report.sections import beside
from lossatlas.study import load_config
from lossatlas.study.load import parse_config
from lossatlas.study.results import StudyResults

MakeResults = Callable[..., StudyResults]
MNIST = {"data": {"name": "mnist", "train": 60_000, "test": 10_000}}


def stored(document: dict[str, Any]) -> dict[str, Any]:
    return tomllib.loads(parse_config({"name": "mine", **document}).to_toml())


def fcp(**changes: Any) -> dict[str, Any]:
    return {"fcp": {"optimizers": {"sgd": {}}, **changes}}


def test_a_study_of_the_papers_size_is_not_reduced(make_results: MakeResults, tmp_path: Path) -> None:
    recipe = load_config("paper")
    results = make_results(tmp_path, configuration=tomllib.loads(recipe.to_toml()), provenance=MNIST)
    assert reductions(results) == ()
    told = dict(departures(results))
    assert told["Data"] == "All of MNIST, as in the paper."
    assert told["Runs"] == ("FCP, LeNet, Autoencoder and LSTM: 75 runs of each optimizer, 48 kept, as in the paper.")
    assert "published: as in the paper." in told["Paths"]
    assert "published-on-test: as in the paper." in told["Paths"]
    assert "published-penalty-low: λ = 1×10⁻⁵ instead of 0.0001; 48 pairs" in told["Paths"]
    section = beside.build(results)
    assert section is not None
    assert not any(isinstance(block, Notice) for block in section.blocks)


def test_a_small_study_names_what_was_reduced(make_results: MakeResults, tmp_path: Path) -> None:
    document = {
        "data": {"name": "mnist", "train_size": 1000, "test_size": 10_000},
        "networks": {
            "fcp": {
                "replicas": 12,
                "keep": 8,
                "options": {"activation": "relu"},
                "optimizers": {
                    "lbfgs-gss": {"iterations": 400},
                    "sgd": {"epochs": 30, "options": {"lr": 0.2}},
                    "adam": {},
                },
            },
            "lenet": {"replicas": 75, "keep": 48, "optimizers": {"lbfgs-gss": {}, "sgd": {"batch_size": 32}}},
        },
        "paths": {
            "short": {"method": "fourier-published", "pairs": 10, "options": {"points": 25, "steps": 25}},
            "notebook": {"method": "fourier-published", "pairs": 300, "options": {"points": 51}},
            "straight": {},
        },
        "select": "test",
    }
    examples = {"fcp": {"train": 1000, "test": 10_000}, "lenet": {"train": 400, "test": 300}}
    provenance = {"data": {"name": "mnist", "train": 1000, "test": 10_000}, "examples": examples}
    results = make_results(tmp_path, [("fcp", "sgd")], configuration=stored(document), provenance=provenance)
    assert reductions(results) == (
        "networks: no Autoencoder and LSTM",
        "training examples: 1,000, 60,000 in the paper",
        "examples of single networks: LeNet 400 training and 300 test examples",
        "FCP, runs kept: 8 of 12, 48 of 75 in the paper",
        "FCP, iterations of L-BFGS-GSS: 400, 1,000 in the paper",
        "short, pairs per weight set: at most 10, 300 in the paper",
        "short, points: 25, 50 in the paper",
        "short, steps: 25, 100 in the paper",
    )
    told = dict(departures(results))
    data = "1,000 of the 60,000 training examples.\nOf these, LeNet 400 training and 300 test examples."
    assert told["Data"] == data
    assert "FCP uses relu, as in the paper's text; the published notebooks have softplus." in told["Networks"]
    assert "LeNet uses softplus, as the published notebooks do; the paper's text has relu." in told["Networks"]
    assert "FCP has 4 parameters, the paper's 42,200." in told["Networks"]
    assert "FCP by SGD: 30 epochs of mini-batches of 64 with lr 0.2." in told["Optimizers"]
    assert "LeNet by SGD: 50 epochs of mini-batches of 32, the paper's have 64." in told["Optimizers"]
    assert told["Optimizers"].endswith("Not in the paper: Adam.")
    assert "short: 25 points instead of 50; 25 steps instead of 100; 10 pairs per weight set" in told["Paths"]
    assert "notebook: as in the paper." in told["Paths"]
    assert told["Paths"].endswith("Not in the paper: straight.")


def test_other_data_and_other_stopping(make_results: MakeResults, tmp_path: Path) -> None:
    document = {"data": {"name": "digits", "validation": 0.1}, "select": "validation", "networks": fcp()}
    told = dict(departures(make_results(tmp_path, [("fcp", "sgd")], configuration=stored(document))))
    assert told["Data"].startswith("the scikit-learn digits instead of MNIST")
    assert told["Early stopping"] == "On the validation loss; the paper chooses and scores on the test loss."
    assert told["Paths"] == "No paths were searched by the published method."


def test_the_notebooks_landscape(make_results: MakeResults, tmp_path: Path) -> None:
    options = {"coefficients": 15, "points": 101, "steps": 300, "learning_rate": 0.01, "penalty": 10.0}
    notebook = options | {"noise": 1.0, "objective": "squared loss"}
    finders = {
        "text": {"method": "fourier-published", "options": options},
        "notebook": {"method": "fourier-published", "options": notebook},
        "short": {"method": "fourier-published", "options": options | {"steps": 30}},
        "other": {"method": "linear"},
    }
    document = {
        "networks": fcp(),
        "maps": {"toy": {"finders": finders}, "else": {"landscape": "muller-brown", "finders": finders}},
    }
    told = dict(departures(make_results(tmp_path, [("fcp", "sgd")], configuration=stored(document))))
    assert told["Landscape of two coordinates"].split("\n")[:3] == [
        "text: as in the paper.",
        "notebook: squared losses and unit noise in the gradient, as in the notebook and not in the text.",
        "short: 30 steps instead of 300.",
    ]


def test_networks_that_the_paper_lacks_have_no_section(make_results: MakeResults, tmp_path: Path) -> None:
    assert beside.build(make_results(tmp_path, [])) is None


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        (["yes", "yes", "no"], "Of 3 numbers, two differ from the paper's beyond the spread and one does not."),
        (["yes", "no", "no"], "Of 3 numbers, one differs from the paper's beyond the spread and two do not."),
        (["no", None, None], "Of 3 numbers, none differ from the paper's beyond the spread and one does not; of two, "
                             "from a single run, the spread is not known."),
    ],
)  # fmt: skip
def test_counts(make_results: MakeResults, tmp_path: Path, marks: list[str | None], expected: str) -> None:
    from lossatlas.core.table import Column, Table

    keys = ("network", "quantity", "optimizer", "ratio", "differs")
    rows = tuple(("fcp", "test loss", "sgd", None, mark) for mark in marks)
    table = Table("side_by_side", "t", "c", tuple(Column(key, key) for key in keys), rows)
    section = beside.build(make_results(tmp_path, [("fcp", "sgd")], tables={"side_by_side": table}))
    assert section is not None
    assert [block.text for block in section.blocks if isinstance(block, Prose)] == [expected]
    assert any(isinstance(block, Definitions) for block in section.blocks)


def test_the_largest_factor_is_named(make_results: MakeResults, tmp_path: Path) -> None:
    from lossatlas.core.table import Column, Table

    keys = ("network", "quantity", "optimizer", "ratio", "differs")
    rows = (("fcp", "test loss", "sgd", 3.0, "yes"), ("lstm", "training loss", "sgd", 0.1, "yes"))
    table = Table("side_by_side", "t", "c", tuple(Column(key, key) for key in keys), rows)
    section = beside.build(make_results(tmp_path, [("fcp", "sgd")], tables={"side_by_side": table}))
    assert section is not None
    assert "The largest factor is 10 (LSTM, training loss by SGD)." in str(section.blocks)
