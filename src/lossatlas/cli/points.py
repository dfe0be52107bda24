"""Points of a landscape as a user names them: files of weights, coordinates, or known minima."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

import click
import torch
from torch import Tensor

from lossatlas.cli.target import Target
from lossatlas.core.errors import InputError, nearest
from lossatlas.core.params import ParamSpec
from lossatlas.core.weights import check_statistics, read_buffers, read_weights
from lossatlas.landscape import Energy, NetworkLandscape
from lossatlas.paths.refreshed import Buffers

__all__ = ["Given", "PointsCommand", "load_points"]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COORDINATES = re.compile(rf"\s*{_NUMBER}(?:\s*,\s*{_NUMBER})*\s*,?\s*")
_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".npy")


class PointsCommand(click.Command):
    """A command whose arguments may be coordinates: "-0.62,-0.54" is a point and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set coordinates off from options by a blank, which numbers do not mind."""
        return super().parse_args(ctx, [f" {arg}" if _COORDINATES.fullmatch(arg) else arg for arg in args])


@dataclass(frozen=True)
class Given:
    """Points as the user named them.

    Args:
        points: ``(n, d)``.
        labels: a name each.
        buffers: normalisation statistics that came with the weights; None for points without.
    """

    points: Tensor
    labels: tuple[str, ...]
    buffers: tuple[Buffers | None, ...]


def load_points(arguments: Sequence[str], target: Target) -> Given:
    """Read points: files of weights, coordinates, or names of known minima.

    Raises:
        InputError: a wrong number of coordinates, or something that is none of these.
        DataError: a file that is missing, damaged, or holds another network or statistics that are not finite.
    """
    landscape = target.landscape
    texts = [argument.strip() for argument in arguments]
    points = torch.stack([_point(text, target) for text in texts])
    like = landscape.refresh(points[0]) if isinstance(landscape, NetworkLandscape) else {}
    # Statistics are read where they are used: not by commands that take them from the data.
    buffers = tuple(read_buffers(text, like) if like and _is_file(text) else None for text in texts)
    for text, own in zip(texts, buffers, strict=True):
        check_statistics(own, text)
    return Given(points, _labels(texts), buffers)


def _is_file(text: str) -> bool:
    return Path(text).expanduser().suffix.lower() in _FILES


def _point(text: str, target: Target) -> Tensor:
    landscape = target.landscape
    if _COORDINATES.fullmatch(text):
        numbers = [float(part) for part in text.split(",") if part.strip()]
        if len(numbers) != landscape.dim:
            raise InputError(
                f"expected {landscape.dim} coordinates for a point of '{target.name}', got {len(numbers)} in '{text}'"
            )
        return torch.tensor(numbers, dtype=landscape.dtype, device=landscape.device)
    if _is_file(text):
        spec = landscape.spec or ParamSpec(("point",), ((landscape.dim,),))
        return read_weights(Path(text).expanduser(), spec, landscape.dtype).to(landscape.device)
    minima = {minimum.name: minimum.x for minimum in landscape.minima} if isinstance(landscape, Energy) else {}
    if text in minima:
        return minima[text]
    if landscape.spec is not None:
        came = f"the folder '{text}': name files in it" if Path(text).expanduser().is_dir() else f"'{text}'"
        raise InputError(f"expected weights as a .safetensors, .pt or .npy file, got {came}")
    hint = nearest(text, minima) if minima else "its minima have no names"
    raise InputError(
        f"expected a minimum of '{target.name}', coordinates such as 0.5,-0.2, or an .npy file, got '{text}': {hint}"
    )


def _labels(texts: Sequence[str]) -> tuple[str, ...]:
    """Short names: a letter for coordinates, a file without its folder, as long as they stay different."""
    letters = iter([letter for letter in ascii_uppercase if letter not in texts])
    short = [next(letters, text) if _COORDINATES.fullmatch(text) else text for text in texts]
    stems = [Path(text).stem if _is_file(text) else text for text in short]
    return tuple(stems if len(set(stems)) == len(stems) else short)
