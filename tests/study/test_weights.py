"""Weights, holdouts and maps of a study: what is stored is what the analyses say of the stored minima."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lossatlas import analysis, curvature, landscape
from lossatlas.core.errors import ConfigurationError
from lossatlas.study import Piece, Study, StudyResults
from lossatlas.study.load import parse_config

CONFIG: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits", "train_size": 64, "test_size": 32},
    "networks": {
        "fcp": {"replicas": 4, "keep": 3, "optimizers": {"lbfgs-gss": {"iterations": 4}, "sgd": {"epochs": 2}}},
    },
    "weights": {"kernels": ["rbf", "linear"]},
    "curvature": {"flatness": {"weight_sets": ["train"], "minima": 2, "products": 60}},
    "holdout": {"validation": {"fraction": 0.25, "replicas": 2}},
    "paths": {
        "aligned": {
            "method": "linear",
            "align": True,
            "weight_sets": ["train"],
            "pairs": 2,
            "options": {"points": 5, "tolerance": 0},
        },
        "on-test": {
            "method": "linear",
            "landscape": "test",
            "weight_sets": ["train"],
            "pairs": 2,
            "options": {"points": 5, "tolerance": 0},
        },
    },
    "maps": {
        "toy": {
            "repeats": 3,
            "resolution": 21,
            "finders": {
                "line": {"method": "linear", "options": {"points": 11}},
                "noisy": {"method": "fourier-published", "options": {"steps": 3, "noise": 1.0, "tolerance": 0}},
            },
        }
    },
}


class Quiet:
    """Observes nothing."""

    def begin(self, piece: Piece, number: int, total: int) -> None: ...
    def update(self, piece: Piece, fraction: float, text: str) -> None: ...
    def end(self, piece: Piece, seconds: float) -> None: ...


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study(parse_config(CONFIG), tmp_path_factory.mktemp("study"))
    study.run(Quiet())
    return study


@pytest.fixture(scope="module")
def results(finished: Study) -> StudyResults:
    return finished.results()


def test_weights_are_those_of_the_analyses(results: StudyResults) -> None:
    (found,) = results.weights
    bfgs, sgd = results.experiments
    assert set(found.statistics) == {(o, s) for o in ("lbfgs-gss", "sgd") for s in ("train", "test")}
    expected = analysis.weight_statistics(sgd.ensemble.train.weights, sgd.ensemble.spec)
    assert repr(found.statistics["sgd", "train"].components) == repr(expected.components)
    sets = [(each.first_set, each.second_set) for each in found.comparisons]
    # Figs. 5 and 6 of the paper set the minima of the one beside the early-stopped weights of the other.
    assert sets == [("train", "train"), ("test", "test"), ("train", "test")]
    one, other = bfgs.ensemble.train.weights, sgd.ensemble.weight_set("test").weights
    middle = (one.double().mean(0) + other.double().mean(0)) / 2
    (radii, _) = found.comparisons[2].origin.distances
    torch.testing.assert_close(radii, (one.double() - middle).norm(dim=1))
    assert [pca.kernel.name for pca, _ in found.comparisons[0].components] == ["rbf", "linear"]
    assert results.tables["table_s1"].column("minima") == [3, 3, 3, 3]
    assert len(results.tables["separation"].rows) == 6


def test_aligned_ends_are_closer_and_the_test_landscape_is_another(results: StudyResults, finished: Study) -> None:
    for experiment in results.experiments:
        weights = experiment.ensemble.train.weights
        for pair in experiment.pairs["train"]:
            raw = float((weights[pair.first].double() - weights[pair.second].double()).norm())
            where = "test" if pair.stage == "on-test" else "train"
            assert (pair.landscape, pair.aligned) == (where, pair.stage == "aligned")
            exact = finished.problems["fcp"].landscape(where).to(dtype=torch.float64)
            # Hidden units in another order are the same function.
            assert float(pair.path.loss[-1]) == pytest.approx(
                float(exact.value(weights[pair.second].double())), rel=1e-6
            )
            assert pair.path.distance < 0.999 * raw if pair.aligned else pair.path.distance == pytest.approx(raw)
    assert {r["stage"] for r in results.tables["passes"].records()} == {"aligned", "on-test"}
    assert "barriers" not in results.tables


def test_a_holdout_records_three_losses_of_fewer_examples(results: StudyResults) -> None:
    assert [(each.optimizer, each.fraction) for each in results.holdouts] == [("lbfgs-gss", 0.25), ("sgd", 0.25)]
    for each in results.holdouts:
        for name in ("train_loss", "validation_loss", "test_loss"):
            assert each.curves.values[name].shape == (2, len(each.curves.steps))
        own = next(e for e in results.experiments if e.optimizer == each.optimizer).ensemble.curves
        assert own is not None
        # The same initial weights, on other examples.
        torch.testing.assert_close(each.curves.values["test_loss"][:, 0], own.values["test_loss"][:2, 0])
        assert not torch.equal(each.curves.values["train_loss"][:, 0], own.values["train_loss"][:2, 0])


def test_sharpness_is_that_of_the_training_loss(results: StudyResults, finished: Study) -> None:
    (bfgs, _) = results.curvatures
    exact = finished.problems["fcp"].train.to(dtype=torch.float64)
    experiment = next(e for e in results.experiments if e.optimizer == bfgs.optimizer)
    best = experiment.ensemble.train.scores["train_loss"].argsort()[:2].sort().values
    assert bfgs.members == tuple(best.tolist())
    points = experiment.ensemble.train.weights[best].double()
    found = curvature.eigenvalues(exact, points, k=1)
    torch.testing.assert_close(bfgs.sharpness["none"].top, found.values[:, 0], rtol=1e-4, atol=0)
    assert set(bfgs.sharpness) == {"none", "parameter"}
    assert len(results.tables["sharpness"].rows) == 4


def test_every_claim_is_tested_or_says_what_is_missing(results: StudyResults) -> None:
    of_network = {claim.name for claim in results.claims if claim.network == "fcp"}
    assert of_network == set(analysis.claims.claims)
    by_name = {(c.name, c.where): c for c in results.claims if c.network == "fcp"}
    (losses,) = [c for c in results.claims if c.name == "training-loss-lower" and c.network == "fcp"]
    scores = {e.optimizer: e.ensemble.train.scores["train_loss"].double().log10().mean() for e in results.experiments}
    assert losses.effect is not None
    assert losses.effect.mean == pytest.approx(10 ** float(scores["lbfgs-gss"] - scores["sgd"]), rel=1e-9)
    optimism = [c for c in by_name.values() if c.name == "early-stopping-optimism"]
    assert all(c.effect is not None and c.effect.units == 2 for c in optimism)
    unmeasured = [c for c in by_name.values() if c.verdict == "not measured"]
    assert unmeasured
    assert all(c.note for c in unmeasured)
    assert {c.network for c in results.claims} == {"fcp", "paper-toy"}
    assert len(results.tables["claims"].rows) == len(results.claims)


def test_a_map_repeats_its_searches(results: StudyResults) -> None:
    (toy,) = results.maps
    assert toy.exact == pytest.approx(0.624393347187, abs=1e-9)
    assert toy.surface.z.shape == (21, 21)
    assert toy.heights["line"].unique().tolist() == pytest.approx([1.1023], abs=1e-3)
    assert len(toy.heights["noisy"].unique()) == 3
    assert toy.paths["noisy"].height == float(toy.heights["noisy"][0])
    points = toy.paths["noisy"].points
    assert points is not None, "without its points a path cannot be drawn on the map"
    torch.testing.assert_close(landscape.get("paper-toy").value(points.double()), toy.paths["noisy"].loss)


def test_a_map_needs_two_coordinates() -> None:
    maps = {"toy": {**CONFIG["maps"]["toy"], "landscape": "phi4-ring"}}
    with pytest.raises(ConfigurationError, match="two coordinates"):
        parse_config({**CONFIG, "maps": maps})
    with pytest.raises(ConfigurationError, match="did you mean 'fcp'"):
        parse_config({**CONFIG, "weights": {"networks": ["fpc"]}})
