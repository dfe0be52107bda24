"""The finder that picks a finder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from lossatlas.landscape.contract import Landscape
from lossatlas.paths.finder import Ends, PathFinder, Search
from lossatlas.paths.registry import finders

__all__ = ["AutoPathFinder"]

# In the order of preference. A chain's forces need to be smooth; a network's loss is averaged over data, often has
# kinks, and is better served by few coefficients and random points.
_FOR_ENERGIES = ("autoneb",)
_FOR_NETWORKS = ("fourier", "autoneb")


@dataclass(frozen=True, kw_only=True)
class AutoPathFinder(PathFinder):
    """Picks a finder by the kind of landscape: ``autoneb`` for energies, ``fourier`` where the loss averages over data.

    The path says what was picked, in ``method`` and in ``message``; the finder's own options are its defaults.
    ``points`` are samples of the path found, at equal steps of its parameter.

    Raises:
        InputError: fewer than 2 points.

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

    def pick(self, landscape: Landscape) -> tuple[str, str]:
        """The name of the finder for a landscape, and what it was picked for."""
        energy = landscape.samples is None
        names = _FOR_ENERGIES if energy else _FOR_NETWORKS
        return next(name for name in names if name in finders), "an energy" if energy else "a loss over data"

    def expected_gradients(self, landscape: Landscape) -> float:
        """Those of the finder picked."""
        return self._picked(landscape).expected_gradients(landscape)

    def _picked(self, landscape: Landscape) -> PathFinder:
        return finders[self.pick(landscape)[0]](tolerance=self.tolerance, saddle=self.saddle, seed=self.seed)

    def search(self, landscape: Landscape, ends: Ends) -> list[Search]:
        """Search with the finder picked."""
        name, kind = self.pick(landscape)
        t = torch.linspace(0, 1, self.points, dtype=torch.float64)
        return [
            replace(found, t=t, method=found.method or name, message=f"{name}, picked for {kind}: {found.message}")
            for found in self._picked(landscape).search(landscape, ends)
        ]
