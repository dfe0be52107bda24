"""A user's own tensors as splits."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.data.dataset import Dataset, Splits

__all__ = ["from_tensors"]

_TOKENS = (torch.int64, torch.int32)


def _checked(pair: tuple[Tensor, Tensor], name: str) -> tuple[Tensor, Tensor]:
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair):
        raise InputError(
            f"expected a pair (inputs, targets) of torch tensors as '{name}', got {type(pair).__name__}: "
            "convert arrays with torch.as_tensor(...)"
        )
    x, y = pair
    if not (x.is_floating_point() or x.dtype in _TOKENS):
        raise InputError(
            f"expected floating-point inputs or int64 tokens in '{name}', got {x.dtype}: "
            "convert them, for instance grey levels with x.float() / 255"
        )
    if not (y.is_floating_point() or y.dtype == torch.int64):
        raise InputError(f"expected int64 classes or floating-point targets in '{name}', got {y.dtype}: use y.long()")
    for part, what in ((x, "inputs"), (y, "targets")):
        if part.is_floating_point() and not bool(torch.isfinite(part).all()):
            raise InputError(f"expected finite {what} in '{name}', got NaN or infinity: remove or fill those samples")
    return x, y


def _count_classes(targets: list[Tensor]) -> int | None:
    """Largest class number plus one; None where the targets are not class numbers."""
    if any(y.ndim != 1 or y.is_floating_point() or bool((y < 0).any()) for y in targets):
        return None
    return max(int(y.max()) for y in targets) + 1


def from_tensors(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor] | None = None,
    *,
    name: str = "mine",
    source: str = "",
) -> Splits:
    """Use tensors as a data set; they are checked, but neither copied nor changed.

    Args:
        train: inputs ``(N, *shape)``, floating-point or int64/int32 tokens, and targets ``(N, *shape)``,
            int64 classes or floating-point.
        test: the same for the test samples.
        validation: the same for samples to choose early-stopped weights on; None for none.
        name: what to call it.
        source: where the data came from, as a sentence for a methods section.

    Returns:
        Splits that share memory with the tensors.

    Raises:
        InputError: lengths, shapes or dtypes do not fit together, or a value is not finite.

    Example:
        >>> x, y = torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])
        >>> from_tensors(train=(x, y), test=(x[:2], y[:2])).train
        Dataset('mine/train': 4 samples of shape (3,), 3 classes)
    """
    given = {"train": train, "test": test, **({} if validation is None else {"validation": validation})}
    pairs = {part: _checked(pair, f"{name}/{part}") for part, pair in given.items()}
    # Lengths first: the checks below would otherwise meet empty tensors.
    parts = {part: Dataset(f"{name}/{part}", x, y) for part, (x, y) in pairs.items()}
    first = parts["train"]
    for part in parts.values():
        for what, ours, theirs in (("inputs", part.inputs, first.inputs), ("targets", part.targets, first.targets)):
            if ours.dtype != theirs.dtype or ours.shape[1:] != theirs.shape[1:]:
                raise InputError(
                    f"expected {what} of '{part.name}' to be {theirs.dtype} of shape {tuple(theirs.shape[1:])} "
                    f"as in '{first.name}', got {ours.dtype} of shape {tuple(ours.shape[1:])}"
                )
    classes = _count_classes([part.targets for part in parts.values()])
    parts = {key: Dataset(part.name, part.inputs, part.targets, classes) for key, part in parts.items()}
    return Splits(name, parts["train"], parts["test"], parts.get("validation"), source or f"The user's data '{name}'.")
