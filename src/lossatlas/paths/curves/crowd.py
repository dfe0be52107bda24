"""Crowd: pairs that are relaxed together and leave one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lossatlas.core.curve import Curve
from lossatlas.paths.curves.adam import Adam
from lossatlas.paths.curves.bundle import Bundle
from lossatlas.paths.finder import Search, Status

__all__ = ["Crowd"]


class Crowd:
    """Curves on their way, what is known of each, and the results of those that have stopped.

    Args:
        bundle: the curves.
        known: whatever else is remembered of every pair, name to ``(p, ...)``; kept in step with the curves.

    Attributes:
        bundle: the curves.
        before: the same before the last step.
        known: what is remembered.
    """

    def __init__(self, bundle: Bundle, **known: Tensor) -> None:
        self.bundle = bundle
        self.known = known
        self._adam = Adam(bundle.b)
        self.before = bundle
        self._place = torch.arange(len(bundle))
        self._history: list[dict[str, list[float]]] = [{} for _ in range(len(bundle))]
        self._found: dict[int, Search] = {}

    def __len__(self) -> int:
        return len(self.bundle)

    @property
    def places(self) -> list[int]:
        """Which of the pairs are still on their way."""
        return [int(i) for i in self._place]

    def note(self, **figures: Tensor) -> None:
        """Add one number per pair, ``(p,)``, to the histories."""
        for name, values in figures.items():
            for i, value in zip(self.places, values.tolist(), strict=True):
                self._history[i].setdefault(name, []).append(value)

    def last(self, name: str, row: int) -> float:
        """The newest figure of one pair; NaN before the first."""
        return (self._history[int(self._place[row])].get(name) or [math.nan])[-1]

    def step(self, gradient: Tensor, rates: Tensor) -> None:
        """Move all curves: gradient ``(p, K, d)`` by the modes, learning rates ``(p, K, 1)``."""
        self.before = self.bundle
        self.bundle = self.bundle.with_modes(self.bundle.b + self._adam.step(gradient).mul_(rates.to(gradient)))

    def leave(
        self,
        which: Tensor,
        status: Status,
        messages: list[str],
        *,
        t: Callable[[Curve], Tensor],
        evaluations: Mapping[str, float],
        curves: Bundle | None = None,
    ) -> None:
        """Store the curves of a mask ``(p,)`` and forget them.

        Args:
            which: the mask.
            status: why they stop.
            messages: one per pair of the crowd.
            t: the samples of a curve, ``-> (m,)``.
            evaluations: spent on each.
            curves: what to store; default: where they are.
        """
        source = self.bundle if curves is None else curves
        for row in torch.nonzero(which).flatten().tolist():
            i = int(self._place[row])
            history = {name: torch.tensor(x, dtype=torch.float64) for name, x in self._history[i].items()}
            curve = source.curve(row)
            self._found[i] = Search(curve, t(curve), status, messages[row], dict(evaluations), history=history)
        stay = ~which
        on_device = stay.to(self.bundle.b.device)
        self.bundle, self.before = self.bundle.keep(on_device), self.before.keep(on_device)
        self._adam.keep(on_device)
        self._place = self._place[stay]
        self.known = {name: x[stay.to(x.device)] for name, x in self.known.items()}

    def results(self) -> list[Search]:
        """What was stored, in the order of the pairs."""
        return [self._found[i] for i in sorted(self._found)]
