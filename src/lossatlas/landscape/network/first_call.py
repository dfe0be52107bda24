"""What a model or loss raises when it meets the data for the first time, said in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lossatlas.core.errors import InputError, LossatlasError

__all__ = ["explained_errors"]

# What an error of PyTorch says, and what is usually meant.
_HINTS = (
    (
        ("'tuple' object", "'dict' object", "'list' object", "Output' object", "'NoneType' object"),
        "a model that returns more than one tensor needs forward=, which says what is output and what is target",
    ),
    (
        ("to unpack",),
        "give data as (inputs, targets), or say with forward= how the model is called and what the target is",
    ),
    (
        ("Target", "out of bounds"),
        "class labels are whole numbers from 0 on, below the number of the network's outputs",
    ),
    (
        ("target dtype", "expected scalar type Long"),
        "class labels are whole numbers (targets.long())",
    ),
    (
        ("same dtype", "scalar type", "Input type"),
        "inputs need the floating type of the weights (inputs.float())",
    ),
)


@contextmanager
def explained_errors() -> Iterator[None]:
    """Turn what the user's model or loss raises into one sentence; what lossatlas raises, and a lack of memory, passes.

    Raises:
        InputError: anything else was raised.
    """
    try:
        yield
    except (LossatlasError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a user's model fails in its own ways
        text = " ".join(str(error).split())
        if isinstance(error, RuntimeError) and "memory" in text:
            raise
        hint = next((hint for words, hint in _HINTS if any(word in text for word in words)), None)
        raise InputError(
            f"expected a model and a loss that can be computed on the data, got {type(error).__name__} "
            f"'{text[:200]}': {hint or 'try both on one batch'}"
        ) from error
