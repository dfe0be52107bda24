"""Runs as a user names them: a recorded run, a folder of checkpoints, or a file that holds many points."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lossatlas.cli.target import Target
from lossatlas.core.errors import DataError, InputError
from lossatlas.core.params import ParamSpec
from lossatlas.core.trajectory import Trajectory
from lossatlas.core.weights import read_weights
from lossatlas.slices.trajectory import finite_rows

__all__ = ["is_run", "load_named_runs", "load_run"]

_SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".npy")
# Under which names a safetensors file may hold all points of a run.
_KEYS = ("weights", "rows", "points")


def is_run(text: str) -> bool:
    """Whether an argument names a run rather than a point: a folder, or an array of several points."""
    path = Path(text).expanduser()
    if path.is_dir() or path.suffix.lower() == ".json":
        return True
    return path.is_file() and _stacked(path) is not None


def load_named_runs(arguments: tuple[str, ...], target: Target) -> dict[str, Tensor]:
    """Read ``NAME=PATH`` arguments, ``-> {name: (n, d)}``.

    Raises:
        InputError: an argument without a name, a name twice, or a path that is no run.
        DataError: files that cannot be read, or of another network.
    """
    found: dict[str, Tensor] = {}
    for argument in arguments:
        name, _, path = argument.partition("=")
        if not name.strip() or not path.strip():
            raise InputError(f"expected --run as NAME=PATH, such as sgd=runs/sgd, got '{argument}'")
        if name in found:
            raise InputError(f"expected each run to have a name of its own, got '{name}' twice")
        found[name] = load_run(path, target)
    return found


def load_run(text: str, target: Target) -> Tensor:
    """Read the points of a run in their order, ``-> (n, d)``.

    A ``.json`` file that ``TrajectoryRecorder`` saved, up to its last finite weights; a folder of weight files, in the
    order of their names with numbers counted as numbers; an ``.npy`` file ``(n, d)``; or a ``.safetensors`` file with a
    tensor ``weights`` ``(n, d)``.

    Raises:
        InputError: a path that is no run.
        DataError: files that cannot be read, or of another network.
        StorageError: a recorded run that is missing or damaged.
    """
    landscape = target.landscape
    path = Path(text).expanduser()
    if path.is_dir():
        spec = landscape.spec or ParamSpec(("point",), ((landscape.dim,),))
        files = sorted((file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES), key=_natural)
        if len(files) == 1 and _stacked(files[0]) is not None:
            return load_run(str(files[0]), target)
        if len(files) < 2:
            raise InputError(f"expected a folder with the weights of a run in {path}, got {len(files)} weight files")
        rows = torch.stack([read_weights(file, spec, landscape.dtype) for file in files])
        return rows.to(landscape.device)
    if path.suffix.lower() == ".json":
        stacked: Tensor | None = finite_rows(Trajectory.load(path))
    else:
        stacked = _stacked(path) if path.is_file() else None
    if stacked is None:
        raise InputError(
            f"expected a recorded run, a folder of weights, or several points as .npy or .safetensors, got '{text}'"
        )
    if stacked.shape[1] != landscape.dim:
        raise DataError(
            f"expected points of {landscape.dim} numbers in {path}, got {stacked.shape[1]}: another network"
        )
    if not stacked.is_floating_point():
        raise DataError(f"expected floating-point weights in {path}, got {stacked.dtype}")
    return stacked.to(landscape.device, landscape.dtype)


def _natural(path: Path) -> list[tuple[int, str]]:
    """``step-9`` comes before ``step-10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _stacked(path: Path) -> Tensor | None:
    """The array of points in a file; None where it is something else."""
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as stream:
                array = np.load(stream, allow_pickle=False)
            return (
                torch.from_numpy(array)
                if isinstance(array, np.ndarray) and array.ndim == 2 and len(array) > 1
                else None
            )
        if path.suffix.lower() == ".safetensors":
            tensors = load_file(path)
            return next((tensors[key] for key in _KEYS if key in tensors and tensors[key].ndim == 2), None)
    except (OSError, ValueError, TypeError, SafetensorError):
        return None
    return None
