"""Labels: for every element of an activation tensor, which unit it belongs to and where within the unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from lossatlas.symmetry.units import FIXED, UnitTable

__all__ = ["Labels", "MixedUnitsError", "Vector", "determines", "spread"]


class MixedUnitsError(Exception):
    """Units are not laid out along one axis; the tracer says which operation asked."""


@dataclass(frozen=True)
class Vector:
    """Labels along one axis, the same in every slice across it.

    Args:
        units: ``(n,)``, unit of each index; ``FIXED`` where the order is fixed.
        places: ``(n,)``, indices of one unit differ in it, and the same places occur in every unit.
    """

    units: Tensor
    places: Tensor


@dataclass(frozen=True)
class Labels:
    """Unit and place of every element of a tensor.

    Permuting units carries the element (u, place) to (π(u), place). Reshaping, slicing, transposing or concatenating
    activations does the same to their labels, so a layer that reads them knows which of its columns follow which unit.

    Args:
        units: integers of the tensor's shape.
        places: integers of the tensor's shape.
    """

    units: Tensor
    places: Tensor

    @staticmethod
    def fixed(shape: torch.Size) -> Labels:
        """Labels of a tensor whose order is fixed: every element a place of its own."""
        return Labels(torch.full(shape, FIXED), torch.arange(prod(shape)).reshape(shape))

    def moved(self, function: Callable[[Tensor], Tensor]) -> Labels:
        """The same data movement done to both."""
        return Labels(function(self.units), function(self.places))

    def keys(self, table: UnitTable) -> Tensor:
        """Places told apart by group as well: places of different groups have nothing to do with each other."""
        return table.groups_of(self.units) * (int(self.places.max()) + 1) + self.places

    def constant_along(self, axis: int) -> bool:
        """Whether units do not change along an axis."""
        return bool((self.units == self.units.narrow(axis, 0, 1)).all())

    def along(self, axis: int, table: UnitTable) -> Vector:
        """The layout along one axis, the same in all slices across it.

        Raises:
            MixedUnitsError: the slices differ.
        """
        n = self.units.shape[axis]
        units = self.units.movedim(axis, -1).reshape(-1, n)
        keys = self.keys(table).movedim(axis, -1).reshape(-1, n)
        # Fixed elements stay where they are: each is a place of its own, alike in all slices.
        keys = torch.where(units == FIXED, -1 - torch.arange(n), keys)
        _, places = torch.unique(keys[0], return_inverse=True)
        first = torch.full((int(places.max()) + 1,), n).scatter_reduce(0, places, torch.arange(n), "amin")
        distinct = keys[:, first].sort(dim=1).values
        same = (units == units[0]).all() and (keys == keys[:, first[places]]).all()
        if not same or bool((distinct.diff(dim=1) == 0).any()):
            raise MixedUnitsError
        return Vector(units[0], places)

    def reduced(self, axes: list[int], shape: torch.Size, table: UnitTable) -> Labels:
        """Labels after a mean or sum over axes along which units are constant.

        Args:
            axes: the axes, from 0.
            shape: of the result.
            table: the units.

        Raises:
            MixedUnitsError: different units are summed.
        """
        kept = [a for a in range(self.units.ndim) if a not in axes]
        count = prod(self.units.shape[a] for a in kept)
        units = self.units.permute(*kept, *axes).reshape(count, -1)
        keys = self.keys(table).permute(*kept, *axes).reshape(count, -1)
        if (units != units[:, :1]).any() or not determines(keys[:, 0], keys):
            raise MixedUnitsError
        return Labels(units[:, 0].reshape(shape), keys[:, 0].reshape(shape))


def spread(vector: Vector, axis: int, shape: torch.Size) -> Labels:
    """Labels of a tensor laid out along one axis: every slice across it is a place of its own.

    Args:
        vector: the layout, ``(n,)``.
        axis: the axis, ``shape[axis] == n``.
        shape: of the tensor.
    """
    n = shape[axis]
    across = [size for index, size in enumerate(shape) if index != axis % len(shape)]
    slices = torch.arange(prod(across)).reshape(*across, 1)
    places = (slices * (int(vector.places.max()) + 1) + vector.places).movedim(-1, axis)
    return Labels(vector.units.expand(*across, n).movedim(-1, axis), places)


def determines(cause: Tensor, effect: Tensor) -> bool:
    """Whether equal entries of ``cause`` ``(m,)`` always come with equal rows of ``effect`` ``(m, ...)``."""
    if not len(cause):
        return True
    _, classes = torch.unique(cause, return_inverse=True)
    rows = torch.arange(len(cause))
    first = torch.full((int(classes.max()) + 1,), len(cause)).scatter_reduce(0, classes, rows, "amin")
    return bool((effect == effect[first[classes]]).all())
