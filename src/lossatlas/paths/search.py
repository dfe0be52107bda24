"""What goes into a search for paths and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from torch import Tensor

from lossatlas.core.curve import Curve

__all__ = ["Ends", "Search", "Status"]

Status: TypeAlias = Literal["converged", "iteration limit", "not optimized", "interrupted", "not finite"]


@dataclass(frozen=True)
class Search:
    """What a search found for one pair, before it is diagnosed.

    Args:
        curve: the path, in any dtype.
        t: ``(m,)``, where the method itself read the loss; the samples of the :class:`Path`.
        status: why it stopped.
        message: the same in a sentence.
        evaluations: ``{"values": n, "gradients": n}`` in full-batch units.
        history: per-iteration figures, name to ``(iterations,)``.
        method: what was used, where it differs from the finder's name.
        warnings: what a reader should know.
    """

    curve: Curve
    t: Tensor
    status: Status
    message: str
    evaluations: dict[str, float]
    history: Mapping[str, Tensor] = field(default_factory=dict)
    method: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ends:
    """Pairs of points to connect.

    Args:
        start: ``(p, d)``, t = 0.
        end: ``(p, d)``, t = 1; every pair has two different, finite ends.
        initial: ``(p, m, d)``, points of a first guess, both ends included; None: the straight line.
        numbers: names of the pairs, for seeds: a pair gives the same path whatever it is grouped with.
    """

    start: Tensor
    end: Tensor
    initial: Tensor | None
    numbers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.start)

    def groups(self, size: int) -> Iterator[Ends]:
        """The same pairs, at most ``size`` at a time."""
        for first in range(0, len(self), size):
            part = slice(first, first + size)
            initial = None if self.initial is None else self.initial[part]
            yield Ends(self.start[part], self.end[part], initial, self.numbers[part])
