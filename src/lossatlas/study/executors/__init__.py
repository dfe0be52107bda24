"""Where the pieces of a study are computed: in processes of this machine, or as tasks of Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, get_args

from lossatlas.core.errors import InputError, nearest
from lossatlas.study.executors.local import local_pool
from lossatlas.study.executors.on_ray import import_ray, ray_pool
from lossatlas.study.executors.schedule import Compute, Observer, compute_in
from lossatlas.study.store import Piece

__all__ = ["EXECUTORS", "Compute", "Executor", "Observer", "check_executor", "compute_pieces"]

Executor: TypeAlias = Literal["local", "ray"]
EXECUTORS: tuple[Executor, ...] = get_args(Executor)


def check_executor(name: str) -> None:
    """Refuse a name that is none, or what is not installed.

    Raises:
        InputError: it is none, or Ray is not installed.
    """
    if name not in EXECUTORS:
        raise InputError(f"expected an executor, got '{name}': {nearest(name, EXECUTORS)}")
    if name == "ray":
        import_ray()


def compute_pieces(
    pieces: Sequence[Piece],
    done: Callable[[Piece], bool],
    make: Callable[[], Compute],
    observer: Observer,
    *,
    executor: Executor,
    workers: int,
    cores: int,
    accelerators: int,
) -> None:
    """Compute the pieces that are not done in other processes.

    Args:
        pieces: each after what it needs.
        done: whether a piece is stored.
        make: called once in each process, can be pickled; its result computes pieces there.
        observer: told about progress.
        executor: where.
        workers: processes of this machine; with Ray the room in the cluster decides.
        cores: that a piece computes on.
        accelerators: that a piece computes on.

    Raises:
        LossatlasError: what computing a piece raised, or a process was lost.
    """
    missing = sum(not done(piece) for piece in pieces)
    if missing and executor == "ray":
        with ray_pool(make, cores, accelerators) as cluster:
            compute_in(cluster, pieces, done, observer)
    elif missing:
        with local_pool(make, min(workers, missing)) as processes:
            compute_in(processes, pieces, done, observer)
