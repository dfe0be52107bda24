"""Linear layers whose input is the same for every row, as one wide matrix product.

Full-batch evaluation of R replicas multiplies the same images by R first-layer matrices. ``vmap`` turns this into R
products with 50 columns each; stacked along the output axis they are one product with 50 R columns, which keeps a CPU's
arithmetic units busier (a GPU's too).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lossatlas.landscape.network.affine_input import Lines

__all__ = ["SharedInputLinear"]

# The plane of the rows in work; batching rules are called without arguments of their own.
_LINES: ContextVar[Lines | None] = ContextVar("lines", default=None)


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
                on_plane = _on_plane(inputs, stacked)
                if on_plane is not None:
                    return on_plane, 0
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


def _on_plane(inputs: Tensor, stacked: Tensor) -> Tensor | None:
    """``x Wᵀ`` of rows on a plane: the products with its base and directions, combined, ``-> (r, n, o)``."""
    lines = _LINES.get()
    parts = lines.find_all(stacked) if lines is not None and lines.pays(stacked[0]) else None
    if lines is None or parts is None:
        return None
    products = parts.flatten(0, 1) @ inputs.T  # ((k + 1) o, n)
    wide = lines.weights @ products.reshape(len(parts), -1)
    return wide.reshape(len(stacked), stacked.shape[1], -1).mT


class SharedInputLinear(TorchFunctionMode):
    """Within this context ``F.linear`` has the batching rule above.

    Args:
        lines: the plane on which the rows lie, if they do and gradients are not wanted.
    """

    def __init__(self, lines: Lines | None = None) -> None:
        super().__init__()
        self._lines = lines

    def __enter__(self) -> Any:
        """Let the batching rule know the plane."""
        self._token = _LINES.set(self._lines)
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        """Forget the plane."""
        _LINES.reset(self._token)
        super().__exit__(*error)  # type: ignore[no-untyped-call]

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
