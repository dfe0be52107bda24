"""How one chunk of rows meets one chunk of data: row by row, or all rows in one batched program.

A strategy adds the loss sums and gradient sums of a data chunk to accumulators. It knows nothing of memory, devices or
loops over the data; :mod:`.evaluator` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.func import vmap

from lossatlas.landscape.network.affine_input import Lines, data_layers
from lossatlas.landscape.network.convnet_kernels import ConvnetKernels
from lossatlas.landscape.network.program import Program
from lossatlas.landscape.network.recurrent import unrolled_where_needed
from lossatlas.landscape.network.shared_input import SharedInputLinear
from lossatlas.landscape.network.sources import map_tensors

__all__ = ["METRIC_STRATEGIES", "ROW_BY_ROW", "STRATEGIES", "Strategy", "StrategyName", "Work"]

StrategyName: TypeAlias = Literal["loop", "convnet", "vmap", "fused"]

ROW_BY_ROW: frozenset[StrategyName] = frozenset({"loop", "convnet"})
"""Strategies that hold the temporaries of one row at a time."""

Named: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True)
class Work:
    """One chunk of rows, one chunk of data, and where the results go.

    Args:
        rows: ``(r, d)``.
        buffers: shared by all rows.
        row_buffers: name to ``(r, *shape)``, each row's own.
        batch: the data.
        per_row: whether the batch's tensors carry a leading row axis.
        sums: ``(r,)`` float64; loss sums are added.
        gradients: ``(r, d)``, or None where only values are wanted.
        first: whether gradients are written (first chunk of data) or added.
        lines: the plane on which the rows lie, where only values are wanted and it helps.
    """

    rows: Tensor
    buffers: Named
    row_buffers: Named
    batch: Any
    per_row: bool
    sums: Tensor
    gradients: Tensor | None
    first: bool
    lines: Lines | None = None


Strategy: TypeAlias = Callable[[Program, Work], None]


def _row(batch: Any, index: int) -> Any:
    return map_tensors(batch, lambda leaf: leaf[index])


def loop(program: Program, work: Work) -> None:
    """Evaluate the rows one after another with the model's own kernels."""
    spec = program.spec
    layers = data_layers(work.lines, work.batch)
    for index, row in enumerate(work.rows):
        data = _row(work.batch, index) if work.per_row else work.batch
        state = {**work.buffers, **{name: tensor[index] for name, tensor in work.row_buffers.items()}}
        if work.gradients is None:
            with torch.no_grad(), layers:
                work.sums[index] += program.loss_sum(spec.unflatten(row), state, data)
            continue
        # One leaf per parameter: a single flat leaf would pay a zero-filled d-vector for every slice of it.
        leaves = {name: view.detach().requires_grad_() for name, view in spec.unflatten(row).items()}
        with torch.enable_grad():
            loss = program.loss_sum(leaves, state, data)
            grads = _grad(loss, leaves)
        work.sums[index] += loss.detach()
        _deliver(spec.unflatten(work.gradients[index]), grads, work.first)


def convnet(program: Program, work: Work) -> None:
    """Like ``loop``, with kernels of its own for convolutions and average pooling."""
    with ConvnetKernels():
        loop(program, work)


def batched(program: Program, work: Work) -> None:
    """Evaluate all rows at once with ``torch.func.vmap``."""
    data_axis = 0 if work.per_row else None

    def losses(params: Named) -> Tensor:
        def one(row: Named, own: Named, data: Any) -> Tensor:
            return program.loss_sum(row, {**work.buffers, **own}, data)

        # An empty dict has no axis to map over.
        axes = (0, 0 if work.row_buffers else None, data_axis)
        with unrolled_where_needed(program.model):
            values: Tensor = vmap(one, in_dims=axes)(params, work.row_buffers, work.batch)
        return values

    if work.gradients is None:
        with torch.no_grad():
            work.sums.add_(losses(program.spec.unflatten(work.rows)))
        return
    leaves = {name: view.detach().requires_grad_() for name, view in program.spec.unflatten(work.rows).items()}
    with torch.enable_grad():
        values = losses(leaves)
        # Rows do not see each other, so the gradient of the sum holds every row's own gradient.
        grads = _grad(values.sum(), leaves)
    work.sums.add_(values.detach())
    _deliver(program.spec.unflatten(work.gradients), grads, work.first)


def fused(program: Program, work: Work) -> None:
    """Like ``vmap``, but a layer that sees the same input in every row becomes one wide matrix product."""
    with SharedInputLinear(work.lines):
        batched(program, work)


def _metrics_loop(
    program: Program, rows: Tensor, row_buffers: Named, batch: Any, lines: Lines | None
) -> dict[str, Tensor]:
    """Sums of the metrics over a batch for rows, ``(r, d) -> {name: (r,)}``, one row after another."""
    found: dict[str, list[Tensor]] = {}
    buffers = program.buffers()
    with data_layers(lines, batch):
        for index, row in enumerate(rows):
            state = {**buffers, **{name: tensor[index] for name, tensor in row_buffers.items()}}
            for name, total in program.metric_sums(program.spec.unflatten(row), state, batch).items():
                found.setdefault(name, []).append(total)
    return {name: torch.stack(totals) for name, totals in found.items()}


def _metrics_batched(
    program: Program, rows: Tensor, row_buffers: Named, batch: Any, lines: Lines | None
) -> dict[str, Tensor]:
    """The same for all rows at once."""
    del lines
    buffers = program.buffers()

    def one(row: Named, own: Named) -> dict[str, Tensor]:
        return program.metric_sums(row, {**buffers, **own}, batch)

    with unrolled_where_needed(program.model):
        found: dict[str, Tensor] = vmap(one, in_dims=(0, 0 if row_buffers else None))(
            program.spec.unflatten(rows), row_buffers
        )
    return found


def _metrics_fused(
    program: Program, rows: Tensor, row_buffers: Named, batch: Any, lines: Lines | None
) -> dict[str, Tensor]:
    with SharedInputLinear(lines):
        return _metrics_batched(program, rows, row_buffers, batch, None)


def _grad(loss: Tensor, leaves: Named) -> tuple[Tensor | None, ...]:
    if not loss.requires_grad:
        return (None,) * len(leaves)
    return torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)


def _deliver(targets: Named, grads: tuple[Tensor | None, ...], first: bool) -> None:
    for target, grad in zip(targets.values(), grads, strict=True):
        if grad is None:  # the loss does not use this parameter
            if first:
                target.zero_()
        elif first:
            target.copy_(grad)
        else:
            target.add_(grad)


STRATEGIES: dict[StrategyName, Strategy] = {"loop": loop, "convnet": convnet, "vmap": batched, "fused": fused}

METRIC_STRATEGIES: dict[StrategyName, Callable[[Program, Tensor, Named, Any, Lines | None], dict[str, Tensor]]] = {
    "loop": _metrics_loop,
    "convnet": _metrics_loop,
    "vmap": _metrics_batched,
    "fused": _metrics_fused,
}
