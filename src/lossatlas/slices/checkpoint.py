"""A surface in progress, kept piece by piece, so that a killed evaluation continues."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossatlas.core.errors import StorageError
from lossatlas.core.files import digest, load_tree, remove_tree, save_tree, tensor_digest
from lossatlas.slices.plane import Plane

__all__ = ["GridCheckpoint", "stored_numerics"]

# Raised when a change of the code changes values.
_VERSION = 1
# Losses of one landscape at one point agree to this, whatever the floating type and the number of threads.
_AGREE = 1e-4


def stored_numerics(path: Path | None) -> dict[str, Any] | None:
    """Strategy and chunks with which a surface in progress was begun; None where there is none.

    Raises:
        StorageError: the file is damaged.
    """
    tree: Any = load_tree(path) if path is not None and path.exists() else None
    return tree.get("numerics") if isinstance(tree, dict) else None


class GridCheckpoint:
    """The points of a grid that are done, in a file.

    Args:
        path: a ``.json`` file; tensors go beside it. None: nothing is kept.
        plane: of the surface.
        axes: of the grid.
        names: what is measured.
        loss: at the plane's origin, to tell landscapes apart.
        numerics: strategy and chunks of the evaluation; kept, so that what continues ends with the same bits.
        seconds: least time between two writings.

    Raises:
        StorageError: the file is of another surface, or damaged.
    """

    def __init__(
        self,
        path: Path | None,
        plane: Plane,
        axes: Sequence[Tensor],
        names: Sequence[str],
        *,
        loss: float,
        numerics: dict[str, Any] | None,
        seconds: float,
    ) -> None:
        self._path, self._seconds, self._last = path, seconds, time.monotonic()
        self._address = digest({
            "version": _VERSION,
            "origin": tensor_digest(plane.origin),
            "directions": tensor_digest(plane.directions),
            "axes": [tensor_digest(axis) for axis in axes],
            "names": sorted(names),
        })  # fmt: skip
        self._loss, self._numerics = loss, numerics
        self.done = 0
        self.values: dict[str, Tensor] = {}
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        tree: Any = load_tree(path)
        same = isinstance(tree, dict) and tree.get("address") == self._address
        if not same or not _agree(float(tree["loss"]), self._loss):
            raise StorageError(
                f"expected the same surface in progress at {path}, got another one or something else: "
                "delete the file, or choose another"
            )
        self.done, self.values = int(tree["done"]), dict(tree["values"])

    def add(self, values: Mapping[str, Tensor], *, last: bool = False) -> None:
        """Keep what was measured at the next points, ``{name: (n,)}``."""
        empty = torch.empty(0, dtype=torch.float64)
        self.values = {name: torch.cat([self.values.get(name, empty), part]) for name, part in values.items()}
        self.done += len(next(iter(values.values())))
        if last or time.monotonic() - self._last >= self._seconds:
            self.write()

    def write(self) -> None:
        """Write what is done."""
        if self._path is not None:
            save_tree(
                self._path,
                {
                    "address": self._address,
                    "loss": self._loss,
                    "numerics": self._numerics,
                    "done": self.done,
                    "values": self.values,
                },
            )
            self._last = time.monotonic()

    def remove(self) -> None:
        """Delete the file: the surface is complete."""
        if self._path is not None:
            remove_tree(self._path)


def _agree(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_AGREE, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b))
