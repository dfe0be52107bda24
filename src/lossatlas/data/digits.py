"""Digits: the handwritten scans that come with scikit-learn, so that nothing has to be downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lossatlas.data.dataset import Dataset, Splits
from lossatlas.data.division import permutation
from lossatlas.data.pixels import grey_to_unit

__all__ = ["interpolation_weights", "load_digits", "resize_grey"]

_SIDE = 28
_LEVELS = 16


def interpolation_weights(source: int, target: int) -> NDArray[np.int64]:
    r"""Linear interpolation from ``source`` to ``target`` points as a matrix of integers over ``2 * target``.

    Half-pixel centres: point i reads at :math:`u_i = (i + 1/2)\,n_\mathrm{in}/n_\mathrm{out} - 1/2`, clamped to
    the grid, so that every weight is an integer over :math:`2 n_\mathrm{out}`.

    Args:
        source: number of points there are.
        target: number of points wanted.

    Returns:
        ``(target, source)``, rows summing to ``2 * target``.

    Example:
        >>> interpolation_weights(2, 4)
        array([[8, 0],
               [6, 2],
               [2, 6],
               [0, 8]])
    """
    unit = 2 * target
    at = np.clip((2 * np.arange(target) + 1) * source - target, 0, unit * (source - 1))
    left, rest = np.divmod(at, unit)
    weights = np.zeros((target, source), dtype=np.int64)
    rows = np.arange(target)
    np.add.at(weights, (rows, left), unit - rest)
    np.add.at(weights, (rows, np.minimum(left + 1, source - 1)), rest)
    return weights


def resize_grey(scans: NDArray[np.int64], side: int, levels: int) -> NDArray[np.uint8]:
    """Resize square scans bilinearly and round to 256 grey levels (halves up).

    Args:
        scans: ``(N, s, s)`` integers in [0, levels].
        side: pixels along each edge of the result.
        levels: the value that is white.

    Returns:
        ``(N, side, side)`` uint8.
    """
    # Integers throughout: no rounding error, so the checksum does not depend on the machine.
    weights = interpolation_weights(scans.shape[-1], side)
    numerator = weights @ scans @ weights.T
    denominator = levels * (2 * side) ** 2
    return ((2 * 255 * numerator + denominator) // (2 * denominator)).astype(np.uint8)


def load_digits(data_dir: Path | None = None) -> Splits:
    """Load 1797 digits as 1437 training and 360 test images of 28x28 pixels.

    Args:
        data_dir: not needed; taken so that all data sets load alike.

    Returns:
        Splits whose test samples are a fifth of every class, to within one sample.

    Example:
        >>> digits = load_digits()
        >>> len(digits.train), len(digits.test)
        (1437, 360)
    """
    del data_dir
    from sklearn.datasets import load_digits as load_scans

    scans = load_scans()
    labels = np.asarray(scans.target).astype(np.int64)
    inputs = grey_to_unit(resize_grey(np.asarray(scans.images).astype(np.int64), _SIDE, _LEVELS))[:, None]
    everything = Dataset("digits", inputs, torch.from_numpy(labels), classes=10)
    # Every fifth of the shuffled samples, walked through class by class, is a stratified sample.
    shuffled = permutation(len(labels), "digits")
    in_test = torch.zeros(len(labels), dtype=torch.bool)
    in_test[shuffled[everything.targets[shuffled].argsort(stable=True)][::5]] = True
    parts = {"train": ~in_test, "test": in_test}
    train, test = (
        Dataset(f"digits/{part}", everything.inputs[mask], everything.targets[mask], classes=10)
        for part, mask in parts.items()
    )
    return Splits("digits", train, test, source=_SOURCE)


_SOURCE = (
    "The 1,797 handwritten digits bundled with scikit-learn (test part of the UCI optical recognition data, "
    "8x8 scans with values 0 to 16; Alpaydin and Kaynak, 1998), resized linearly to 28x28 and rounded to 256 grey "
    "levels, divided by a fixed stratified permutation into 1,437 training and 360 test images."
)
