"""The named data sets, and the one function that returns any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lossatlas.core.registry import Registry
from lossatlas.data.cifar10 import CIFAR10
from lossatlas.data.dataset import Splits
from lossatlas.data.digits import load_digits
from lossatlas.data.division import divide
from lossatlas.data.fashion_mnist import FASHION_MNIST
from lossatlas.data.mnist import MNIST
from lossatlas.data.npz import from_npz
from lossatlas.data.remote import RemoteSet

__all__ = ["Source", "datasets", "get"]


@dataclass(frozen=True)
class Source:
    """How a named data set is obtained.

    Args:
        load: makes the splits; its argument is the folder that the user named, or None.
        archive: the files to download; None when there are none.
    """

    load: Callable[[Path | None], Splits]
    archive: RemoteSet | None = None


datasets: Registry[Source] = Registry("data set")
datasets.add("digits", Source(load_digits), "1,797 handwritten digits, resized to 28x28; embedded, no download")
datasets.add("mnist", Source(MNIST.load, MNIST), "70,000 handwritten digits, 28x28")
datasets.add("fashion-mnist", Source(FASHION_MNIST.load, FASHION_MNIST), "70,000 pictures of clothes, 28x28")
datasets.add("cifar10", Source(CIFAR10.load, CIFAR10), "60,000 colour photographs of ten kinds, 3x32x32")


def get(
    name: str | Path,
    *,
    data_dir: str | Path | None = None,
    validation: float = 0.0,
    train_size: int | None = None,
    test_size: int | None = None,
) -> Splits:
    """Return a data set by name, or from an ``.npz`` file.

    Nothing is downloaded here: see :func:`lossatlas.data.download`.

    Args:
        name: ``"digits"``, ``"mnist"``, ``"fashion-mnist"``, ``"cifar10"``, or the path of an ``.npz`` file.
        data_dir: folder searched before ``LOSSATLAS_DATA`` and the platform's cache folder.
        validation: fraction (a float in [0, 1)) or number (an int) of training samples held out, always the same.
        train_size: number of training samples to keep of those left, always the same; None for all.
        test_size: number of test samples to keep; None for all.

    Returns:
        The splits; for the named ones inputs ``(N, 1, 28, 28)`` (``(N, 3, 32, 32)`` for CIFAR-10), float32 in [0, 1],
        and targets ``(N,)`` int64.

    Raises:
        ConfigurationError: no data set has that name.
        DataError: its files are missing or damaged.
        InputError: a number out of range.

    Example:
        >>> digits = get("digits", validation=0.1, train_size=500)
        >>> digits.train, len(digits.validation), len(digits.test)
        (Dataset('digits/train': 500 samples of shape (1, 28, 28), 10 classes), 144, 360)
    """
    if str(name).endswith(".npz"):
        splits = from_npz(name)
    else:
        splits = datasets[str(name)].load(None if data_dir is None else Path(data_dir))
    return divide(splits, validation=validation, train_size=train_size, test_size=test_size)
