"""Numbers of marks: checked, copied and frozen, so that a figure cannot change after it was described."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lossatlas.core.errors import InputError

__all__ = ["Array", "Values", "checked", "freeze", "same_length"]

Array: TypeAlias = NDArray[np.float64]
Values: TypeAlias = Sequence[float] | NDArray[np.floating] | NDArray[np.integer] | Tensor
"""Numbers as a list, numpy array or tensor; marks keep them as read-only float64 arrays."""


def checked(values: Values, what: str, *, ndim: int = 1, gaps: bool = False) -> Array:
    """Copy numbers into a read-only float64 array; NaN is refused unless it may be a gap."""
    raw = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    array = np.array(raw, dtype=np.float64)
    if array.ndim != ndim or array.size == 0:
        raise InputError(f"expected {what} as a non-empty array with {ndim} axes, got shape {array.shape}")
    if np.isinf(array).any() or (np.isnan(array).any() and not gaps):
        allowed = "finite numbers or NaN (a gap)" if gaps else "finite numbers"
        raise InputError(f"expected {allowed} in {what}, got {'infinity' if np.isinf(array).any() else 'NaN'}")
    if not np.isfinite(array).any():
        raise InputError(f"expected at least one number in {what}, got only NaN: leave the mark out")
    array.flags.writeable = False
    return array


def freeze(mark: object, **arrays: Array) -> None:
    """Set fields of a frozen mark."""
    for name, array in arrays.items():
        object.__setattr__(mark, name, array)


def same_length(x: Array, y: Array, label: str) -> None:
    """Refuse x and y of different lengths."""
    if x.shape != y.shape:
        raise InputError(f"expected as many x as y in '{label}', got {x.size} and {y.size}")
