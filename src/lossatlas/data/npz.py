"""NumPy archives (.npz) as splits, read without unpickling."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossatlas.core.errors import DataError, InputError, nearest
from lossatlas.data.dataset import Splits
from lossatlas.data.pixels import grey_to_unit
from lossatlas.data.tensors import from_tensors

__all__ = ["from_npz"]

_PARTS = {"train": "train", "test": "test", "validation": "val"}


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise DataError(f"expected a data set in {path}, got no such file: check the path")
    wanted = [f"{axis}_{part}" for part in _PARTS.values() for axis in "xy"]
    arrays: dict[str, NDArray[Any]] = {}
    key = ""
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(
                f"expected a NumPy archive in {path}, got another kind of file or a damaged one: "
                "write it with numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)"
            )
        with np.load(path, allow_pickle=False) as archive:
            present = list(archive.files)
            for key in wanted:
                if key in present:
                    arrays[key] = archive[key]
    except ValueError as error:
        # With pickles refused, an array of Python objects is what NumPy reports as a ValueError.
        raise DataError(
            f"expected plain numbers as '{key}' in {path}, got an array that is damaged or needs unpickling: "
            "save it with a numeric dtype"
        ) from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"expected a readable NumPy archive in {path}, got '{error}': save it again") from error
    optional = {"x_val", "y_val"} if not {"x_val", "y_val"} & arrays.keys() else set()
    for key in wanted:
        if key not in arrays and key not in optional:
            raise DataError(f"expected an array '{key}' in {path}, got none: {nearest(key, present)}")
    return arrays


def _inputs(array: NDArray[Any]) -> Tensor:
    if array.dtype == np.uint8:
        images = grey_to_unit(array)
        return images[:, None] if images.ndim == 3 else images
    return _tensor(array)


def _tensor(array: NDArray[Any]) -> Tensor:
    if array.dtype.kind in "iu":
        return torch.from_numpy(array.astype(np.int64))
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))
    raise InputError(f"expected integers or floating-point numbers of at most 64 bits, got {array.dtype}")


def from_npz(path: str | Path, *, name: str | None = None) -> Splits:
    """Read a data set from a NumPy archive.

    Args:
        path: a file with arrays ``x_train``, ``y_train``, ``x_test``, ``y_test`` and optionally ``x_val``, ``y_val``.
            Inputs of dtype uint8 are grey levels and divided by 255, and ``(N, H, W)`` of them become
            ``(N, 1, H, W)``; other integers become int64; floating-point numbers are kept.
        name: what to call it; None for the file's name.

    Returns:
        Splits with the validation samples, where there are any.

    Raises:
        DataError: the file is missing, damaged, lacks an array, holds objects, or its arrays do not fit together.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "four.npz"
        >>> np.savez(path, x_train=np.zeros((4, 2)), y_train=[0, 1, 1, 0], x_test=np.zeros((1, 2)), y_test=[1])
        >>> from_npz(path).train
        Dataset('four/train': 4 samples of shape (2,), 2 classes)
    """
    path = Path(path)
    arrays = _read_arrays(path)
    name = name or path.stem
    try:
        pairs = {
            part: (_inputs(arrays[f"x_{key}"]), _tensor(arrays[f"y_{key}"]))
            for part, key in _PARTS.items()
            if f"x_{key}" in arrays
        }
        source = f"The user's NumPy archive {path.name}."
        return from_tensors(pairs["train"], pairs["test"], pairs.get("validation"), name=name, source=source)
    except InputError as error:
        raise DataError(f"{path}: {error}") from error
