"""Paths and atlases of a study: several stages, one tree, nothing found twice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_studies import age_checkpoint

from lossatlas import paths, report
from lossatlas.study import Piece, Study
from lossatlas.study.load import parse_config
from lossatlas.study.stages import atlas as atlas_stage

CONFIG: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits", "train_size": 64, "test_size": 32},
    "networks": {
        "fcp": {"replicas": 3, "optimizers": {"lbfgs-gss": {"iterations": 4}, "sgd": {"epochs": 2}}},
    },
    "paths": {
        "straight": {"weight_sets": ["train"], "pairs": 2, "options": {"points": 5, "tolerance": 0}},
        "low": {
            "method": "fourier",
            "networks": ["fcp"],
            "weight_sets": ["train"],
            "pairs": 2,
            "options": {"points": 5, "budget": 10, "tolerance": 0},
        },
    },
    "atlas": {"all": {"method": "linear", "minima": 2, "paths": 4, "options": {"points": 5, "tolerance": 0}}},
}


class Quiet:
    """Observes nothing; ``stop`` raises at the n-th update of an atlas."""

    def __init__(self, stop: int | None = None) -> None:
        self.left = stop
        self.kind = ""

    def begin(self, piece: Piece, number: int, total: int) -> None:
        self.kind = piece.kind

    def update(self, piece: Piece, fraction: float, text: str) -> None:
        if self.kind == "atlas" and self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    def end(self, piece: Piece, seconds: float) -> None: ...


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study(parse_config(CONFIG), tmp_path_factory.mktemp("study"))
    study.run(Quiet())
    return study


def test_stages_connect_the_same_pairs(finished: Study) -> None:
    results = finished.results()
    for experiment in results.experiments:
        found = experiment.pairs["train"]
        by_stage = {stage: [(p.first, p.second) for p in found if p.stage == stage] for stage in ("straight", "low")}
        assert by_stage["straight"] == by_stage["low"]
        assert len(by_stage["low"]) == 2
    assert {r["method"] for r in results.tables["barriers"].records()} == {"linear"}
    (low, _) = results.tables["passes"].records()
    assert (low["stage"], low["method"], low["pairs"], low["minima"]) == ("low", "fourier", 2, 3)
    assert 0 < low["gradients_mean"] <= 10


def test_an_atlas_joins_the_lowest_minima_of_both_optimizers(finished: Study) -> None:
    results = finished.results()
    (atlas,) = results.atlases
    chosen = {
        e.optimizer: e.ensemble.train.scores["train_loss"].argsort()[:2].sort().values.tolist()
        for e in results.experiments
    }
    assert atlas.members == tuple((optimizer, i) for optimizer in ("lbfgs-gss", "sgd") for i in chosen[optimizer])
    assert len(atlas.pairs) == 4
    problem = finished.problems["fcp"]
    rows = [e.ensemble.train.weights[i] for e in results.experiments for i in chosen[e.optimizer]]
    points = torch.stack(rows).double()
    exact = problem.train.to(dtype=torch.float64)
    torch.testing.assert_close(atlas.tree.energies, exact.value(points))
    for pair in atlas.pairs:
        line = paths.find(exact, points[pair.first], points[pair.second], method="linear", points=5, tolerance=0)
        assert float(atlas.tree.heights[pair.first, pair.second]) == pytest.approx(line.height, rel=1e-9)
    assert atlas.tree.connected


def test_an_interrupted_atlas_goes_on_where_it_was(
    finished: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atlas_stage, "GROUP", 1)
    study = Study(parse_config(CONFIG), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        study.run(Quiet(stop=2), checkpoint_seconds=0.0)
    asked: list[int] = []
    linear: Any = paths.finders["linear"]
    search = linear.search

    def counted(self: Any, landscape: Any, ends: Any) -> Any:
        asked.append(len(ends))
        return search(self, landscape, ends)

    monkeypatch.setattr(linear, "search", counted)
    (piece,) = (status.piece for status in study.status() if status.state == "in progress")
    age_checkpoint(study, piece, 1000.0)
    study.run(Quiet())
    assert asked == [1, 1]  # two of the four paths were stored
    assert 1000 < study.store.seconds(piece) < 1500  # the time of both processes
    (again,), (before,) = study.results().atlases, finished.results().atlases
    torch.testing.assert_close(again.tree.merge_heights, before.tree.merge_heights)


def test_the_report_says_what_was_found(finished: Study, tmp_path: Path) -> None:
    page = report.write(finished.results(), tmp_path).read_text(encoding="utf-8")
    words = re.sub(r"<[^>]+>", "", page)
    assert 'id="passes"' in page
    assert 'id="topography"' in page
    assert "4 minima of L-BFGS-GSS and SGD, joined by 4 of the 6 possible paths (linear)" in words
    assert "Four paths on FCP, found by fourier with" in words
    for name in ("passes", "topography-all-fcp"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 5000
    assert (tmp_path / "tables" / "passes.csv").exists()
