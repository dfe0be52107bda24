"""Pieces of a study on their way through several processes, each piece after those it needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Protocol, TypeAlias

from lossatlas.core.errors import LossatlasError
from lossatlas.study.context import Update
from lossatlas.study.store import Piece

__all__ = ["Compute", "Lost", "News", "Observer", "Pool", "compute_in"]

Compute: TypeAlias = Callable[[Piece, Update], float]
"""Computes a piece, stores it and returns the seconds that took."""

News: TypeAlias = tuple[str, float, str]
"""Address of a piece, how far it is, and what it says."""

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


class Lost(Exception):  # noqa: N818 - an event, of which the schedule makes an error that names the pieces
    """The process that computed a piece is gone; the message says what happened and how to go on."""


class Pool(Protocol):
    """Processes that compute pieces."""

    retries: int
    """How often a piece is begun again whose process is gone."""

    def submit(self, piece: Piece) -> Future[float]:
        """Begin a piece; the future has the seconds it took, or what was raised."""
        ...

    def room(self) -> int:
        """How many pieces may be in progress now."""
        ...

    def news(self) -> Iterable[News]:
        """Progress since the last call; it may tell of pieces that have ended."""
        ...

    def translate(self, error: Exception) -> Exception:
        """From what ``submit`` or a future raised: the error of the piece itself, or :class:`Lost`."""
        ...


def compute_in(pool: Pool, pieces: Sequence[Piece], done: Callable[[Piece], bool], observer: Observer) -> None:
    """Compute the pieces that are not done, in their order as far as their needs allow.

    After a failure no further piece is begun; those in progress are completed and kept, unless their processes went
    with it; then the failure is raised.

    Args:
        pool: where.
        pieces: each after what it needs.
        done: whether a piece is stored.
        observer: told about progress.

    Raises:
        LossatlasError: what computing a piece raised, or a process was lost.
    """
    _Run(pool, pieces, [piece for piece in pieces if not done(piece)], observer).to_the_end()


class _Run:
    def __init__(self, pool: Pool, pieces: Sequence[Piece], waiting: list[Piece], observer: Observer) -> None:
        self._numbers = {piece.address: number for number, piece in enumerate(pieces, 1)}
        self._waiting = waiting
        self._unfinished = {piece.address for piece in waiting}
        self._running: dict[Future[float], Piece] = {}
        self._lost: Counter[str] = Counter()
        self._failure: Exception | None = None
        self._pool, self._observer = pool, observer

    def to_the_end(self) -> None:
        """Until all are stored, or one failed and those beside it are stored."""
        while self._running or (self._waiting and self._failure is None):
            self._submit()
            ended, _ = wait(self._running, _POLL, FIRST_COMPLETED)
            self._pass_on_progress()
            for future in ended:
                self._finish(future)
        if self._failure is not None:
            raise self._failure

    def _submit(self) -> None:
        ready = [p for p in self._waiting if not any(need.address in self._unfinished for need in p.needs)]
        for piece in ready[: max(0, self._pool.room() - len(self._running))]:
            if self._failure is not None:
                return
            self._waiting.remove(piece)
            self._observer.begin(piece, self._numbers[piece.address], len(self._numbers))
            try:
                self._running[self._pool.submit(piece)] = piece
            except Exception as error:
                self._fail(piece, self._pool.translate(error))

    def _pass_on_progress(self) -> None:
        running = {piece.address: piece for piece in self._running.values()}
        for address, fraction, text in self._pool.news():
            if address in running:
                self._observer.update(running[address], fraction, text)

    def _finish(self, future: Future[float]) -> None:
        try:
            seconds = future.result()
        except Exception as error:
            self._fail(self._running[future], self._pool.translate(error))
        else:
            piece = self._running[future]
            self._unfinished.discard(piece.address)
            self._observer.end(piece, seconds)
        del self._running[future]

    def _fail(self, piece: Piece, error: Exception) -> None:
        if isinstance(error, Lost):
            self._lost[piece.address] += 1
            if self._lost[piece.address] <= self._pool.retries:
                self._waiting.insert(0, piece)
                return
            # Which of those in progress brought the process down cannot be told.
            running = [piece, *(other for other in self._running.values() if other is not piece)]
            names = ", ".join(f"'{each.kind} {each.label}'" for each in running)
            error = LossatlasError(f"expected {names} to be computed, got {error}")
        self._failure = self._failure or error
