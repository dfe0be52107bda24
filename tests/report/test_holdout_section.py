"""Early stopping in the report: the table, what it comes to, and one run of each optimizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lossatlas.analysis import early_stopping_table
from lossatlas.core.ensemble import Curves
from lossatlas.report import write
from lossatlas.report.blocks import Prose
from lossatlas.report.marks import Line, Points
from lossatlas.report.sections import holdout
from lossatlas.study.results import Holdout, StudyResults

MakeResults = Callable[..., StudyResults]


def held_out(network: str, optimizer: str, turn: int) -> Holdout:
    """Two runs: the validation loss turns at ``turn``, the test loss at 30."""
    steps = torch.arange(0, 101, 10)
    t = steps.double()
    test = 1 + ((t - 30) / 100).square()
    values = {
        "train_loss": (2.0 / (1 + t)).expand(2, -1),
        "validation_loss": torch.stack([1 + (t - turn).abs() / 100, torch.full_like(t, float("nan"))]),
        "test_loss": test.expand(2, -1),
    }
    return Holdout("validation", network, optimizer, 0.1, Curves(steps, "iteration", values))


@pytest.fixture
def results(make_results: MakeResults, tmp_path: Path) -> StudyResults:
    found = (held_out("fcp", "lbfgs-gss", 50), held_out("fcp", "sgd", 100), held_out("lstm", "sgd", 30))
    table = early_stopping_table({(h.stage, h.network, h.optimizer): (h.fraction, h.curves) for h in found})
    base = make_results(tmp_path, [("fcp", "sgd"), ("lstm", "sgd")])
    return make_results(tmp_path, [("fcp", "sgd")], tables={**base.tables, "early_stopping": table}, holdouts=found)


def test_words(results: StudyResults) -> None:
    section = holdout.build(results)
    assert section is not None
    texts = [block.text for block in section.blocks if isinstance(block, Prose)]
    assert texts[1] == (
        "Relative to the lowest test loss the optimism is, in the mean over runs: FCP by L-BFGS-GSS 4.0 %, FCP by SGD "
        "49 % and LSTM by SGD 0 %. In 1 of the 3 runs the held-out loss was lowest at the end: nothing stopped them "
        "early, so they say little."
    )
    assert [table.name for table in section.tables] == ["early_stopping"]


def test_figure(results: StudyResults) -> None:
    section = holdout.build(results)
    assert section is not None
    (figure,) = section.figures
    assert [panel.title for panel in figure.panels] == ["FCP, L-BFGS-GSS, replica 0", "FCP, SGD, replica 0"]
    lines = [mark for mark in figure.panels[0].marks if isinstance(mark, Line)]
    points = [mark for mark in figure.panels[0].marks if isinstance(mark, Points)]
    assert [line.label for line in lines] == ["training examples", "held-out examples", "test examples"]
    assert [(np.asarray(p.x).item(), np.asarray(p.y).item()) for p in points] == [(50.0, 1.04), (30.0, 1.0)]
    assert (figure.panels[0].x.text, figure.panels[0].y.text) == ("Training time (iterations)", "Loss (nat)")


def test_written(results: StudyResults, tmp_path: Path) -> None:
    write(results, tmp_path / "out")
    assert "lowest loss of held-out examples" in (tmp_path / "out" / "figures" / "early-stopping.csv").read_text()


def test_without(make_results: MakeResults, tmp_path: Path) -> None:
    assert holdout.build(make_results(tmp_path)) is None
    lost = Curves(torch.arange(2), "epoch", {"validation_loss": torch.ones(1, 2) / 0, "test_loss": torch.ones(1, 2)})
    only = make_results(tmp_path, [("fcp", "sgd")], holdouts=(Holdout("v", "fcp", "sgd", 0.1, lost),))
    section = holdout.build(only)
    assert section is not None
    assert section.figures == ()
