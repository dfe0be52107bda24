"""Divide training samples and take subsets, always in the same way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import derive_seed
from lossatlas.data.dataset import Dataset, Splits

__all__ = ["divide", "permutation"]


def permutation(n: int, purpose: str) -> Tensor:
    """Return the fixed permutation of n samples that serves one purpose, ``-> (n,)`` int64.

    Example:
        >>> bool((permutation(5, "train") == permutation(5, "train")).all())
        True
    """
    # RandomState, not default_rng: NumPy's compatibility policy (NEP 19) freezes its stream for ever,
    # so a split is the same on every machine and in every version.
    order = np.random.RandomState(derive_seed("data", purpose) % 2**32).permutation(n)
    return torch.from_numpy(order.astype(np.int64))


def _held_out(validation: float, n: int) -> int:
    """How many of n samples a fraction or a count stands for."""
    if not isinstance(validation, bool):
        count = validation if isinstance(validation, int) else -1
        if isinstance(validation, float) and 0 <= validation < 1:
            count = round(validation * n)
        if 0 <= count < n and (count > 0 or validation == 0):
            return count
    raise InputError(
        f"expected validation as a fraction in [0, 1) or a number of samples below {n:,}, "
        f"holding out at least one and leaving at least one to train on, got {validation!r}"
    )


def _subset(data: Dataset, size: int | None, purpose: str) -> Dataset:
    if size is None:
        return data
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= len(data):
        raise InputError(
            f"expected {purpose}_size between 1 and {len(data):,}, all there are in '{data.name}', got {size!r}"
        )
    # Sorted, so that asking for all of them is the same as not asking.
    return data.select(permutation(len(data), purpose)[:size].sort().values)


def divide(
    splits: Splits, *, validation: float = 0.0, train_size: int | None = None, test_size: int | None = None
) -> Splits:
    """Hold out a validation split, then take subsets.

    The held-out samples do not depend on the sizes, smaller subsets lie inside larger ones, and samples keep
    their order.

    Args:
        splits: what to divide.
        validation: fraction (a float in [0, 1)) or number (an int) of training samples to hold out; 0 for none.
        train_size: number of the remaining training samples to keep; None for all.
        test_size: number of test samples to keep; None for all.

    Returns:
        New splits; the given ones are not changed.

    Raises:
        InputError: a number out of range, or a validation split where there is one already.

    Example:
        >>> part = Dataset("d", torch.arange(10.0), torch.arange(10))
        >>> halves = divide(Splits("d", part, part), validation=0.2, train_size=5)
        >>> len(halves.train), len(halves.validation), len(halves.test)
        (5, 2, 10)
    """
    train, held_out, notes = splits.train, splits.validation, []
    count = _held_out(validation, len(train))
    if count:
        if held_out is not None:
            raise InputError(
                f"expected validation=0 for '{splits.name}', which brings its own validation split of "
                f"{len(held_out):,} samples, got {validation!r}"
            )
        order = permutation(len(train), "validation")
        held_out = replace(train.select(order[:count].sort().values), name=f"{splits.name}/validation")
        train = train.select(order[count:].sort().values)
        notes.append(f"{count:,} training samples are held out for validation by a fixed permutation.")
    smaller_train = _subset(train, train_size, "train")
    smaller_test = _subset(splits.test, test_size, "test")
    for part, whole, what in ((smaller_train, train, "training"), (smaller_test, splits.test, "test")):
        if len(part) < len(whole):
            notes.append(f"Only {len(part):,} of {len(whole):,} {what} samples are used, by a fixed permutation.")
    return Splits(splits.name, smaller_train, smaller_test, held_out, " ".join([splits.source, *notes]).strip())
