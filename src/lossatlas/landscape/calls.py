"""Calling functions of the user's: copies go in, shapes and types are checked on the way out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lossatlas.core.errors import InputError

__all__ = ["call_numpy", "call_torch", "call_torch_rows"]

_Float64 = npt.NDArray[np.float64]


def call_torch(function: Callable[..., object], x: Tensor, shape: torch.Size, name: str, kind: str) -> Tensor:
    """Call a torch function with a copy of its argument and check what it returns.

    Args:
        function: the user's.
        x: its argument; gradients flow to it.
        shape: shape the result must have.
        name: what the function is called in messages.
        kind: how it was declared, for messages.

    Returns:
        The function's result.

    Raises:
        InputError: not a tensor, or of the wrong shape, dtype or device.
    """
    answer = function(x.clone())
    if not isinstance(answer, Tensor):
        raise InputError(f"expected {name} to return a torch tensor, got {type(answer).__name__}: return a tensor")
    if answer.shape != shape:
        raise InputError(
            f"expected {name} to return shape {tuple(shape)}, got {tuple(answer.shape)}: it is called as {kind}; "
            "reduce with .sum(-1), or say batched=True for a function of rows and batched=False for one of a point"
        )
    if answer.dtype != x.dtype or answer.device != x.device:
        raise InputError(
            f"expected {name} to return {x.dtype} on {x.device}, got {answer.dtype} on {answer.device}: "
            "keep the constants it uses in that dtype, there, or choose dtype= and device= to match them"
        )
    return answer


def call_torch_rows(function: Callable[..., object], x: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """Call a torch function of one point for each row, ``(n, d) -> (n, *shape)``.

    Raises:
        InputError: as :func:`call_torch`.
    """
    rows = [call_torch(function, row, torch.Size(shape), name, "one point: (d,)") for row in x]
    if not rows:
        return x.new_empty(0, *shape)
    return torch.stack(rows)


def call_numpy(
    function: Callable[..., object], x: _Float64, shape: tuple[int, ...], batched: bool, name: str
) -> _Float64:
    """Call a numpy function with copies and check what it returns, ``(n, d) -> (n, *shape)``.

    Raises:
        InputError: a result that is not of floating type, or of the wrong shape.
    """
    wanted = (len(x), *shape)
    if batched:
        return _as_float64(function(x.copy()), wanted, name)
    found = np.empty(wanted)
    for i, row in enumerate(x):
        found[i] = _as_float64(function(row.copy()), shape, name)
    return found


def _as_float64(answer: object, shape: tuple[int, ...], name: str) -> _Float64:
    array = np.asarray(answer)
    if array.dtype.kind != "f":
        raise InputError(
            f"expected {name} to return floating-point numbers, got {type(answer).__name__} of {array.dtype}: "
            "return a float"
        )
    if array.shape != shape:
        raise InputError(
            f"expected {name} to return shape {shape}, got {array.shape}: "
            "reduce over the last axis, or say batched=True for a function of rows and batched=False for one of a point"
        )
    return np.array(array, dtype=np.float64)
