"""Hidden units met while a network is followed, and which of them are one and the same."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.core.errors import InputError

__all__ = ["FIXED", "UnitTable"]

FIXED = 0
"""The unit of everything that has a place of its own: inputs, outputs, frozen layers, constants."""


class UnitTable:
    """Numbers for units, joined by union-find where a network adds or shares them.

    Every layer's units start as a group of their own. Residual additions and tied weights join groups unit by unit;
    joining a unit to ``FIXED`` pins it.

    Example:
        >>> table = UnitTable()
        >>> a, b = table.allocate(2, "conv1"), table.allocate(2, "conv2")
        >>> table.join(a, b)
        >>> groups, pinned, unit_of = table.finish()
        >>> groups, pinned, unit_of[int(b[1])]
        ({'conv1': 2}, (), ('conv1', 1))
    """

    def __init__(self) -> None:
        self._unit_parent = [FIXED]
        self._group_parent = [0]
        self._names = [""]
        self._first = [0, 1]  # where each group's units start

    def allocate(self, size: int, name: str) -> Tensor:
        """Number the units of a new group, ``-> (size,)``."""
        start = len(self._unit_parent)
        self._unit_parent.extend(range(start, start + size))
        self._group_parent.append(len(self._names))
        self._names.append(name)
        self._first.append(start + size)
        return torch.arange(start, start + size)

    def groups_of(self, units: Tensor) -> Tensor:
        """The group each unit belongs to at present, any shape."""
        own = torch.searchsorted(torch.tensor(self._first), units.contiguous(), right=True) - 1
        roots = torch.tensor([_root(self._group_parent, index) for index in range(len(self._names))])
        return roots[own]

    def join(self, a: Tensor, b: Tensor) -> None:
        """Declare units to be the same, pair by pair."""
        # One number for each pair: activations have many elements and few different pairs.
        count = len(self._unit_parent)
        codes = torch.unique(a.flatten() * count + b.flatten())
        pairs = torch.stack([codes // count, codes % count], dim=1)
        for one, other in pairs.tolist():
            _join(self._unit_parent, one, other)
        free = pairs[(pairs != FIXED).all(dim=1)]
        for one, other in set(map(tuple, self.groups_of(free).tolist())):
            _join(self._group_parent, one, other)

    def pin(self, units: Tensor) -> None:
        """Declare units to have a fixed order."""
        self.join(units, torch.zeros_like(units))

    def complete(self, units: Tensor) -> bool:
        """Whether all units of every group that occurs do occur."""
        met = set(units.flatten().tolist()) - {FIXED}
        groups = {int(group) for group in self.groups_of(torch.tensor(sorted(met), dtype=torch.long))}
        roots = {_root(self._unit_parent, unit) for unit in met}
        every = torch.arange(len(self._unit_parent))
        members = [unit for unit, group in enumerate(self.groups_of(every).tolist()) if group in groups]
        return {_root(self._unit_parent, unit) for unit in members} <= roots

    def finish(self) -> tuple[dict[str, int], tuple[str, ...], dict[int, tuple[str, int]]]:
        """Number the units of each group of its own.

        Returns:
            Sizes of the free groups, the names of the pinned ones, and unit to (group, number in it).

        Raises:
            InputError: units of one layer were joined with each other.
        """
        joined: dict[int, list[int]] = {}
        for group in range(1, len(self._names)):
            joined.setdefault(_root(self._group_parent, group), []).append(group)
        sizes: dict[str, int] = {}
        pinned: list[str] = []
        unit_of: dict[int, tuple[str, int]] = {}
        for groups in joined.values():
            members = {group: range(self._first[group], self._first[group + 1]) for group in groups}
            roots = {unit: _root(self._unit_parent, unit) for units in members.values() for unit in units}
            if _root(self._unit_parent, FIXED) in roots.values():
                pinned.append(self._names[groups[0]])
                continue
            for name, order in self._parts(members, roots).items():
                sizes[name] = len(order)
                unit_of.update({unit: (name, order[root]) for unit, root in roots.items() if root in order})
        return sizes, tuple(pinned), unit_of

    def _parts(self, members: dict[int, range], roots: dict[int, int]) -> dict[str, dict[int, int]]:
        """Units of joined layers by which of the layers they are in: name of a part to root to number in it.

        A wider layer that a narrower one is added to has units of its own besides those they share.

        Raises:
            InputError: units of one layer were joined with each other.
        """
        layers: dict[int, list[int]] = {}
        for group, units in members.items():
            if len({roots[unit] for unit in units}) < len(units):
                raise InputError(
                    f"expected additions that join different layers, got one that joins units of "
                    f"'{self._names[group]}' with each other: give the structure by hand, see PermutationStructure"
                )
            for unit in units:
                layers.setdefault(roots[unit], []).append(group)
        parts: dict[tuple[int, ...], dict[int, int]] = {}
        for root, where in layers.items():
            part = parts.setdefault(tuple(where), {})
            part[root] = len(part)
        named: dict[str, dict[int, int]] = {}
        for shared, part in parts.items():
            name = self._names[shared[0]]
            while name in named:
                name = f"{name}'"
            named[name] = part
        return named


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index


def _join(parent: list[int], a: int, b: int) -> None:
    low, high = sorted((_root(parent, a), _root(parent, b)))
    parent[high] = low  # FIXED is the lowest and stays a root
