"""The finder that picks a finder, starts it several times, and falls back on another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from lossatlas.landscape.analytic.energy import check_count
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.finder import PathFinder
from lossatlas.paths.registry import finders
from lossatlas.paths.search import Ends, Search
from lossatlas.paths.several import lowest_of_all, lowest_of_scouted, over_kinks

__all__ = ["AutoPathFinder"]

# A chain's forces need to be smooth; a network's loss is averaged over data, often has kinks, and is better served by
# few coefficients and random points.
_FOR_ENERGIES, _FOR_NETWORKS = "autoneb", "fourier"
# What takes over where forces do not fall: its steps need no smooth ones.
_WITH_KINKS = "bezier"
# Measured in validation/lowest_pass.py: of 127 pairs on random energies one start finds the lowest pass of 71 %, three
# of 91 %, five of 94 %, and nine of no more than that for half as many gradients again.
_STARTS_ENERGY, _STARTS_NETWORK = 5, 1


@dataclass(frozen=True, kw_only=True)
class AutoPathFinder(PathFinder):
    """Picks a finder by the kind of landscape: ``autoneb`` for energies, ``fourier`` where the loss averages over data.

    On energies several starts, the straight line and bows beside it, are relaxed a little; the lowest is relaxed to
    the end, and so is any other that lies below the result. Where the forces on a chain do not fall, as they do not
    at kinks, ``bezier`` is tried too. On networks every start is searched with the whole budget.

    The path says what was picked, in ``method`` and in ``message``, how many starts there were and how many
    different passes they gave. More starts may find a lower pass; none proves that there is none. The finder's own
    options are its defaults. ``points`` are samples of the path found, at equal steps of its parameter.

    Args:
        starts: first paths per pair, the straight line or the first guess and bows beside it; None: 5 on energies, 1
            where the loss averages over data or a first guess is given.

    Raises:
        InputError: fewer than 2 points, or no start.

    Example:
        >>> from lossatlas.landscape import get
        >>> toy = get("paper-toy")
        >>> path = AutoPathFinder().find(toy, *toy.ends)
        >>> path.method, path.status, round(path.height, 4), len(path.t)
        ('autoneb', 'converged', 0.6244, 51)
        >>> path.message.split(":")[0]
        'autoneb, picked for an energy'
    """

    name: ClassVar[str] = "auto"

    starts: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.starts is not None:
            check_count(self.starts, "starts")

    def pick(self, landscape: Landscape) -> tuple[str, str]:
        """The name of the finder for a landscape, and what it was picked for."""
        return (_FOR_ENERGIES, "an energy") if landscape.samples is None else (_FOR_NETWORKS, "a loss over data")

    @property
    def rows_at_once(self) -> int:
        """All images of all starts, a few times over."""
        return max(super().rows_at_once, 4 * 31, 4 * 7 * (self.starts or _STARTS_ENERGY))

    def expected_gradients(self, landscape: Landscape) -> float:
        """Those of the finder picked, for every start."""
        name, _ = self.pick(landscape)
        return self._count(landscape, None) * self._made(name).expected_gradients(landscape)

    def expected_evaluations(self, landscape: Landscape) -> tuple[float, float]:
        """Those of the finder picked, for every start."""
        values, gradients = self._made(self.pick(landscape)[0]).expected_evaluations(landscape)
        return self._count(landscape, None) * values, self._count(landscape, None) * gradients

    def _count(self, landscape: Landscape, ends: Ends | None) -> int:
        if landscape.dim < 2:
            return 1  # on a line there is one way
        if self.starts is not None:
            return self.starts
        if ends is not None and ends.initial is not None:
            return 1
        return _STARTS_ENERGY if landscape.samples is None else _STARTS_NETWORK

    def _made(self, name: str) -> PathFinder:
        return finders[name](tolerance=self.tolerance, saddle=self.saddle, seed=self.seed)

    def search(self, landscape: Landscape, ends: Ends) -> list[Search]:
        """Search with the finder picked."""
        name, kind = self.pick(landscape)
        finder, count = self._made(name), self._count(landscape, ends)
        if landscape.samples is None:
            found = lowest_of_scouted(landscape, ends, finder, count, self.seed)
            found = over_kinks(landscape, ends, found, finder, self._made(_WITH_KINKS))
        else:
            found = lowest_of_all(landscape, ends, finder, count, self.seed)
        t = torch.linspace(0, 1, self.points, dtype=torch.float64)
        return [
            replace(one, t=t, method=one.method or name, message=f"{name}, picked for {kind}: {one.message}")
            for one in found
        ]
