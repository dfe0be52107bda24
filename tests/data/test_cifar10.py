"""CIFAR-10's format, from a made-up archive: values, what is refused, and that nothing is unpickled or unpacked."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lossatlas import data
from lossatlas.core.errors import DataError
from lossatlas.data import Source, datasets
from lossatlas.data.cifar10 import CIFAR10, RecordArchive
from lossatlas.data.tarball import TarFile

RECORDS, SHAPE, CLASSES = 4, (3, 2, 5), 3
TRAIN, TEST = ("little/one.bin", "little/two.bin"), ("little/test.bin",)


def contents() -> dict[str, bytes]:
    """Records written one byte at a time, independently of the reader."""
    rng = np.random.default_rng(3)
    files = {}
    for name in (*TRAIN, *TEST):
        records = [bytes([int(rng.integers(CLASSES)), *rng.integers(0, 256, 30).tolist()]) for _ in range(RECORDS)]
        files[name] = b"".join(records)
    return files


def packed(files: dict[str, bytes], change: Callable[[tarfile.TarFile], None] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in {"little/readme.html": b"<html>", **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        if change is not None:
            change(archive)
    return buffer.getvalue()


def described(raw: bytes) -> RecordArchive:
    return replace(
        CIFAR10,
        name="little",
        file=TarFile("little.tar.gz", len(raw), hashlib.sha256(raw).hexdigest()),
        train=TRAIN,
        test=TEST,
        records=RECORDS,
        shape=SHAPE,
        classes=CLASSES,
        unreadable=("little-python.tar.gz", "little-unpacked"),
        mirrors=(),
    )


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> bytes:
    raw = packed(contents())
    archive = described(raw)
    monkeypatch.setattr(datasets, "_entries", {**datasets._entries, "little": Source(archive.load, archive)})
    return raw


def test_records_become_tensors(little: bytes, tmp_path: Path) -> None:
    (tmp_path / "little.tar.gz").write_bytes(little)
    splits = data.get("little", data_dir=tmp_path)
    assert (len(splits.train), len(splits.test)) == (8, 4)
    assert splits.train.inputs.shape == (8, *SHAPE)
    assert (splits.train.inputs.dtype, splits.train.targets.dtype) == (torch.float32, torch.int64)
    files = contents()
    for index in range(8):
        record = files[TRAIN[index // 4]][31 * (index % 4) : 31 * (index % 4 + 1)]
        assert int(splits.train.targets[index]) == record[0]
        for channel in range(3):
            for row in range(2):
                for column in range(5):
                    grey = record[1 + channel * 10 + row * 5 + column]
                    assert float(splits.train.inputs[index, channel, row, column]) == float(np.float32(grey / 255))
    assert list(tmp_path.iterdir()) == [tmp_path / "little.tar.gz"]


def test_the_published_archive_has_the_published_format() -> None:
    assert CIFAR10.file.size == 170_052_171
    assert len(bytes.fromhex(CIFAR10.file.sha256)) == 32
    assert len(CIFAR10.train) * CIFAR10.records == 50_000
    assert data.datasets["cifar10"].archive is CIFAR10


def test_missing_and_unreadable_forms_are_told_apart(little: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected little\.tar\.gz in one of .* got none: run `lossatlas data get"):
        data.get("little", data_dir=tmp_path)

    class Bomb:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "exploded").touch, ())

    (tmp_path / "little-python.tar.gz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match=r"never unpickled.* binary form with `lossatlas data get little`"):
        data.get("little", data_dir=tmp_path)
    assert not (tmp_path / "exploded").exists()
    (tmp_path / "little.tar.gz").write_bytes(little)
    assert len(data.get("little", data_dir=tmp_path).test) == 4


def _link(archive: tarfile.TarFile) -> None:
    member = tarfile.TarInfo(TEST[0])
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive.addfile(member)


def _twice(archive: tarfile.TarFile) -> None:
    member = tarfile.TarInfo(TEST[0])
    member.size = RECORDS * 31
    archive.addfile(member, io.BytesIO(bytes(RECORDS * 31)))


def _large(archive: tarfile.TarFile) -> None:
    member = tarfile.TarInfo("little/other")
    member.size = 1 << 21
    archive.addfile(member, io.BytesIO(bytes(1 << 21)))


def _many(archive: tarfile.TarFile) -> None:
    for number in range(20):
        archive.addfile(tarfile.TarInfo(f"little/{number}"), io.BytesIO())


@pytest.mark.parametrize(
    ("files", "change", "words"),
    [
        ({**contents(), TEST[0]: bytes(3)}, None, "expected 124 bytes as little/test.bin in .*, got 3 bytes"),
        ({name: contents()[name] for name in TRAIN}, None, "expected little/test.bin in .*, got no such member"),
        ({name: contents()[name] for name in TRAIN}, _link, "got no plain file"),
        (contents(), _twice, "expected one little/test.bin in .*, got two"),
        (contents(), _large, "expected little besides"),
        (contents(), _many, "expected little besides"),
        ({**contents(), TEST[0]: bytes([9]) * 124}, None, "expected classes 0 to 2 in little/test.bin, got 9"),
    ],
)
def test_wrong_members_are_refused(
    files: dict[str, bytes], change: Callable[[tarfile.TarFile], None] | None, words: str, tmp_path: Path
) -> None:
    raw = packed(files, change)
    (tmp_path / "little.tar.gz").write_bytes(raw)
    with pytest.raises(DataError, match=words):
        described(raw).load(tmp_path)


def test_a_path_that_leads_elsewhere_is_never_followed(tmp_path: Path) -> None:
    def escape(archive: tarfile.TarFile) -> None:
        for name in ("../escaped.bin", "/tmp/escaped-by-a-test.bin"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))

    raw = packed(contents(), escape)
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "little.tar.gz").write_bytes(raw)
    assert len(described(raw).load(folder).train) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert [path.name for path in folder.iterdir()] == ["little.tar.gz"]


def test_another_file_or_a_damaged_one_is_refused_before_it_is_opened(little: bytes, tmp_path: Path) -> None:
    path = tmp_path / "little.tar.gz"
    path.write_bytes(little[:-1] + bytes([little[-1] ^ 1]))
    with pytest.raises(DataError, match=r"SHA-256 .* fetch it again with `lossatlas data get little`"):
        data.get("little", data_dir=tmp_path)
    path.write_bytes(little + b"\0")
    with pytest.raises(DataError, match=f"expected {len(little):,} bytes"):
        data.get("little", data_dir=tmp_path)
    cut = little[:100]
    path.write_bytes(cut)
    with pytest.raises(DataError, match=r"complete \.tar\.gz archive"):
        described(cut).load(tmp_path)


def test_it_is_fetched_and_verified(little: bytes, mirror: Any, tmp_path: Path) -> None:
    mirror.answers["/good/little.tar.gz"] = (200, little, len(little))
    mirror.answers["/bad/little.tar.gz"] = (200, little[:-1] + b"x", len(little))
    mirror.answers["/long/little.tar.gz"] = (200, little * 2, None)
    with pytest.raises(DataError, match=r"/bad/little\.tar\.gz: .*SHA-256.*/long/little\.tar\.gz: .*got more"):
        data.download("little", data_dir=tmp_path, mirrors=[f"{mirror.url}/bad", f"{mirror.url}/long"])
    assert list(tmp_path.iterdir()) == []
    folder = data.download("little", data_dir=tmp_path, mirrors=[f"{mirror.url}/bad", f"{mirror.url}/good"])
    assert (folder / "little.tar.gz").read_bytes() == little
    assert len(data.get("little", data_dir=tmp_path).train) == 8
    asked = len(mirror.asked)
    assert data.download("little", data_dir=tmp_path, mirrors=[f"{mirror.url}/good"]) == folder
    assert len(mirror.asked) == asked
