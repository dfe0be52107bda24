"""CIFAR-10: 60,000 colour photographs, from the original archive in its binary form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lossatlas.core.errors import DataError
from lossatlas.data.dataset import Dataset, Splits
from lossatlas.data.folders import ENVIRONMENT_VARIABLE, candidate_folders
from lossatlas.data.pixels import grey_to_unit
from lossatlas.data.tarball import TarFile

__all__ = ["CIFAR10", "RecordArchive"]


@dataclass(frozen=True)
class RecordArchive:
    """Images as records of fixed length in the files of one tar archive.

    A record is one byte, the class, and then the image, channel by channel, each in row-major order.

    Args:
        name: the data set, also the name of its folder.
        file: the archive.
        train: members with training records.
        test: members with test records.
        records: number of records in each member.
        shape: of an image, ``(channels, height, width)``.
        classes: number of classes.
        unreadable: names of other forms of the data set, which would have to be unpickled or are not verified.
        mirrors: addresses that, followed by the file's name, give it.
        source: what it is, as sentences for a methods section.
    """

    name: str
    file: TarFile
    train: tuple[str, ...]
    test: tuple[str, ...]
    records: int
    shape: tuple[int, int, int]
    classes: int
    unreadable: tuple[str, ...]
    mirrors: tuple[str, ...]
    source: str

    @property
    def files(self) -> tuple[TarFile, ...]:
        """The one file."""
        return (self.file,)

    def load(self, data_dir: Path | None = None) -> Splits:
        """Read the first undamaged archive among the folders that are searched.

        Args:
            data_dir: a folder searched before ``LOSSATLAS_DATA`` and the platform's cache folder.

        Returns:
            Splits with images ``(N, channels, height, width)`` float32 in [0, 1] and labels ``(N,)`` int64.

        Raises:
            DataError: no folder has it, only in a form that is not read, or what is there is damaged.
        """
        folders = candidate_folders(self.name, data_dir)
        present = [folder for folder in folders if (folder / self.file.name).is_file()]
        remedy = f"`lossatlas data get {self.name}`"
        failures: list[DataError] = []
        for folder in present:
            try:
                return self._read(folder)
            except DataError as error:
                failures.append(error)
        if failures:
            raise DataError(f"{failures[0]}: fetch it again with {remedy}") from failures[0]
        others = [folder / name for folder in folders for name in self.unreadable if (folder / name).exists()]
        if others:
            raise DataError(
                f"expected {self.file.name} beside {others[0]}, got only the latter: pickled data are never unpickled, "
                f"and unpacked files not verified; fetch the archive in its binary form with {remedy}"
            )
        raise DataError(
            f"expected {self.file.name} in one of {', '.join(map(str, folders))}, got none: "
            f"run {remedy}, or set {ENVIRONMENT_VARIABLE} to a folder that holds {self.name}/"
        )

    def _read(self, folder: Path) -> Splits:
        size = self.records * (1 + int(np.prod(self.shape)))
        wanted = dict.fromkeys((*self.train, *self.test), size)
        found = self.file.members(self.file.read(folder), wanted, str(folder / self.file.name))
        train, test = self._dataset("train", found, self.train), self._dataset("test", found, self.test)
        return Splits(self.name, train, test, source=self.source)

    def _dataset(self, part: str, found: dict[str, bytes], names: tuple[str, ...]) -> Dataset:
        content = np.frombuffer(b"".join(found[name] for name in names), np.uint8)
        table = content.reshape(len(names) * self.records, -1)
        labels = table[:, 0].astype(np.int64)
        if int(labels.max()) >= self.classes:
            raise DataError(f"expected classes 0 to {self.classes - 1} in {names[0]}, got {int(labels.max())}")
        images = grey_to_unit(table[:, 1:].reshape(-1, *self.shape))
        return Dataset(f"{self.name}/{part}", images, torch.from_numpy(labels), self.classes)


_FOLDER = "cifar-10-batches-bin"

CIFAR10 = RecordArchive(
    name="cifar10",
    file=TarFile(
        "cifar-10-binary.tar.gz",
        170_052_171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
    train=tuple(f"{_FOLDER}/data_batch_{number}.bin" for number in range(1, 6)),
    test=(f"{_FOLDER}/test_batch.bin",),
    records=10_000,
    shape=(3, 32, 32),
    classes=10,
    unreadable=("cifar-10-python.tar.gz", "cifar-10-batches-py", _FOLDER),
    mirrors=(
        "https://www.cs.toronto.edu/~kriz/",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
    ),
    source=(
        "CIFAR-10 (Krizhevsky, 2009): 50,000 training and 10,000 test photographs of ten kinds of things, 3x32x32 "
        "pixels divided by 255, read from the original archive in its binary form, whose SHA-256 was verified."
    ),
)
