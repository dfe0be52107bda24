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
    ray = import_ray()
    joined = ray.is_initialized()
    if not joined:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine that was not asked for
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        pool = _RayPool(ray, make, cores, accelerators)
        pool.check_room()
        try:
            yield pool
        finally:
            pool.leave()
    finally:
        if not joined:
            ray.shutdown()


def import_ray() -> Any:
    """The package.

    Raises:
        InputError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise InputError(
            "expected the package 'ray' for the executor 'ray', got none: pip install 'lossatlas[ray]', or take the "
            "executor 'local'"
        ) from None
    return ray


class _RayPool:
    retries = 3  # machines go; one without enough memory for a piece would kill it for ever

    def __init__(self, ray: Any, make: Callable[[], Compute], cores: int, accelerators: int) -> None:
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._cores, self._accelerators = ray, cores, accelerators
        # The news are kept where they are read: that machine stays as long as this process.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._events = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        self._references: dict[Future[float], Any] = {}
        # Ray's own retries have no end where memory is short; those of the schedule do.
        task = ray.remote(num_cpus=cores, num_gpus=accelerators, max_retries=0)(_compute)
        environment = {_ENVIRONMENT: os.environ[_ENVIRONMENT]} if _ENVIRONMENT in os.environ else {}
        self._begin = functools.partial(task.remote, uuid.uuid4().hex, make, environment, self._events.actor)

    def submit(self, piece: Piece) -> Future[float]:
        """Begin a piece, where and when there is room."""
        reference = self._begin(piece)
        future: Future[float] = reference.future()
        self._references[future] = reference
        return future

    def _machines(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def room(self) -> int:
        """How many pieces the machines that are there now compute at once; one where they are still to come."""
        found = 0
        for machine in self._machines():
            by_cores = int(machine.get("CPU", 0) // self._cores)
            by_accelerators = int(machine.get("GPU", 0) // self._accelerators) if self._accelerators else by_cores
            found += min(by_cores, by_accelerators)
        return max(1, found)

    def check_room(self) -> None:
        """Refuse what would wait for ever: machines are there, and none is large enough.

        Raises:
            InputError: so it is.
        """
        machines = [machine for machine in self._machines() if machine.get("CPU", 0)]
        if machines and not any(
            machine["CPU"] >= self._cores and machine.get("GPU", 0) >= self._accelerators for machine in machines
        ):
            wanted = f"{self._cores} core{'s' * (self._cores > 1)}" + (" and a GPU" if self._accelerators else "")
            raise InputError(
                f"expected a machine with {wanted} for a piece, got a Ray cluster whose largest has "
                f"{max(machine['CPU'] for machine in machines):.0f} cores"
                f"{', or that has no GPU' if self._accelerators else ''}: add a machine, or begin the study in a new "
                "folder with more --workers, so that a piece needs fewer cores"
            )

    def news(self) -> list[News]:
        """Progress since the last call."""
        try:
            waiting = self._events.qsize()
            found: list[News] = self._events.get_nowait_batch(waiting) if waiting else []
        except self._ray.exceptions.RayError:  # a study without news is still a study
            return []
        return found

    def translate(self, error: Exception) -> Exception:
        """Unwrap what a task raised; say what it means that a process or machine is gone."""
        failures = self._ray.exceptions
        if isinstance(error, failures.RayTaskError) and not isinstance(error.cause, failures.RayError):
            cause: Exception = error.cause
            cause.__cause__ = error  # whose text has the traceback of the task
            return cause
        if isinstance(error, failures.RayError):
            reason = str(error).strip().split("\n", maxsplit=1)[0]
            return Lost(f"a process that is gone ('{reason}'): run it again, what is stored is kept")
        return error

    def leave(self) -> None:
        """Interrupt what is running, so that training writes its checkpoint; after a run to the end nothing is."""
        running = [reference for future, reference in self._references.items() if not future.done()]
        if not running:
            return
        with suppress(self._ray.exceptions.RayError):
            for reference in running:
                self._ray.cancel(reference)
            _, still = self._ray.wait(running, num_returns=len(running), timeout=_LEAVE)
            for reference in still:  # the folder is about to be free for others
                self._ray.cancel(reference, force=True)


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
            # Sent, not waited for: a task that waits gives its cores away meanwhile.
            self._events.put_nowait.remote((self._address, fraction, text))
