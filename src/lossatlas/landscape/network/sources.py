"""Where a network's training examples come from: tensors in memory, or a loader read once per pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from lossatlas.core.errors import DataError, InputError

__all__ = ["Batch", "LoaderSource", "Source", "TensorSource", "batch_size", "make_source", "map_tensors", "tensors_of"]

Batch: TypeAlias = "Tensor | tuple[Any, ...] | list[Any] | dict[str, Any]"
"""A tensor, or tuples, lists and dicts of them; the first axis of every tensor runs over samples."""


def map_tensors(batch: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Apply a function to every tensor of a batch, keeping its structure."""
    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, Mapping):
        return {key: map_tensors(value, function) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return type(batch)([map_tensors(value, function) for value in batch])
    return batch


def tensors_of(batch: Any) -> Iterator[Tensor]:
    """The tensors of a batch, in the order in which :func:`map_tensors` meets them."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from tensors_of(value)
    elif isinstance(batch, tuple | list):
        for value in batch:
            yield from tensors_of(value)


def batch_size(batch: Any) -> int:
    """Number of samples in a batch: the first axis of its first tensor."""
    for leaf in tensors_of(batch):
        return len(leaf)
    raise DataError(f"expected a batch with at least one tensor, got {type(batch).__name__}")


class Source(Protocol):
    """A data set as the evaluator sees it."""

    @property
    def samples(self) -> int:
        """Number of samples N."""
        ...

    def chunks(self, size: int | None) -> Iterator[Batch]:
        """All samples in order, ``size`` at a time (None: as they come)."""
        ...

    def take(self, indices: Tensor) -> Batch:
        """Samples by index, ``(*b, B)`` -> tensors ``(*b, B, ...)``."""
        ...

    def to(self, dtype: torch.dtype, device: torch.device) -> Source:
        """The same samples with floating tensors in ``dtype``, on ``device``."""
        ...


class TensorSource:
    """Samples held in memory.

    Args:
        batch: all samples as one batch.

    Raises:
        DataError: no samples, or tensors that disagree on their number.
    """

    def __init__(self, batch: Batch) -> None:
        sizes = {len(leaf) if leaf.ndim else 0 for leaf in tensors_of(batch)}
        if not sizes:
            raise DataError(
                "expected data as tensors, got none: turn numpy arrays and lists of numbers into tensors with "
                "torch.as_tensor"
            )
        if len(sizes) != 1 or sizes == {0}:
            raise DataError(
                "expected data tensors with one number of samples, at least 1, on their first axis, got lengths "
                f"{', '.join(map(str, sorted(sizes)))}: check how the data were cut"
            )
        self._batch = batch
        self._samples = sizes.pop()

    @property
    def samples(self) -> int:
        """Number of samples N."""
        return self._samples

    def chunks(self, size: int | None) -> Iterator[Batch]:
        """All samples in order, ``size`` at a time; views, nothing is copied."""
        if size is None or size >= self._samples:
            yield self._batch
            return
        for start in range(0, self._samples, size):
            piece = slice(start, start + size)
            yield map_tensors(self._batch, lambda leaf, piece=piece: leaf[piece])  # type: ignore[misc]

    def take(self, indices: Tensor) -> Batch:
        """Samples by index, ``(*b, B)`` -> tensors ``(*b, B, ...)``."""
        flat = indices.reshape(-1)

        def gather(leaf: Tensor) -> Tensor:
            return leaf.index_select(0, flat).reshape(*indices.shape, *leaf.shape[1:])

        gathered: Batch = map_tensors(self._batch, gather)
        return gathered

    def to(self, dtype: torch.dtype, device: torch.device) -> TensorSource:
        """The same samples with floating tensors in ``dtype``, on ``device``."""
        return TensorSource(_convert(self._batch, dtype, device))


class LoaderSource:
    """Samples read from a loader, once per pass; at most one batch is in memory.

    Args:
        loader: a DataLoader or any iterable that can be walked again and again.
        dtype: floating type of what comes out; None keeps it.
        device: where it is moved; None keeps it.
    """

    def __init__(
        self, loader: Iterable[Batch], dtype: torch.dtype | None = None, device: torch.device | None = None
    ) -> None:
        self._loader = loader
        self._dtype = dtype
        self._device = device
        self._counted: int | None = None

    @property
    def samples(self) -> int:
        """Number of samples N; counted in one pass where the loader does not know."""
        if self._counted is None:
            self._counted = sum(batch_size(batch) for batch in self._loader)
            if self._counted == 0:
                raise DataError("expected a loader with samples that can be walked more than once, got an empty pass")
        return self._counted

    def chunks(self, size: int | None) -> Iterator[Batch]:
        """Batches as the loader gives them, cut into pieces of at most ``size``."""
        for batch in self._loader:
            ready = _convert(batch, self._dtype, self._device)
            if size is None or batch_size(ready) <= size:
                yield ready
            else:
                yield from TensorSource(ready).chunks(size)

    def take(self, indices: Tensor) -> Batch:
        """Samples by index through the loader's own data set and collation.

        Raises:
            InputError: the loader has no data set that can be indexed.
        """
        if not isinstance(self._loader, DataLoader) or not hasattr(self._loader.dataset, "__getitem__"):
            raise InputError(
                "expected data that can be indexed for a mini-batch, got a loader without one: "
                "pass tensors, or a DataLoader over a map-style dataset"
            )
        dataset, collate = self._loader.dataset, self._loader.collate_fn
        flat = collate([dataset[i] for i in indices.reshape(-1).tolist()])
        batch: Batch = map_tensors(flat, lambda leaf: leaf.reshape(*indices.shape, *leaf.shape[1:]))
        return _convert(batch, self._dtype, self._device)

    def to(self, dtype: torch.dtype, device: torch.device) -> LoaderSource:
        """The same samples with floating tensors in ``dtype``, on ``device``."""
        source = LoaderSource(self._loader, dtype, device)
        source._counted = self._counted
        return source


def _convert(batch: Batch, dtype: torch.dtype | None, device: torch.device | None) -> Batch:
    def move(leaf: Tensor) -> Tensor:
        wanted = dtype if leaf.is_floating_point() else None
        return leaf.detach().to(device=device, dtype=wanted)

    converted: Batch = map_tensors(batch, move)
    return converted


def _leaves(data: object) -> Iterator[object]:
    """What tuples, lists and dicts hold; anything else is itself a leaf, also where it could be walked."""
    inner = data.values() if isinstance(data, Mapping) else data if isinstance(data, tuple | list) else None
    if inner is None:
        yield data
        return
    for part in inner:
        yield from _leaves(part)


def make_source(data: object) -> Source:
    """Wrap a user's data.

    Args:
        data: ``(inputs, targets)``, a dict of tensors, one tensor, a ``TensorDataset``, or an iterable of batches such
            as a ``DataLoader`` (for data larger than memory).

    Returns:
        A source; tensors are shared, not copied, and never written to.

    Raises:
        DataError: something else, or lengths that disagree.
    """
    if isinstance(data, TensorSource | LoaderSource):
        return data
    if isinstance(data, str | Path):
        raise DataError(
            f"expected data as (inputs, targets), a dict of tensors or a DataLoader, got the path '{data}': name it as "
            f"data='{data}' of a named problem, or read it with lossatlas.data.get('{data}')"
        )
    if any(isinstance(leaf, np.ndarray) for leaf in _leaves(data)):
        raise DataError(
            "expected data as torch tensors, got numpy arrays: turn them into tensors with torch.as_tensor, such as "
            "(torch.as_tensor(x), torch.as_tensor(y))"
        )
    if isinstance(data, TensorDataset):
        return TensorSource(tuple(data.tensors))
    if isinstance(data, Tensor | tuple | dict) or (
        isinstance(data, list) and data and all(isinstance(leaf, Tensor) for leaf in data)
    ):
        return TensorSource(data)
    if isinstance(data, Iterator):
        raise DataError(
            "expected data that can be read again and again, got an iterator that is used up after one pass: "
            "pass the DataLoader itself"
        )
    if isinstance(data, Iterable | Sequence):
        return LoaderSource(data)
    raise DataError(f"expected data as (inputs, targets), a dict of tensors or a DataLoader, got {type(data).__name__}")
