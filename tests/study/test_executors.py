"""Pieces computed by other processes: the order, the same bits, interruptions, failures; here and on Ray."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_studies import TINY, Log, run, stored

from lossatlas.core.errors import InputError, LossatlasError, StorageError
from lossatlas.study import Piece, Study
from lossatlas.study.executors import on_ray
from lossatlas.study.executors.schedule import Lost, News, compute_in
from lossatlas.study.load import parse_config
from lossatlas.study.numerics import StudyNumerics


class Hands:
    """A pool whose pieces end when the test looks at them: the one begun last ends first."""

    def __init__(self, failing: Sequence[str] = (), error: Exception | None = None) -> None:
        self.begun: list[str] = []
        self.most = 0
        self._open: list[tuple[Piece, Future[float]]] = []
        self._failing, self._failure = failing, error

    def submit(self, piece: Piece) -> Future[float]:
        self.begun.append(piece.label)
        future: Future[float] = Future()
        self._open.append((piece, future))
        self.most = max(self.most, len(self._open))
        return future

    def news(self) -> Iterator[News]:
        if not self._open:
            return
        piece, future = self._open.pop()
        yield piece.address, 0.5, "half"
        yield "nobody", 0.5, "of a piece that has ended"
        if piece.label in self._failing and self._failure is not None:
            future.set_exception(self._failure)
        else:
            future.set_result(1.0)

    def translate(self, error: Exception) -> Exception:
        return Lost("a machine that is gone: run it again") if isinstance(error, ConnectionError) else error


def piece(label: str, *needs: Piece) -> Piece:
    return Piece("test", label, {"label": label}, needs)


def diamond() -> list[Piece]:
    top = piece("top")
    left, right = piece("left", top), piece("right", top)
    return [top, left, right, piece("bottom", left, right), piece("alone")]


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_pieces_come_after_what_they_need(at_once: int) -> None:
    pool, log = Hands(), Log()
    compute_in(pool, diamond(), lambda each: False, log, at_once)
    assert sorted(pool.begun) == ["alone", "bottom", "left", "right", "top"]
    order = {label: place for place, label in enumerate(pool.begun)}
    assert order["top"] < min(order["left"], order["right"])
    assert max(order["left"], order["right"]) < order["bottom"]
    assert pool.most <= at_once
    assert log.computed == [f"test {label}" for label in pool.begun]


def test_what_is_done_is_not_begun() -> None:
    pool = Hands()
    compute_in(pool, diamond(), lambda each: each.label in ("top", "left"), Log(), 2)
    assert pool.begun == ["right", "alone", "bottom"]
    compute_in(pool, diamond(), lambda each: True, Log(), 2)
    assert len(pool.begun) == 3


def test_after_a_failure_nothing_begins_and_the_error_is_that_of_the_piece() -> None:
    pool = Hands(("left",), StorageError("the disk is full"))
    with pytest.raises(StorageError, match=r"^the disk is full$"):
        compute_in(pool, diamond(), lambda each: False, Log(), 3)
    assert "bottom" not in pool.begun
    pool = Hands(("top",), ConnectionError("reset"))
    with pytest.raises(LossatlasError, match=r"^expected 'test top' .*, got a machine that is gone: run it"):
        compute_in(pool, diamond(), lambda each: False, Log(), 1)
    assert pool.begun == ["top"]


# ---------------------------------------------------------------------- processes of this machine
def test_two_workers_store_the_same_bits_as_one(tmp_path: Path) -> None:
    run(tmp_path / "one", TINY)
    for file in ("numerics.json", "study.toml"):
        (tmp_path / "two" / "store").mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "one" / file, tmp_path / "two" / file)
    log = Log()
    Study(parse_config(TINY), tmp_path / "two").run(log, workers=2)
    assert set(log.computed) == set(stored(tmp_path / "one"))
    assert log.computed.index("ensemble fcp sgd") < log.computed.index("paths straight fcp sgd train")
    assert stored(tmp_path / "one") == stored(tmp_path / "two")
    again = Log()
    Study(parse_config(TINY), tmp_path / "two").run(again, workers=2)
    assert again.computed == []


def test_workers_share_the_threads_and_stop_when_interrupted(tmp_path: Path) -> None:
    class Stop(Log):
        def end(self, piece: Piece, seconds: float) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Study(parse_config(TINY), tmp_path).run(Stop(), workers=64)
    kept = StudyNumerics.load(tmp_path)
    assert kept is not None
    assert kept.threads == 1
    states = [s.state for s in Study.open(tmp_path).status()]
    assert "done" in states
    assert "to do" in states
    run(tmp_path, TINY)
    assert {s.state for s in Study.open(tmp_path).status()} == {"done"}
    with pytest.raises(InputError, match="at least one worker, got 0"):
        Study(parse_config(TINY), tmp_path).run(Log(), workers=0)


def test_what_fails_in_a_worker_is_raised_and_the_rest_is_kept(tmp_path: Path) -> None:
    class Spoil(Log):
        def begin(self, piece: Piece, number: int, total: int) -> None:
            super().begin(piece, number, total)
            if piece.kind == "paths":  # a need that is damaged before it is read
                store.path(piece.needs[0]).write_text("{")

    study = Study(parse_config(TINY), tmp_path)
    store = study.store
    with pytest.raises(StorageError):
        study.run(Spoil(), workers=2)
    names = [file.name for file in (tmp_path / "store").glob("*.json")]
    assert any(name.startswith("ensemble") for name in names)
    assert not any(name.startswith(("claims", "tables")) for name in names)


def test_unknown_executors_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got 'slurm'.*local.*ray"):
        Study(parse_config(TINY), tmp_path / "s").run(Log(), executor="slurm")  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


# ---------------------------------------------------------------------- Ray
def test_without_ray_the_user_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=re.escape("pip install 'lossatlas[ray]'")):
        Study(parse_config(TINY), tmp_path).run(Log(), executor="ray")
    # The study is whole: it goes on without.
    assert "tables all" in run(tmp_path, TINY)


def cluster(*machines: dict[str, float]) -> Any:
    return SimpleNamespace(nodes=lambda: [{"Alive": m.pop("alive", 1) > 0, "Resources": m} for m in machines])


def test_room_in_a_cluster() -> None:
    assert on_ray._room(cluster({"CPU": 8.0}, {"CPU": 3.0}), 2, 0) == 5
    assert on_ray._room(cluster({"CPU": 8.0, "GPU": 2.0}, {"CPU": 64.0}), 2, 1) == 2
    assert on_ray._room(cluster({"CPU": 8.0, "alive": 0.0}, {"CPU": 2.0}), 2, 0) == 1
    with pytest.raises(InputError, match=r"a machine with 16 cores for a piece, got a Ray cluster whose largest has 8"):
        on_ray._room(cluster({"CPU": 8.0}, {"CPU": 8.0}), 16, 0)
    with pytest.raises(InputError, match=r"1 core and a GPU for a piece.*or that has no GPU"):
        on_ray._room(cluster({"CPU": 8.0}), 1, 1)


@pytest.mark.slow
def test_ray_stores_the_same_bits_and_goes_on_after_an_interruption(tmp_path: Path) -> None:
    run(tmp_path / "local", TINY)
    for file in ("numerics.json", "study.toml"):
        (tmp_path / "ray" / "store").mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "local" / file, tmp_path / "ray" / file)
    # In a process of its own: Ray starts threads and changes signals.
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "cluster.py"), str(tmp_path / "ray")],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert "done" in told["after the interruption"]
    assert "to do" in told["after the interruption"]
    assert told["failure"].startswith("StorageError: expected a study in")
    assert "which must see the folder of the study" in told["failure"]
    assert stored(tmp_path / "ray") == stored(tmp_path / "local")
