"""Errors that say what was expected, what came, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigurationError",
    "DataError",
    "DivergenceError",
    "InputError",
    "LossatlasError",
    "MemoryLimitError",
    "NonDeterministicLossError",
    "StorageError",
    "nearest",
]


class LossatlasError(Exception):
    """Base of every error the library raises on purpose.

    The command line prints these as one sentence without a traceback.
    """


class InputError(LossatlasError, ValueError):
    """An argument has the wrong type, shape, dtype, device or value."""


class ConfigurationError(LossatlasError, ValueError):
    """A recipe or study file names something that does not exist or cannot be."""


class DataError(LossatlasError):
    """A data set or weight file is missing, corrupt or of the wrong kind."""


class StorageError(LossatlasError):
    """A result cannot be written or read back."""


class DivergenceError(LossatlasError, ArithmeticError):
    """A loss is NaN or infinite where a finite one is needed."""


class MemoryLimitError(LossatlasError):
    """A computation does not fit into memory even in its smallest parts."""


class NonDeterministicLossError(LossatlasError):
    """Two evaluations of the same weights disagree, so there is no landscape to map."""


# Least similarity of names of which one is taken for the other misspelt: 'dim' is no 'device' (0.44).
_NEAR = 0.5


def nearest(name: str, valid: Iterable[str]) -> str:
    """Finish an error message with the nearest valid name and the full list.

    Args:
        name: what was asked for.
        valid: the names that exist.

    Returns:
        A phrase such as ``did you mean 'fcp'? (one of: fcp, lenet)``.

    Example:
        >>> nearest("fpc", ["fcp", "lenet"])
        "did you mean 'fcp'? (one of: fcp, lenet)"
    """
    names = sorted(valid)
    listing = ", ".join(names) if names else "none are registered"
    close = difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
    return f"did you mean '{close[0]}'? (one of: {listing})" if close else f"use one of: {listing}"
