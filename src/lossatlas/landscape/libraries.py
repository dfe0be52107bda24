"""Which library a function of the user's is written in."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError

__all__ = ["Library", "detect_library"]

Library: TypeAlias = Literal["torch", "numpy"]


def detect_library(
    function: Callable[..., object], point: Tensor, *, what: str, wanted: str, first: Library
) -> Library:
    """Call a function with a tensor and with an array; what it takes and returns says what it is written in.

    Args:
        function: the user's.
        point: a copy of it is the argument.
        what: what the function is, for messages.
        wanted: its argument, for messages.
        first: tried first; many functions take both. The tensor refuses to become an array.

    Returns:
        ``"torch"`` for what returns a tensor, else ``"numpy"``.

    Raises:
        InputError: it takes neither.

    Example:
        >>> import numpy as np
        >>> point = torch.tensor([0.3, 0.6], dtype=torch.float64)
        >>> [
        ...     detect_library(f, point, what="function", wanted="one point (d,)", first="torch")
        ...     for f in (torch.sum, np.sum, lambda x: x.sum())
        ... ]
        ['torch', 'numpy', 'torch']
    """
    trouble: dict[Library, str] = {}
    error: Exception | None = None
    order: tuple[Library, Library] = ("torch", "numpy") if first == "torch" else ("numpy", "torch")
    for library in order:
        try:
            with torch.enable_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if library == "torch":
                    answer = function(point.clone().requires_grad_().clone())
                else:
                    answer = function(point.detach().to("cpu", torch.float64).numpy().copy())
        except Exception as raised:
            given = "a tensor" if library == "torch" else "an array"
            trouble[library], error = f"with {given} it raised {type(raised).__name__}: {raised}", raised
            continue
        if isinstance(answer, Tensor):
            return "torch"
        if library == "numpy":
            return "numpy"
        trouble[library] = f"with a tensor it returned {type(answer).__name__}"
    raise InputError(
        f"expected a {what} of {wanted} in torch or numpy, got one that takes neither ({trouble['torch']}; "
        f"{trouble['numpy']}): check dim, batched, and pass library='torch' or 'numpy' if it is not defined near 1/2"
    ) from error
