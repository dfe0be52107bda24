"""What the scripts about paths share: stages that are not computed twice, and barriers from dense samples."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossatlas.core.files import load_tree, save_tree
from lossatlas.core.path import Path as Found
from lossatlas.landscape import AffineRows, Landscape
from lossatlas.paths import PathFinder

__all__ = ["Stages", "barriers"]

DENSE = 1001


class Stages:
    """Finished parts of a long run, one file each; delete the folder when something before them has changed.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}

    def tree(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return what ``compute`` returned when it was first called, a tree of tensors and numbers."""
        file = self.folder / f"{name}.json"
        if not file.exists():
            begun = time.monotonic()
            result = compute()
            save_tree(file, {"result": result, "seconds": time.monotonic() - begun})
        stored = load_tree(file)
        self.seconds[name] = round(stored["seconds"], 1)
        print(name, f"{self.seconds[name]} s", flush=True)
        return stored["result"]

    def paths(self, name: str, finder: PathFinder, landscape: Landscape, starts: Tensor, ends: Tensor) -> list[Found]:
        """Find a path for every pair of rows, or read the paths found before."""
        trees = self.tree(name, lambda: [path.to_tree() for path in finder.find_many(landscape, starts, ends)])
        return [Found.from_tree(tree) for tree in trees]


def barriers(landscape: Landscape, paths: list[Found]) -> Tensor:
    """Height above the higher end, the greatest of 1 001 even samples in float64."""
    exact = landscape.to(dtype=torch.float64)
    t = torch.linspace(0, 1, DENSE, dtype=torch.float64)
    found = []
    for path in paths:
        if path.curve is None:
            raise ValueError("expected a path with its curve, got none")
        curve = path.curve.to(dtype=torch.float64)
        loss = exact.value(AffineRows(torch.zeros_like(curve.start), curve.weights(t), curve.directions))
        found.append(loss.max() - torch.maximum(loss[0], loss[-1]))
    return torch.stack(found)
