"""One floating type for a whole forward pass, whatever types the network's code asks for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["OneType", "floating_types", "in_type_of", "widest_type"]

_CASTS = {Tensor.float, Tensor.double, Tensor.half, Tensor.bfloat16}


class OneType(TorchFunctionMode):
    """Within this context every floating type that is asked for is the same one.

    Networks say ``x.float()``, ``softmax(..., dtype=torch.float32)`` or ``self.head(x.double())``, which fails or loses
    digits once their weights have another type. Whole numbers and complex types are left alone.

    Args:
        dtype: the type.

    Example:
        >>> with OneType(torch.float64):
        ...     torch.arange(2).float().dtype, torch.ones(2, dtype=torch.float16).dtype, torch.ones(2).long().dtype
        (torch.float64, torch.float64, torch.int64)
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace the types in the arguments of a function."""
        if func in _CASTS:
            return args[0].to(self.dtype, **(kwargs or {}))
        named = {name: self._one(value) for name, value in (kwargs or {}).items()}
        return func(*[self._one(value) for value in args], **named)

    def _one(self, value: Any) -> Any:
        return self.dtype if isinstance(value, torch.dtype) and value.is_floating_point else value


def floating_types(model: nn.Module) -> set[torch.dtype]:
    """The floating types of a network's parameters and buffers."""
    tensors = (*model.parameters(), *model.buffers())
    return {tensor.dtype for tensor in tensors if tensor.is_floating_point()}


def widest_type(model: nn.Module) -> torch.dtype:
    """The most precise type of a network's trainable parameters.

    Example:
        >>> widest_type(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).double(), nn.Linear(1, 1).half()))
        torch.float64
    """
    types = (p.dtype for p in model.parameters() if p.requires_grad)
    return min(types, key=lambda dtype: torch.finfo(dtype).eps if dtype.is_floating_point else 2.0)


def in_type_of(model: nn.Module, native: set[torch.dtype]) -> AbstractContextManager[Any]:
    """A context in which a network runs in the type of its parameters.

    Args:
        model: with parameters of one type.
        native: the types that its code was written for; where it is just this one, nothing need be done.
    """
    (dtype, *_) = (p.dtype for p in model.parameters())
    return nullcontext() if native == {dtype} else OneType(dtype)
