"""Dataset and Splits: inputs and targets as tensors, known by their checksum."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.files import digest

__all__ = ["Dataset", "Splits"]


def _tensor_digest(tensor: Tensor) -> str:
    """SHA-256 of dtype, shape and the elements in row-major order."""
    sha = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
    # Bytes are hashed in place: a second copy of a large data set could be the one that does not fit.
    sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples and what they should be mapped to.

    Args:
        name: what it is, such as ``"mnist/train"``.
        inputs: ``(N, 1, 28, 28)`` float32 in [0, 1] for the named images; any ``(N, *shape)`` for a user's own.
        targets: ``(N,)`` int64 class numbers; any ``(N, *shape)`` for a user's own.
        classes: number of classes C, with targets in [0, C); None when the targets are not classes.

    Raises:
        InputError: inputs and targets differ in length, or there are none.

    Example:
        >>> Dataset("pair", torch.zeros(2, 3), torch.tensor([0, 1]), classes=2)
        Dataset('pair': 2 samples of shape (3,), 2 classes)
    """

    name: str
    inputs: Tensor
    targets: Tensor
    classes: int | None = None

    def __post_init__(self) -> None:
        lengths = [tensor.shape[0] if tensor.ndim else 0 for tensor in (self.inputs, self.targets)]
        if lengths[0] != lengths[1] or lengths[0] == 0:
            raise InputError(
                f"expected as many targets as inputs in '{self.name}', and at least one, "
                f"got inputs {tuple(self.inputs.shape)} and targets {tuple(self.targets.shape)}: "
                "the first axis of both counts the samples"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        classes = "" if self.classes is None else f", {self.classes} classes"
        return f"Dataset('{self.name}': {len(self)} samples of shape {tuple(self.inputs.shape[1:])}{classes})"

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over shapes, dtypes and bytes (64 hexadecimal digits); the name has no part in it."""
        return digest([_tensor_digest(self.inputs), _tensor_digest(self.targets)])

    def select(self, indices: Tensor) -> Dataset:
        """Copy some samples.

        Args:
            indices: ``(n,)`` integer positions.

        Returns:
            A data set of the same name with n samples.

        Example:
            >>> Dataset("d", torch.arange(3.0), torch.arange(3)).select(torch.tensor([2, 0])).inputs
            tensor([2., 0.])
        """
        return Dataset(self.name, self.inputs[indices], self.targets[indices], self.classes)


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set divided into training, test and possibly validation samples.

    Args:
        name: name of the data set, such as ``"mnist"``.
        train: samples to fit.
        test: samples to report on.
        validation: samples to choose early-stopped weights on; None when none were held out.
        source: where it came from and how it was divided, as sentences for a methods section.
    """

    name: str
    train: Dataset
    test: Dataset
    validation: Dataset | None = None
    source: str = ""

    @property
    def checksum(self) -> str:
        """SHA-256 over the checksums of all splits (64 hexadecimal digits)."""
        validation = None if self.validation is None else self.validation.checksum
        return digest({"train": self.train.checksum, "test": self.test.checksum, "validation": validation})
