"""Linear layers whose input is the same for every row, as one wide matrix product.

Full-batch evaluation of R replicas multiplies the same images by R first-layer matrices. ``vmap`` turns this into R
products with 50 columns each; stacked along the output axis they are one product with 50 R columns, which keeps a CPU's
arithmetic units busier (a GPU's too).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["SharedInputLinear"]


class _Linear(torch.autograd.Function):
    """``x Wᵀ`` with a batching rule of its own; without ``vmap`` it is the plain product."""

    @staticmethod
    def forward(inputs: Tensor, weight: Tensor) -> Tensor:
        """Multiply, ``(*n, i), (o, i) -> (*n, o)``."""
        return inputs @ weight.T

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Keep both factors."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradients of both factors."""
        inputs, weight = ctx.saved_tensors
        (grad,) = grads
        by_input = grad @ weight if ctx.needs_input_grad[0] else None
        by_weight = grad.flatten(0, -2).T @ inputs.flatten(0, -2) if ctx.needs_input_grad[1] else None
        return by_input, by_weight

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, int | None], inputs: Tensor, weight: Tensor) -> tuple[Tensor, int]:
        """Batch over rows; the wide product where only the weights differ."""
        input_dim, weight_dim = in_dims
        if weight_dim is None:
            return inputs.movedim(input_dim or 0, 0) @ weight.T, 0
        stacked = weight.movedim(weight_dim, 0)
        rows, out, _ = stacked.shape
        if input_dim is None:
            if inputs.ndim == 2:
                # Samples on the fast axis, for this layer and, through the branch below, for those that follow.
                wide = stacked.flatten(0, 1) @ inputs.T
                return wide.reshape(rows, out, -1).mT, 0
            # The row axis stays next to the outputs, where the product put it: no copy.
            wide = inputs @ stacked.flatten(0, 1).T
            return wide.reshape(*wide.shape[:-1], rows, out), wide.ndim - 1
        batched = inputs.movedim(input_dim, 0)
        if batched.ndim == 3 and batched.mT.is_contiguous():
            return torch.bmm(stacked, batched.mT).mT, 0
        flat = batched.flatten(1, -2) if batched.ndim > 2 else batched.unsqueeze(1)
        return torch.bmm(flat, stacked.mT).reshape(*batched.shape[:-1], out), 0


class SharedInputLinear(TorchFunctionMode):
    """Within this context ``F.linear`` has the batching rule above."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace calls of ``F.linear``; every other function runs unchanged."""
        options = kwargs or {}
        if func is not F.linear:
            return func(*args, **options)
        inputs, weight, bias, *_ = (*args, *options.values(), None, None)
        product = _Linear.apply(inputs, weight)  # type: ignore[no-untyped-call]
        return product if bias is None else product + bias
