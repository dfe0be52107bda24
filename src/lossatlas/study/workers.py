"""Pieces of a study computed by several processes at once, each piece after what it needs."""

from __future__ import annotations

import _thread
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_one
from multiprocessing.queues import Queue
from types import FrameType
from typing import Any, Protocol, TypeAlias

from lossatlas.core.errors import LossatlasError
from lossatlas.study.context import Update
from lossatlas.study.store import Piece

__all__ = ["Compute", "Observer", "compute_in_processes"]

Compute: TypeAlias = Callable[[Piece, Update], float]
"""Computes a piece, stores it and returns the seconds that took."""

_POLL = 0.2  # seconds between two looks at the progress of the processes


class Observer(Protocol):
    """Told what a running study does; progress displays implement it."""

    def begin(self, piece: Piece, number: int, total: int) -> None:
        """A piece is being computed."""
        ...

    def update(self, piece: Piece, fraction: float, text: str) -> None:
        """The piece is this far."""
        ...

    def end(self, piece: Piece, seconds: float) -> None:
        """The piece is stored."""
        ...


def compute_in_processes(
    pieces: Sequence[Piece],
    done: Callable[[Piece], bool],
    make: Callable[[], Compute],
    observer: Observer,
    workers: int,
) -> None:
    """Compute the pieces that are not done, in their order as far as their needs allow.

    The processes are spawned, not forked: PyTorch's threads do not survive a fork. They end with their parent, however
    that ends. After a failure no further piece is begun, those in progress are completed and kept, and the failure is
    raised.

    Args:
        pieces: each after what it needs.
        done: whether a piece is stored.
        make: called once in each process, can be pickled; its result computes pieces there.
        observer: told about progress.
        workers: processes.

    Raises:
        LossatlasError: what computing a piece raised, or a process was killed.
    """
    waiting = [piece for piece in pieces if not done(piece)]
    if not waiting:
        return
    spawn = multiprocessing.get_context("spawn")
    events: Queue[tuple[str, float, str]] = spawn.Queue()
    stopped, stop = spawn.Pipe(duplex=False)
    pool = ProcessPoolExecutor(min(workers, len(waiting)), spawn, _begin, (make, events, stopped))
    try:
        _Run(pieces, waiting, observer, pool, events).to_the_end(workers)
    finally:
        # After an interruption the processes have pieces to leave, otherwise they are idle.
        stop.close()
        pool.shutdown(wait=True, cancel_futures=True)
        stopped.close()
        events.close()


class _Run:
    """Pieces on their way through the processes."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        waiting: list[Piece],
        observer: Observer,
        pool: ProcessPoolExecutor,
        events: Queue[tuple[str, float, str]],
    ) -> None:
        self._numbers = {piece.address: number for number, piece in enumerate(pieces, 1)}
        self._waiting = waiting
        self._unfinished = {piece.address for piece in waiting}
        self._running: dict[Future[float], Piece] = {}
        self._failure: BaseException | None = None
        self._observer, self._pool, self._events = observer, pool, events

    def to_the_end(self, workers: int) -> None:
        """Until all are stored, or one failed and those beside it are stored."""
        while self._running or (self._waiting and self._failure is None):
            if self._failure is None:
                self._submit(workers - len(self._running))
            ended, _ = wait(self._running, _POLL, FIRST_COMPLETED)
            self._pass_on_progress()
            for future in ended:
                self._finish(future)
        if self._failure is not None:
            raise self._failure

    def _submit(self, free: int) -> None:
        ready = [p for p in self._waiting if not any(need.address in self._unfinished for need in p.needs)]
        for piece in ready[:free]:
            self._waiting.remove(piece)
            self._observer.begin(piece, self._numbers[piece.address], len(self._numbers))
            self._running[self._pool.submit(_compute, piece)] = piece

    def _pass_on_progress(self) -> None:
        running = {piece.address: piece for piece in self._running.values()}
        while not self._events.empty():
            address, fraction, text = self._events.get()
            if address in running:  # news of a piece may come after its end
                self._observer.update(running[address], fraction, text)

    def _finish(self, future: Future[float]) -> None:
        piece = self._running.pop(future)
        try:
            seconds = future.result()
        except BrokenProcessPool:
            self._failure = self._failure or LossatlasError(
                f"expected '{piece.kind} {piece.label}' to be computed, got a process that was killed (often for lack "
                "of memory): run it again with fewer --workers, what is stored is kept"
            )
        except Exception as error:
            self._failure = self._failure or error
        else:
            self._unfinished.discard(piece.address)
            self._observer.end(piece, seconds)


# ---------------------------------------------------------------------- in a process
_here: dict[str, Any] = {}


def _begin(make: Callable[[], Compute], events: Queue[tuple[str, float, str]], stopped: Connection) -> None:
    """Make ready to compute; stop when the parent says so, end when it does."""
    signal.signal(signal.SIGINT, _interrupt)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel, stopped), daemon=True).start()
    _here.update(compute=make(), events=events)


def _watch(parent: int, stopped: Connection) -> None:
    if parent in wait_for_one([parent, stopped]):
        os._exit(1)  # a killed study must not go on writing beside the one that continues it
    _thread.interrupt_main()
    wait_for_one([parent])
    os._exit(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Leave the piece in progress, once: its checkpoint is not to be interrupted."""
    if _here.pop("computing", False):
        raise KeyboardInterrupt


def _compute(piece: Piece) -> float:
    compute: Compute = _here["compute"]
    _here["computing"] = True
    try:
        return compute(piece, functools.partial(_tell, piece.address))
    finally:
        _here.pop("computing", None)


def _tell(address: str, fraction: float, text: str) -> None:
    _here["events"].put((address, fraction, text))
