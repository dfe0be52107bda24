from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lossatlas import data
from lossatlas.core.errors import ConfigurationError, DataError
from lossatlas.data.fashion_mnist import FASHION_MNIST
from lossatlas.data.folders import candidate_folders, download_root
from lossatlas.data.mnist import MNIST


@pytest.mark.parametrize("compressed", [True, False])
def test_files_become_tensors(tiny: Any, tmp_path: Path, compressed: bool) -> None:
    tiny.write(tmp_path / "tiny", compressed=compressed)
    splits = data.get("tiny", data_dir=tmp_path)
    for part in ("train", "test"):
        found = getattr(splits, part)
        assert found.inputs.dtype == torch.float32
        assert found.inputs.shape == (len(found), 1, 4, 5)
        assert np.array_equal(found.inputs[:, 0].numpy() * np.float32(255), tiny.arrays[f"{part}-images"])
        assert found.targets.tolist() == tiny.arrays[f"{part}-labels"].tolist()
        assert (found.targets.dtype, found.classes, found.name) == (torch.int64, 3, f"tiny/{part}")
    assert splits.source == "Made for a test."


def test_every_place_is_searched(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tiny.write(tmp_path / "cache" / "lossatlas" / "data" / "tiny")
    checksum = data.get("tiny").checksum
    assert data.get("tiny", data_dir=tmp_path / "nothing").checksum == checksum
    for file in cache.iterdir():
        file.unlink()
    with pytest.raises(DataError):
        data.get("tiny")
    monkeypatch.setenv("LOSSATLAS_DATA", str(tmp_path / "environment"))
    tiny.write(tmp_path / "environment" / "tiny")
    assert data.get("tiny").checksum == checksum
    monkeypatch.setenv("LOSSATLAS_DATA", str(tiny.write(tmp_path / "direct")))
    assert data.get("tiny").checksum == checksum
    monkeypatch.delenv("LOSSATLAS_DATA")
    assert data.get("tiny", data_dir=str(tmp_path / "direct")).checksum == checksum


def test_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache" / "lossatlas" / "data"
    assert candidate_folders("m") == [cache / "m", cache]
    assert download_root() == cache
    monkeypatch.setenv("LOSSATLAS_DATA", "/environment")
    roots = [Path("/argument"), Path("/environment"), cache]
    assert candidate_folders("m", "/argument") == [folder for root in roots for folder in (root / "m", root)]
    assert download_root() == Path("/environment")
    assert download_root("/argument") == Path("/argument")
    monkeypatch.setenv("HOME", "/home/someone")
    assert download_root("~/data") == Path("/home/someone/data")


def test_missing_files_are_named_with_the_places_and_the_remedy(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.get("tiny", data_dir=tmp_path / "here")
    message = str(caught.value)
    for words in (*(f"{name}.gz" for name in tiny.contents), str(tmp_path / "here" / "tiny"), "cache"):
        assert words in message
    assert "`lossatlas data get tiny`" in message
    assert "LOSSATLAS_DATA" in message


def test_an_incomplete_or_damaged_set_is_refused(tiny: Any, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "tiny")
    last = folder / "test-labels.gz"
    last.unlink()
    with pytest.raises(DataError, match=r"expected test-labels\.gz in .*: fetch .* `lossatlas data get tiny`"):
        data.get("tiny", data_dir=tmp_path)
    last.write_bytes(gzip.compress(tiny.contents["test-labels"][:-1] + b"\x09", mtime=0))
    with pytest.raises(DataError, match=r"SHA-256 .* fetch it again with `lossatlas data get tiny`"):
        data.get("tiny", data_dir=tmp_path)


def test_another_set_in_the_first_folder_does_not_hide_the_right_one(tiny: Any, tmp_path: Path) -> None:
    tiny.write(tmp_path / "cache" / "lossatlas" / "data" / "tiny")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "train-images.gz").write_bytes(gzip.compress(b"\x00\x00\x08\x01 of another set", mtime=0))
    assert len(data.get("tiny", data_dir=tmp_path / "other").train) == 6


def test_published_archives_have_the_published_format() -> None:
    for archive in (MNIST, FASHION_MNIST):
        assert [file.size for file in archive.files] == [47_040_016, 60_008, 7_840_016, 10_008]
        assert len({file.sha256 for file in archive.files}) == 4
        assert all(len(bytes.fromhex(file.sha256)) == 32 for file in archive.files)
        assert data.datasets[archive.name].archive is archive
    assert {f.sha256 for f in MNIST.files}.isdisjoint(f.sha256 for f in FASHION_MNIST.files)


def test_mnist_is_missing_without_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`lossatlas data get fashion-mnist`"):
        data.get("fashion-mnist", data_dir=tmp_path)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="unknown data set 'mnits': did you mean 'mnist'"):
        data.get("mnits")
