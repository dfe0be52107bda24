"""Pieces computed by other processes: the order, the same bits, interruptions, failures; here and on Ray."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_studies import TINY, Log, run, stored

from lossatlas.core.errors import InputError, LossatlasError, StorageError
from lossatlas.study import Piece, Study
from lossatlas.study.executors import compute_pieces, local, on_ray
from lossatlas.study.executors.schedule import Lost, News, compute_in
from lossatlas.study.load import parse_config
from lossatlas.study.numerics import StudyNumerics
from lossatlas.study.study import _in_worker


class Hands:
    """A pool whose pieces end when the test looks at them: the one begun last ends first."""

    def __init__(
        self, at_once: int, failing: Sequence[str] = (), error: Exception | None = None, retries: int = 0
    ) -> None:
        self.begun: list[str] = []
        self.most = 0
        self.retries = retries
        self._at_once = at_once
        self._open: list[tuple[Piece, Future[float]]] = []
        self._failing, self._failure = failing, error

    def submit(self, piece: Piece) -> Future[float]:
        self.begun.append(piece.label)
        if piece.label in self._failing and isinstance(self._failure, BrokenPipeError):
            raise self._failure
        future: Future[float] = Future()
        self._open.append((piece, future))
        self.most = max(self.most, len(self._open))
        return future

    def room(self) -> int:
        return self._at_once

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
    pool, log = Hands(at_once), Log()
    compute_in(pool, diamond(), lambda each: False, log)
    assert sorted(pool.begun) == ["alone", "bottom", "left", "right", "top"]
    order = {label: place for place, label in enumerate(pool.begun)}
    assert order["top"] < min(order["left"], order["right"])
    assert max(order["left"], order["right"]) < order["bottom"]
    assert pool.most <= at_once
    assert log.computed == [f"test {label}" for label in pool.begun]


def test_what_is_done_is_not_begun() -> None:
    pool = Hands(2)
    compute_in(pool, diamond(), lambda each: each.label in ("top", "left"), Log())
    assert pool.begun == ["right", "alone", "bottom"]
    compute_in(pool, diamond(), lambda each: True, Log())
    assert len(pool.begun) == 3


def test_after_a_failure_nothing_begins_and_the_error_is_that_of_the_piece() -> None:
    pool = Hands(3, ("left",), StorageError("the disk is full"))
    with pytest.raises(StorageError, match=r"^the disk is full$"):
        compute_in(pool, diamond(), lambda each: False, Log())
    assert "bottom" not in pool.begun


@pytest.mark.parametrize("error", [ConnectionError("reset"), BrokenPipeError("gone before it began")])
def test_a_piece_whose_process_is_gone_begins_again_so_often(error: Exception) -> None:
    pool = Hands(1, ("top",), error)
    with pytest.raises(LossatlasError, match=r"^expected 'test top' to be .*, got a machine that is gone: run"):
        compute_in(pool, diamond(), lambda each: False, Log())
    assert pool.begun == ["top"]
    # Which of two took the process down cannot be told.
    pool = Hands(2, ("top",), error, retries=3)
    with pytest.raises(LossatlasError, match=r"^expected 'test top'(, 'test alone')? to be"):
        compute_in(pool, diamond(), lambda each: False, Log())
    assert pool.begun.count("top") == 4


def with_these_paths() -> dict[str, str]:
    """The environment of a script that imports what the tests do."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


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


def test_an_interruption_from_the_terminal_ends_no_step_half_way(tmp_path: Path) -> None:
    """A terminal interrupts every process of the command, and the command its workers once more."""
    running = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "terminal.py"), str(tmp_path)],
        stderr=subprocess.DEVNULL,
        env=with_these_paths(),
        start_new_session=True,
    )
    while running.poll() is None and not (tmp_path / "step").exists():
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(timeout=60) != 0
    assert (tmp_path / "whole").exists()


def test_what_fails_when_a_worker_begins_is_told_as_it_is(tmp_path: Path) -> None:
    study = Study(parse_config(TINY), tmp_path)
    study.run(Log())
    pieces = study.pieces(study.numerics())
    elsewhere = functools.partial(_in_worker, tmp_path / "elsewhere", "cpu", 30.0)
    with pytest.raises(StorageError, match=r"expected a study in .*elsewhere"):
        compute_pieces(
            pieces, lambda each: False, elsewhere, Log(), executor="local", workers=1, cores=1, accelerators=0
        )


def test_a_stop_before_a_piece_begins_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_here", {"stopped": True})
    with pytest.raises(KeyboardInterrupt):
        local._compute(piece("any"))


def test_threads_are_given_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        study = Study(parse_config(TINY), tmp_path)
        assert study.numerics(4).threads == 1
        assert study.numerics(2).threads == 2
        study.run(Log(), workers=1)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_unknown_executors_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got 'slurm'.*local.*ray"):
        Study(parse_config(TINY), tmp_path / "s").run(Log(), executor="slurm")  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


# ---------------------------------------------------------------------- Ray
def test_without_ray_the_user_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=re.escape("pip install 'lossatlas[ray]'")):
        Study(parse_config(TINY), tmp_path / "s").run(Log(), executor="ray")
    assert not (tmp_path / "s").exists()


def cluster(cores: int, accelerators: int, *machines: dict[str, float]) -> on_ray._RayPool:
    """A pool beside machines of our making; no cluster is started."""
    pool = on_ray._RayPool.__new__(on_ray._RayPool)
    nodes = [{"Alive": m.pop("alive", 1) > 0, "Resources": m} for m in machines]
    pool._ray, pool._cores, pool._accelerators = SimpleNamespace(nodes=lambda: nodes), cores, accelerators
    return pool


def test_room_in_a_cluster() -> None:
    assert cluster(2, 0, {"CPU": 8.0}, {"CPU": 3.0}).room() == 5
    assert cluster(2, 1, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 64.0}).room() == 2
    assert cluster(2, 0, {"CPU": 8.0, "alive": 0.0}, {"CPU": 2.0}).room() == 1
    to_come = cluster(2, 0, {"memory": 1e9})  # a head that computes nothing; the first piece calls for machines
    to_come.check_room()
    assert to_come.room() == 1
    cluster(8, 0, {"CPU": 8.0}).check_room()
    with pytest.raises(InputError, match="a machine with 16 cores for a piece, got a Ray cluster whose largest has 8"):
        cluster(16, 0, {"CPU": 8.0}, {"CPU": 8.0}).check_room()
    with pytest.raises(InputError, match=r"1 core and a GPU for a piece.*or that has no GPU"):
        cluster(1, 1, {"CPU": 8.0}).check_room()


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
        env=with_these_paths(),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert "done" in told["after the interruption"]
    assert "to do" in told["after the interruption"]
    assert told["failure"].startswith("StorageError: expected a study in")
    assert "which must see the folder of the study" in told["failure"]
    assert stored(tmp_path / "ray") == stored(tmp_path / "local")
