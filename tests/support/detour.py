"""A path finder whose answers are known: the chain through a given point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from lossatlas.core.curve import Curve
from lossatlas.landscape.contract import Landscape
from lossatlas.paths import PathFinder
from lossatlas.paths.finder import Ends, Search


@dataclass(frozen=True, kw_only=True)
class Detour(PathFinder):
    """From start to end over ``via``; it remembers what each pair it was asked for is called in seeds."""

    via: tuple[float, ...] = ()

    name: ClassVar[str] = "detour"
    asked: ClassVar[list[int]] = []

    def search(self, landscape: Landscape, ends: Ends) -> list[Search]:
        t = torch.linspace(0, 1, self.points, dtype=torch.float64)
        found = []
        for start, end, number in zip(ends.start, ends.end, ends.numbers, strict=True):
            self.asked.append(number)
            middle = start.new_tensor(self.via) if self.via else 0.5 * (start + end)
            curve = Curve.through(torch.stack([start, middle, end]))
            found.append(Search(curve, t, "converged", "over the given point", {"gradients": 7}))
        return found
