"""Pieces computed as tasks of Ray, on this machine or on a cluster."""

from __future__ import annotations

import functools
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

from lossatlas.core.errors import InputError, LossatlasError
from lossatlas.study.executors.schedule import Compute, Lost, News
from lossatlas.study.store import Piece

__all__ = ["ray_pool"]

_ENVIRONMENT = "LOSSATLAS_DATA"  # what the user's shell says and the workers of a cluster have to know
_PATHS = "on a machine of the Ray cluster, which must see the folder of the study and the data at the same paths"
_TELL = 0.2  # seconds between two messages about a piece: each crosses the network
_LEAVE = 60.0  # seconds for pieces to write their checkpoints after an interruption


@contextmanager
def ray_pool(make: Callable[[], Compute], cores: int, accelerators: int) -> Iterator[_RayPool]:
    """Tasks on the cluster that runs here or that ``RAY_ADDRESS`` names, or else on a cluster of this machine alone.

    Every machine must have the packages of this one and see the folder of the study, and the data, at the same paths.

    Args:
        make: called once in each of Ray's processes; its result computes pieces there.
        cores: of a machine, for each piece.
        accelerators: of a machine, for each piece.

    Raises:
        InputError: Ray is not installed, or no machine of the cluster has room for a piece.
    """
    ray = _import()
    joined = ray.is_initialized()
    if not joined:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine that was not asked for
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        pool = _RayPool(ray, make, cores, accelerators, _room(ray, cores, accelerators))
        try:
            yield pool
        finally:
            pool.leave()
    finally:
        if not joined:
            ray.shutdown()


def _import() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError(
            "expected the package 'ray' for the executor 'ray', got none: pip install 'lossatlas[ray]', or take the "
            "executor 'local'"
        ) from None
    return ray


def _room(ray: Any, cores: int, accelerators: int) -> int:
    """How many pieces the cluster computes at once; it may grow and shrink, and Ray lets pieces wait."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = 0
    for machine in machines:
        by_cores = int(machine.get("CPU", 0) // cores)
        room += min(by_cores, int(machine.get("GPU", 0) // accelerators)) if accelerators else by_cores
    if room == 0:
        wanted = f"{cores} core{'s' * (cores > 1)}" + (" and a GPU" if accelerators else "")
        most = max((machine.get("CPU", 0) for machine in machines), default=0)
        raise InputError(
            f"expected a machine with {wanted} for a piece, got a Ray cluster whose largest has {most:.0f} cores"
            f"{', or that has no GPU' if accelerators else ''}: begin the study with more --workers, or add a machine"
        )
    return room


class _RayPool:
    def __init__(self, ray: Any, make: Callable[[], Compute], cores: int, accelerators: int, room: int) -> None:
        from ray.util.queue import Queue

        self.room = room
        self._ray, self._events = ray, Queue()
        self._references: dict[Future[float], Any] = {}
        task = ray.remote(num_cpus=cores, num_gpus=accelerators)(_compute)
        environment = {_ENVIRONMENT: os.environ[_ENVIRONMENT]} if _ENVIRONMENT in os.environ else {}
        self._begin = functools.partial(task.remote, uuid.uuid4().hex, make, environment, self._events)

    def submit(self, piece: Piece) -> Future[float]:
        """Begin a piece, where and when there is room."""
        reference = self._begin(piece)
        future: Future[float] = reference.future()
        self._references[future] = reference
        return future

    def news(self) -> list[News]:
        """Progress since the last call."""
        waiting = self._events.qsize()
        found: list[News] = self._events.get_nowait_batch(waiting) if waiting else []
        return found

    def translate(self, error: Exception) -> Exception:
        """Unwrap what a task raised; say what it means that a process or machine is gone."""
        if isinstance(error, self._ray.exceptions.RayTaskError):
            cause: Exception = error.cause
            return cause
        if isinstance(error, self._ray.exceptions.RayError):
            reason = str(error).strip().split("\n", maxsplit=1)[0]
            return Lost(f"a process that is gone ('{reason}'): run it again, what is stored is kept")
        return error

    def leave(self) -> None:
        """Interrupt what is running, so that it writes its checkpoint; after a run to the end there is nothing."""
        running = [reference for future, reference in self._references.items() if not future.done()]
        for reference in running:
            self._ray.cancel(reference)
        with suppress(self._ray.exceptions.RayError):
            self._ray.wait(running, num_returns=len(running), timeout=_LEAVE) if running else None


# ---------------------------------------------------------------------- in a process of Ray
_here: dict[str, Compute] = {}


def _compute(run: str, make: Callable[[], Compute], environment: Mapping[str, str], events: Any, piece: Piece) -> float:
    if run not in _here:
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        _here.clear()  # of an earlier run
        try:
            _here[run] = make()
        except LossatlasError as error:
            raise type(error)(f"{error} ({_PATHS})") from error
    return _here[run](piece, _Teller(events, piece.address))


class _Teller:
    """Tells how far a piece is, not too often."""

    def __init__(self, events: Any, address: str) -> None:
        self._events, self._address, self._last = events, address, 0.0

    def __call__(self, fraction: float, text: str) -> None:
        if time.monotonic() - self._last >= _TELL:
            self._last = time.monotonic()
            self._events.put((self._address, fraction, text))
