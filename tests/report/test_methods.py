"""Methods in words: everything that a reader needs, from the configuration."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossatlas import paths
from lossatlas.paths import FourierPathFinder
from lossatlas.report.methods import paragraphs
from lossatlas.report.write import subtitle
from lossatlas.study import load_config, recipe_names
from lossatlas.study.load import parse_config
from lossatlas.study.results import StudyResults

MakeResults = Callable[..., StudyResults]

DOCUMENT: dict[str, Any] = {
    "name": "mine",
    "seed": 17,
    "select": "validation",
    "data": {"name": "digits", "validation": 0.2},
    "networks": {
        "fcp": {
            "replicas": 9,
            "keep": 7,
            "options": {"hidden": 33},
            "optimizers": {
                "lbfgs-gss": {"iterations": 123, "options": {"history": 6, "evaluations": 8}},
                "sgd": {"epochs": 45, "batch_size": 32, "record_every": 3, "options": {"lr": 0.07, "momentum": 0.9}},
                "adam": {"compiled": True, "options": {"lr": 0.003}},
            },
        },
    },
    "paths": {
        "straight": {"pairs": 11},
        "published": {
            "method": "fourier-published",
            "landscape": "test",
            "weight_sets": ["test"],
            "options": {"steps": 77, "penalty": 0.02, "tolerance": 0},
        },
        "again": {"method": "fourier-published", "options": {"steps": 77, "penalty": 0.5, "tolerance": 0}},
        "aligned": {"align": True, "method": "neb", "options": {"iterations": 88}},
    },
    "atlas": {"all": {"minima": 5, "paths": 14}},
    "weights": {"weight_sets": ["test"], "kernels": ["rbf", "poly"]},
    "curvature": {"flat": {"minima": 3, "tolerance": 0.07, "products": 99}},
    "holdout": {"held": {"fraction": 0.15, "replicas": 2}},
    "maps": {"toy": {"repeats": 13, "finders": {"mine": {"method": "string", "options": {"points": 19}}}}},
}


@pytest.fixture
def told(make_results: MakeResults, tmp_path: Path) -> dict[str, str]:
    configuration = tomllib.loads(parse_config(DOCUMENT).to_toml())
    return dict(paragraphs(make_results(tmp_path, [("fcp", "sgd")], configuration=configuration)))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("Data", "1,437 training and 360 test examples"),
        ("Networks", "activation softplus, hidden 33"),
        ("Training", "FCP by L-BFGS-GSS: 123 iterations; directions from the last 6 pairs"),
        ("Training", "line search of at most 8 losses"),
        ("Training", "FCP by SGD: 45 epochs of mini-batches of 32; constants: lr 0.07, momentum 0.9"),
        ("Training", "FCP by Adam: 50 epochs of mini-batches of 64, gradients by a compiled program"),
        ("Training", "lr 0.003"),
        ("Training", "trained 9 times by each optimizer, and the 7 runs with the lowest training loss were kept"),
        ("Training", "lowest validation loss; both are looked for every epoch or every iteration or every 3 epochs"),
        ("Early stopping", "at most 2 replicas of each"),
        ("Early stopping", "15 % of the training examples held out"),
        ("Paths", "straight: 11 random pairs at most of each training and early-stopped weight set"),
        ("Paths", "published: all pairs of each early-stopped weight set, on the test loss"),
        ("Paths", "77 steps of Adam at learning rate 0.001"),
        ("Paths", "51 fixed points plus 0.02 times"),
        ("Paths", "again: all pairs of each training and early-stopped weight set, on the training loss; paths as in "
                  "published, but penalty 0.5."),
        ("Paths", "permuted by weight matching to fit those of its start; neb"),
        ("Paths", "iterations 88"),
        ("Disconnectivity graphs", "the 5 minima of lowest training loss"),
        ("Disconnectivity graphs", "by 14 paths at most"),
        ("Landscapes of two coordinates", "each search 13 times with different random numbers"),
        ("Landscapes of two coordinates", "points 19"),
        ("Weight vectors", "compared in the early-stopped sets"),
        ("Weight vectors", "exp(−γ|x − y|²) with γ = 1/d and the polynomial kernel (γ x·y + 1) to the power 3"),
        ("Curvature", "at the 3 minima of lowest training loss"),
        ("Curvature", "standard error of 7 %, at most 99 products"),
        ("Intervals", "1.38 for 6 runs"),
        ("Intervals", "leaves out one minimum at a time"),
        ("Random numbers", "seed 17"),
    ],
)  # fmt: skip
def test_every_choice_is_told(told: dict[str, str], part: str, words: str) -> None:
    assert words in told[part]


def test_what_is_not_there_is_not_told(make_results: MakeResults, tmp_path: Path) -> None:
    document = {"name": "mine", "networks": {"fcp": {"optimizers": {"sgd": {}}}}}
    configuration = tomllib.loads(parse_config(document).to_toml())
    found = dict(paragraphs(make_results(tmp_path, [("fcp", "sgd")], configuration=configuration)))
    assert list(found) == ["Data", "Networks", "Training", "Intervals", "Random numbers"]
    assert "jackknife" not in found["Intervals"]
    assert "every run that did not diverge was kept" in found["Training"]


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_told(make_results: MakeResults, tmp_path: Path, name: str) -> None:
    config = load_config(name)
    found = dict(paragraphs(make_results(tmp_path, configuration=tomllib.loads(config.to_toml()))))
    text = "\n".join(found.values())
    for stage in (*config.paths, *config.atlas, *config.curvature, *config.holdout, *config.maps):
        assert f"{stage}: " in text


@pytest.mark.parametrize("name", list(paths.finders))
def test_constants_in_force_have_no_gaps(name: str) -> None:
    constants = paths.finders[name]().constants
    assert constants["points"] >= 2
    made = paths.finders[name](points=33).constants
    assert made["points"] == 33


def test_constants_of_the_two_fourier_methods() -> None:
    converged = FourierPathFinder(budget=40).constants
    assert (converged["budget"], converged["falloff"], converged["basis"]) == (40, 1.5, "fourier")
    assert "penalty" not in converged
    published = FourierPathFinder(method="published", penalty=3.0).constants
    assert (published["penalty"], published["learning_rate"], published["length"]) == (3.0, 1e-3, "squared")
    assert "budget" not in published


def test_subtitle_says_what_the_study_holds(make_results: MakeResults, tmp_path: Path) -> None:
    assert subtitle(make_results(tmp_path)) == (
        "Trained replicas: how deep they ended and how high the straight lines between them rise."
    )
    assert subtitle(make_results(tmp_path, [])) == "Nothing has been computed yet."
