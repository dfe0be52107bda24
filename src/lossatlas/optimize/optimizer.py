"""The contract of optimizers: init and step over rows, with a state that can be stored and resumed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree
from lossatlas.landscape.contract import Landscape, check_rows

__all__ = ["Optimizer", "State", "Status", "start_rows", "to_device"]


class Status(IntEnum):
    """Whether a row is still being optimized, or why it stopped.

    Example:
        >>> Status(1).label
        'precision reached'
    """

    RUNNING = 0
    """The row takes part in the next step."""
    PRECISION_REACHED = 1
    """No point below the present one can be told apart in this floating type."""
    DIVERGED = 2
    """The loss, its gradient or the next point was not finite; x is the last finite point."""
    CONVERGED = 3
    """The gradient is as small as was asked for."""

    @property
    def label(self) -> str:
        """The name in words, as ensembles record it."""
        return self.name.lower().replace("_", " ")


def to_device(tree: Tree, device: str | torch.device | None) -> Tree:
    """Move every tensor of a tree to a device; None leaves them where they are."""
    if isinstance(tree, Tensor):
        return tree if device is None else tree.to(device)
    if isinstance(tree, dict):
        return {key: to_device(value, device) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(to_device(value, device) for value in tree)
    return tree


@dataclass(frozen=True)
class State:
    """Where n replicas are; a value, never changed by a step.

    Args:
        x: points, ``(n, d)``, always finite if the first ones were.
        value: loss at ``x``, ``(n,)``; NaN where it is not known there.
        active: ``(n,)`` bool; rows that are not are neither evaluated nor changed.
        status: ``(n,)`` int64, codes of :class:`Status`.
        values: ``(n,)`` int64, evaluations of the loss alone so far.
        gradients: ``(n,)`` int64, evaluations of loss and gradient so far.
        steps: how often :meth:`Optimizer.step` was called.
    """

    x: Tensor
    value: Tensor
    active: Tensor
    status: Tensor
    values: Tensor
    gradients: Tensor
    steps: int

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which states are stored."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tree(cls, tree: Tree, device: str | torch.device | None = None) -> Self:
        """Rebuild a state from :meth:`to_tree`.

        Args:
            tree: as returned by :meth:`to_tree`, perhaps stored and read in between.
            device: where its tensors shall be; None leaves them.
        """
        return cls(**to_device(tree, device))


StateT = TypeVar("StateT", bound=State)


@runtime_checkable
class Optimizer(Protocol[StateT]):
    """Lowers the loss of many replicas side by side.

    Optimizers are frozen dataclasses whose fields are their constants. Rows are independent: what happens to
    one depends on no other. A row whose loss or gradient is not finite becomes :attr:`Status.DIVERGED` and keeps
    its last finite point, while the others go on.

    Attributes:
        stochastic: False: each step wants the whole landscape; True: it is given ``landscape.on(batch)``, where
            ``batch`` is ``(B,)`` or holds one row of indices for each *active* replica (``batch[state.active]``),
            since the others are not evaluated.
        state_type: the class of its states, to read stored ones: ``optimizer.state_type.from_tree(tree)``.
    """

    stochastic: ClassVar[bool]
    state_type: ClassVar[type[Any]]

    def init(self, landscape: Landscape, x: Tensor) -> StateT:
        """Start at the rows of ``x``, ``(n, d)``.

        Raises:
            InputError: ``x`` has another shape, dtype or device than the landscape.
        """
        ...

    def step(self, landscape: Landscape, state: StateT) -> StateT:
        """Move every active row once."""
        ...


def start_rows(landscape: Landscape, x: Tensor) -> dict[str, Any]:
    """Check the first points and return the fields of a fresh :class:`State`, nothing evaluated yet.

    Raises:
        InputError: ``x`` is not ``(n, d)`` of the landscape's length, dtype and device.
    """
    check_rows(x, landscape)
    if not isinstance(x, Tensor) or x.ndim != 2:
        raise InputError(
            f"expected starting points of shape (n, {landscape.dim}), one row per replica, got {tuple(x.shape)}: "
            "use x[None] for a single one"
        )
    n, device = len(x), x.device
    return {
        "x": x.detach().clone(memory_format=torch.contiguous_format),
        "value": x.new_full((n,), float("nan")),
        "active": torch.ones(n, dtype=torch.bool, device=device),
        "status": torch.full((n,), int(Status.RUNNING), dtype=torch.int64, device=device),
        "values": torch.zeros(n, dtype=torch.int64, device=device),
        "gradients": torch.zeros(n, dtype=torch.int64, device=device),
        "steps": 0,
    }
