"""PermutationStructure: which axes of which tensors follow the hidden units of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError, nearest
from lossatlas.core.params import ParamSpec
from lossatlas.core.randomness import generator

__all__ = ["Axis", "PermutationStructure", "Permutations", "axis"]

Permutations: TypeAlias = Mapping[str, Tensor]
"""Group to ``(n,)``: place u receives what was unit ``permutation[u]``."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of one tensor, and the indices on it that belong to each unit of a group.

    Args:
        tensor: name of a parameter or buffer.
        axis: which of its axes, from 0.
        group: the group of hidden units.
        members: ``(n, k)``, the k indices of each of the n units, in the same order for every unit.
    """

    tensor: str
    axis: int
    group: str
    members: Tensor


def axis(tensor: str, number: int, group: str, size: int, *, blocks: int = 1, inner: int = 1, start: int = 0) -> Axis:
    """Describe an axis whose indices run over (block, unit, inner), the last fastest.

    Args:
        tensor: name of a parameter or buffer.
        number: which of its axes, from 0.
        group: the group of hidden units.
        size: number of units n.
        blocks: how often the units repeat: 4 for the gates of an LSTM.
        inner: consecutive indices of one unit: h·w after flattening maps of h x w.
        start: index of the first unit, where several groups share one axis.

    Returns:
        The axis, ``members`` of shape ``(n, blocks * inner)``.

    Raises:
        InputError: a negative number, or a size below 1.

    Example:
        >>> axis("lstm.weight_ih_l0", 0, "lstm", 3, blocks=4).members[0]
        tensor([0, 3, 6, 9])
        >>> axis("fc1.weight", 1, "conv2", 3, inner=2).members[0]
        tensor([0, 1])
    """
    if min(size, blocks, inner) < 1 or min(number, start) < 0:
        raise InputError(
            f"expected sizes of at least 1 and an axis and a start of at least 0 for '{tensor}', got size {size}, "
            f"blocks {blocks}, inner {inner}, axis {number}, start {start}"
        )
    indices = start + torch.arange(blocks * size * inner).reshape(blocks, size, inner)
    return Axis(tensor, number, group, indices.transpose(0, 1).reshape(size, -1))


@dataclass(frozen=True, eq=False)
class PermutationStructure:
    """Groups of hidden units that can change places without changing the function of a network.

    :func:`lossatlas.symmetry.trace` finds it; for any other model it is given by hand.

    Args:
        spec: names and shapes of the parameters.
        groups: name to number of units.
        axes: the axes that follow the units, of parameters and of buffers.
        pinned: groups found but not free: a frozen layer, an output or a skip from the input holds their order.

    Raises:
        InputError: axes that fit neither the parameters nor the groups.

    Example:
        >>> spec = ParamSpec(("fc1.weight", "fc2.weight"), ((3, 2), (1, 3)))
        >>> structure = PermutationStructure(
        ...     spec, {"fc1": 3}, (axis("fc1.weight", 0, "fc1", 3), axis("fc2.weight", 1, "fc1", 3)))
        >>> structure.apply(torch.arange(9.0), {"fc1": torch.tensor([2, 0, 1])})
        tensor([4., 5., 0., 1., 2., 3., 8., 6., 7.])
    """

    spec: ParamSpec
    groups: Mapping[str, int]
    axes: tuple[Axis, ...]
    pinned: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        taken: dict[tuple[str, int], set[int]] = {}
        for use in self.axes:
            if use.group not in self.groups:
                raise InputError(
                    f"expected a group of hidden units for axis {use.axis} of '{use.tensor}', got '{use.group}': "
                    f"{nearest(use.group, self.groups)}"
                )
            size = self.groups[use.group]
            if use.members.ndim != 2 or use.members.shape[0] != size:
                raise InputError(
                    f"expected the indices of {size} units on axis {use.axis} of '{use.tensor}', got members of shape "
                    f"{tuple(use.members.shape)}"
                )
            shape = self._shapes.get(use.tensor)
            if shape is not None and (use.axis >= len(shape) or int(use.members.max()) >= shape[use.axis]):
                raise InputError(
                    f"expected axis {use.axis} of '{use.tensor}' to hold index {int(use.members.max())} of group "
                    f"'{use.group}', got shape {shape}"
                )
            found = set(use.members.flatten().tolist())
            before = taken.setdefault((use.tensor, use.axis), set())
            if len(found) < use.members.numel() or found & before:
                raise InputError(
                    f"expected each index on axis {use.axis} of '{use.tensor}' to belong to one unit, got some twice"
                )
            before |= found

    @cached_property
    def parameter_axes(self) -> tuple[Axis, ...]:
        """The axes of parameters, without those of buffers."""
        names = set(self.spec.names)
        return tuple(use for use in self.axes if use.tensor in names)

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return dict(zip(self.spec.names, self.spec.shapes, strict=True))

    @cached_property
    def _of(self) -> dict[str, list[Axis]]:
        found: dict[str, list[Axis]] = {}
        for use in self.axes:
            found.setdefault(use.tensor, []).append(use)
        return found

    def apply(self, weights: Tensor, permutations: Permutations) -> Tensor:
        """Move the units to other places; the function of the network stays the same.

        Args:
            weights: ``(*b, d)``.
            permutations: group to ``(n,)``; groups left out stay as they are.

        Returns:
            ``(*b, d)``, the same numbers in another order.

        Raises:
            InputError: an unknown group, or something that is no permutation.
        """
        checked = self._checked(permutations)
        named = {name: self.permuted(name, each, checked) for name, each in self.spec.unflatten(weights).items()}
        return self.spec.flatten(named)

    def apply_buffers(self, buffers: Mapping[str, Tensor], permutations: Permutations) -> dict[str, Tensor]:
        """Move the units of buffers (running statistics), ``{name: (*b, *shape)}``; only those that follow units.

        Raises:
            InputError: an unknown group, or something that is no permutation.
        """
        checked = self._checked(permutations)
        return {name: self.permuted(name, each, checked) for name, each in buffers.items() if name in self._of}

    def identity(self) -> dict[str, Tensor]:
        """The permutations that move nothing."""
        return {name: torch.arange(size) for name, size in self.groups.items()}

    def random(self, seed: int) -> dict[str, Tensor]:
        """Draw a permutation of every group, uniformly."""
        return {
            name: torch.randperm(size, generator=generator(seed, "permutation", name))
            for name, size in self.groups.items()
        }

    def inverse(self, permutations: Permutations) -> dict[str, Tensor]:
        """The permutations that undo others.

        Raises:
            InputError: an unknown group, or something that is no permutation.
        """
        return {name: each.argsort() for name, each in self._checked(permutations).items()}

    def compose(self, first: Permutations, second: Permutations) -> dict[str, Tensor]:
        """The permutations that do the work of ``first``, then of ``second``.

        Raises:
            InputError: an unknown group, or something that is no permutation.
        """
        before, after = self._checked(first), self._checked(second)
        return {name: before[name][after[name]] for name in self.groups}

    def permuted(self, name: str, tensor: Tensor, permutations: Permutations) -> Tensor:
        """Permute one parameter or buffer ``(*b, *shape)``, given permutations of all its groups.

        The running statistics of a layer are vectors, so all other axes of a buffer are rows.
        """
        uses = self._of.get(name, [])
        shape = self._shapes.get(name)
        rows = tensor.ndim - (1 if shape is None else len(shape))
        for number in sorted({use.axis for use in uses}):
            source = torch.arange(tensor.shape[rows + number])
            for use in uses:
                if use.axis == number:
                    source[use.members.flatten()] = use.members[permutations[use.group]].flatten()
            tensor = tensor.index_select(rows + number, source.to(tensor.device))
        return tensor

    def _checked(self, permutations: Permutations) -> dict[str, Tensor]:
        checked = self.identity()
        for name, permutation in permutations.items():
            if name not in self.groups:
                raise InputError(f"unknown group of hidden units '{name}': {nearest(name, self.groups)}")
            own = permutation.detach().cpu()
            if own.shape != checked[name].shape or not torch.equal(own.sort().values.long(), checked[name]):
                raise InputError(
                    f"expected a permutation of 0..{self.groups[name] - 1} for group '{name}', got {own.tolist()}"
                )
            checked[name] = own.long()
        return checked
