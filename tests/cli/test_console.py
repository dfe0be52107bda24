from __future__ import annotations

import pytest

from lossatlas.cli import console as module
from lossatlas.cli.console import StudyProgress, duration, size
from lossatlas.study import Piece


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"),
     (7199, "2 h 0 min"), (90061, "25 h 1 min"), (float("inf"), "unknown time"), (float("nan"), "unknown time")],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5 * 10**12, "5000.0 GB")])
def test_sizes(count, text):
    assert size(count) == text


def test_the_time_left_of_a_continued_piece_is_at_the_speed_of_this_process(monkeypatch, capsys):
    clock = iter([0.0, 10.0, 20.0, 30.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    piece = Piece("ensemble", "fcp sgd", {})
    with StudyProgress() as progress:
        progress.begin(piece, 1, 1)
        for done in (50, 51, 52):  # one epoch in ten seconds, 50 of 100 by an earlier process
            progress.update(piece, done / 100, f"epoch {done}/100")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "  50 %, unknown time left: epoch 50/100",
        "  51 %, 8 min 10 s left: epoch 51/100",
        "  52 %, 8 min 0 s left: epoch 52/100",
    ]
