"""How one chunk of rows meets one chunk of data: row by row, or all rows in one batched program.

A strategy adds the loss sums and gradient sums of a data chunk to accumulators. It knows nothing of memory, devices or
loops over the data; :mod:`.evaluator` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.func import vmap

from lossatlas.landscape.network.program import Program
from lossatlas.landscape.network.shared_input import SharedInputLinear
from lossatlas.landscape.network.sources import map_tensors

__all__ = ["STRATEGIES", "Strategy", "StrategyName"]

StrategyName: TypeAlias = Literal["loop", "vmap", "fused"]

Named: TypeAlias = Mapping[str, Tensor]
Strategy: TypeAlias = "Callable[[Program, Tensor, Named, Named, Any, bool, Tensor, Tensor | None], None]"
"""``(program, rows (r, d), shared buffers, buffers per row, batch, batch per row?, sums (r,), gradients (r, d) or None)``.

``batch per row`` tells that the batch's tensors carry a leading row axis. The sums are float64 and are added to.
"""


def _row(batch: Any, index: int) -> Any:
    return map_tensors(batch, lambda leaf: leaf[index])


def loop(
    program: Program,
    rows: Tensor,
    buffers: Named,
    row_buffers: Named,
    batch: Any,
    per_row: bool,
    sums: Tensor,
    gradients: Tensor | None,
) -> None:
    """Evaluate the rows one after another with the model's own kernels."""
    spec = program.spec
    for index in range(len(rows)):
        data = _row(batch, index) if per_row else batch
        state = {**buffers, **{name: tensor[index] for name, tensor in row_buffers.items()}}
        if gradients is None:
            with torch.no_grad():
                sums[index] += program.loss_sum(spec.unflatten(rows[index]), state, data)
            continue
        # One leaf per parameter: a single flat leaf would pay a zero-filled d-vector for every slice of it.
        leaves = {name: view.detach().requires_grad_() for name, view in spec.unflatten(rows[index]).items()}
        with torch.enable_grad():
            loss = program.loss_sum(leaves, state, data)
            grads = _grad(loss, leaves)
        sums[index] += loss.detach()
        _accumulate(spec.unflatten(gradients[index]), grads)


def _vmapped(
    program: Program,
    rows: Tensor,
    buffers: Named,
    row_buffers: Named,
    batch: Any,
    per_row: bool,
    sums: Tensor,
    gradients: Tensor | None,
) -> None:
    data_axis = 0 if per_row else None

    def losses(params: Named, stacked: Named) -> Tensor:
        def one(row: Named, own: Named, data: Any) -> Tensor:
            return program.loss_sum(row, {**buffers, **own}, data)

        # An empty dict has no axis to map over.
        axes = (0, 0 if stacked else None, data_axis)
        batched: Tensor = vmap(one, in_dims=axes)(params, stacked, batch)
        return batched

    if gradients is None:
        with torch.no_grad():
            sums += losses(program.spec.unflatten(rows), row_buffers)
        return
    leaves = {name: view.detach().requires_grad_() for name, view in program.spec.unflatten(rows).items()}
    with torch.enable_grad():
        values = losses(leaves, row_buffers)
        # Rows do not see each other, so the gradient of the sum holds every row's own gradient.
        grads = _grad(values.sum(), leaves)
    sums += values.detach()
    _accumulate(program.spec.unflatten(gradients), grads)


def batched(*arguments: Any) -> None:
    """Evaluate all rows at once with ``torch.func.vmap``."""
    _vmapped(*arguments)


def fused(*arguments: Any) -> None:
    """Like ``vmap``, but a layer that sees the same input in every row becomes one wide matrix product."""
    with SharedInputLinear():
        _vmapped(*arguments)


def _grad(loss: Tensor, leaves: Named) -> tuple[Tensor | None, ...]:
    if not loss.requires_grad:
        return (None,) * len(leaves)
    return torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)


def _accumulate(targets: Named, grads: tuple[Tensor | None, ...]) -> None:
    # A parameter the loss does not use has gradient zero: its slots stay as they are.
    for target, grad in zip(targets.values(), grads, strict=True):
        if grad is not None:
            target.add_(grad)


STRATEGIES: dict[StrategyName, Strategy] = {"loop": loop, "vmap": batched, "fused": fused}
