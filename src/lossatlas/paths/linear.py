"""Straight lines between two points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from lossatlas.core.curve import Curve
from lossatlas.core.errors import InputError
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.finder import Ends, PathFinder, Search

__all__ = ["LinearPathFinder"]


@dataclass(frozen=True, kw_only=True)
class LinearPathFinder(PathFinder):
    """The straight line w(t) = (1 - t) w_start + t w_end, sampled at equal steps.

    Nothing is optimized: the height is an upper bound on the lowest pass. Options: those of :class:`PathFinder`.

    Raises:
        InputError: fewer than 2 points; a first guess, which a straight line cannot follow.

    Example:
        >>> from lossatlas.landscape import from_function
        >>> double_well = from_function(lambda x: (x[0] ** 2 - 1) ** 2, dim=1)
        >>> ends = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
        >>> LinearPathFinder(points=5).find(double_well, *ends).barrier
        1.0
    """

    name: ClassVar[str] = "linear"
    searches: ClassVar[bool] = False

    @property
    def rows_at_once(self) -> int:
        """Two: the line is never made as a whole."""
        return 2

    def search(self, landscape: Landscape, ends: Ends) -> list[Search]:
        """Return the straight lines."""
        if ends.initial is not None:
            raise InputError(
                "expected no first guess for the straight line, got one: leave out initial, or take a method that "
                "starts from it, such as 'neb'"
            )
        t = torch.linspace(0, 1, self.points, dtype=torch.float64)
        return [
            Search(
                Curve.straight(start, end), t, "not optimized", "straight line, nothing is optimized", {"gradients": 0}
            )
            for start, end in zip(ends.start, ends.end, strict=True)
        ]
