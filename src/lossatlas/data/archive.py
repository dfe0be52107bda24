"""Archive: a data set of four IDX files, images and labels for training and test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lossatlas.core.errors import DataError
from lossatlas.data.dataset import Dataset, Splits
from lossatlas.data.folders import ENVIRONMENT_VARIABLE, candidate_folders
from lossatlas.data.idx import IdxFile, read
from lossatlas.data.pixels import grey_to_unit

__all__ = ["Archive"]


@dataclass(frozen=True)
class Archive:
    """Four IDX files and the places from which they can be fetched.

    Args:
        name: the data set, also the name of its folder.
        train: images and labels to fit.
        test: images and labels to report on.
        classes: number of classes.
        mirrors: addresses that, followed by ``NAME.gz``, give the files.
        source: what it is, as sentences for a methods section.
    """

    name: str
    train: tuple[IdxFile, IdxFile]
    test: tuple[IdxFile, IdxFile]
    classes: int
    mirrors: tuple[str, ...]
    source: str

    @property
    def files(self) -> tuple[IdxFile, ...]:
        """All four files."""
        return (*self.train, *self.test)

    def load(self, data_dir: Path | None = None) -> Splits:
        """Read the first complete and undamaged set of files among the folders that are searched.

        Args:
            data_dir: a folder searched before ``LOSSATLAS_DATA`` and the platform's cache folder.

        Returns:
            Splits with images ``(N, 1, height, width)`` float32 in [0, 1] and labels ``(N,)`` int64.

        Raises:
            DataError: no folder has them, or what is there is damaged.
        """
        folders = candidate_folders(self.name, data_dir)
        failures: list[DataError] = []
        for folder in folders:
            if not any((folder / f"{file.name}{end}").is_file() for file in self.files for end in (".gz", "")):
                continue
            try:
                return self._read(folder)
            except DataError as error:
                failures.append(error)
        if failures:
            # The first folder that has anything is the one the user means.
            raise DataError(f"{failures[0]}: fetch it again with `lossatlas data get {self.name}`") from failures[0]
        names = ", ".join(f"{file.name}.gz" for file in self.files)
        raise DataError(
            f"expected the files of '{self.name}' ({names}) in one of {', '.join(map(str, folders))}, got none: "
            f"run `lossatlas data get {self.name}`, or set {ENVIRONMENT_VARIABLE} to a folder that holds {self.name}/"
        )

    def _read(self, folder: Path) -> Splits:
        # All four are verified before the first becomes a tensor.
        train_images, train_labels, test_images, test_labels = (read(folder, file) for file in self.files)
        return Splits(
            self.name,
            self._dataset("train", train_images, train_labels),
            self._dataset("test", test_images, test_labels),
            source=self.source,
        )

    def _dataset(self, part: str, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Dataset:
        targets = torch.from_numpy(labels.astype(np.int64))
        return Dataset(f"{self.name}/{part}", grey_to_unit(images)[:, None], targets, self.classes)
