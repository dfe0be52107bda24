"""plan: what a study will cost in time, memory and disk, before anything starts."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from lossatlas.core.hardware import on_threads
from lossatlas.study.costs import Costs
from lossatlas.study.stages import stage_of
from lossatlas.study.study import Study

__all__ = ["PlannedPiece", "expected_seconds", "plan"]


@dataclass(frozen=True)
class PlannedPiece:
    """What one piece is expected to need.

    Args:
        label: which.
        seconds: wall time on this machine; 0 if it is stored already.
        memory: bytes at the peak, data and states; without the ~0.5 GB of Python and PyTorch themselves.
        disk: bytes of the stored result.
        done: whether it is stored already.
    """

    label: str
    seconds: float
    memory: int
    disk: int
    done: bool


def expected_seconds(seconds: Sequence[float], workers: int) -> float:
    """When the last of some pieces ends, each taken up in its order by the first process that is free.

    Args:
        seconds: of the pieces.
        workers: processes.

    Example:
        >>> expected_seconds([3.0, 1.0, 1.0], 2)
        3.0
    """
    free = [0.0] * workers
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)


def plan(study: Study, workers: int = 1) -> list[PlannedPiece]:
    """Predict the cost of every piece by timing a few steps of each.

    Args:
        study: nothing is written to its folder.
        workers: processes that will share the cores; pieces are timed on their share of the threads.

    Returns:
        One entry per piece, in order.
    """
    numerics = study.numerics(workers)
    costs = Costs(study.config, study.problems, numerics)
    done = {status.piece.address for status in study.status() if status.state == "done"}
    planned = []
    with on_threads(numerics.threads):
        for piece in study.pieces(numerics):
            cost = stage_of(piece).cost(piece, costs)
            finished = piece.address in done
            seconds = 0.0 if finished else cost.seconds
            planned.append(PlannedPiece(f"{piece.kind} {piece.label}", seconds, cost.memory, cost.disk, finished))
    return planned
