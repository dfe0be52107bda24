"""Pieces computed by processes of this machine."""

from __future__ import annotations

import _thread
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_one
from multiprocessing.queues import Queue
from types import FrameType
from typing import Any

from lossatlas.study.executors.schedule import Compute, Lost, News
from lossatlas.study.store import Piece

__all__ = ["local_pool"]


@contextmanager
def local_pool(make: Callable[[], Compute], processes: int) -> Iterator[_LocalPool]:
    """Processes that are spawned, not forked: PyTorch's threads do not survive a fork.

    They end with their parent, however that ends.

    Args:
        make: called once in each process, can be pickled; its result computes pieces there.
        processes: how many, and so pieces at a time.
    """
    spawn = multiprocessing.get_context("spawn")
    events: Queue[News] = spawn.Queue()
    stopped, stop = spawn.Pipe(duplex=False)
    pool = ProcessPoolExecutor(processes, spawn, _begin, (make, events, stopped))
    try:
        yield _LocalPool(pool, events, processes)
    finally:
        # After an interruption the processes have pieces to leave, otherwise they are idle.
        stop.close()
        pool.shutdown(wait=True, cancel_futures=True)
        stopped.close()
        events.close()


class _LocalPool:
    retries = 0  # one that is gone takes the others with it

    def __init__(self, pool: ProcessPoolExecutor, events: Queue[News], processes: int) -> None:
        self._pool, self._events, self._processes = pool, events, processes

    def room(self) -> int:
        """As many pieces as processes."""
        return self._processes

    def submit(self, piece: Piece) -> Future[float]:
        """Begin a piece."""
        # Here processes are started. They inherit that Ctrl-C is blocked, and so do the threads of libraries in them.
        with _blocked_interrupts():
            return self._pool.submit(_compute, piece)

    def news(self) -> Iterator[News]:
        """Progress since the last call."""
        while not self._events.empty():
            yield self._events.get()

    def translate(self, error: Exception) -> Exception:
        """Say what it means that a process is gone."""
        if isinstance(error, BrokenProcessPool):
            return Lost(
                "a process that was killed (often for lack of memory): run it again with fewer "
                "--workers, what is stored is kept"
            )
        return error


@contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """Hold back Ctrl-C in this thread, where the system knows such a thing."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---------------------------------------------------------------------- in a process
_here: dict[str, Any] = {}


def _begin(make: Callable[[], Compute], events: Queue[News], stopped: Connection) -> None:
    """Make ready to compute; stop when the parent says so, end when it does."""
    # A terminal sends Ctrl-C to the parent and to its processes, which are started with it blocked: only the parent's
    # word counts, or it would come twice.
    signal.signal(signal.SIGINT, _interrupt)
    events.cancel_join_thread()  # a parent that stops reads no more news, and is not to be waited for
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel, stopped), daemon=True).start()
    _here.update(make=make, events=events)


def _watch(parent: int, stopped: Connection) -> None:
    if parent in wait_for_one([parent, stopped]):
        os._exit(1)  # a killed study must not go on writing beside the one that continues it
    _here["stopped"] = True
    _thread.interrupt_main()  # at the level of Python, where no mask of signals holds it back
    wait_for_one([parent])
    os._exit(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Leave the piece in progress, once: its checkpoint is not to be interrupted."""
    if _here.pop("computing", False):
        raise KeyboardInterrupt


def _compute(piece: Piece) -> float:
    _here["computing"] = True
    try:
        if "stopped" in _here:  # before there was a piece to leave
            raise KeyboardInterrupt
        if "compute" not in _here:
            _here["compute"] = _here["make"]()
        compute: Compute = _here["compute"]
        return compute(piece, functools.partial(_tell, piece.address))
    finally:
        _here.pop("computing", None)


def _tell(address: str, fraction: float, text: str) -> None:
    _here["events"].put((address, fraction, text))
