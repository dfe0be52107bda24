from __future__ import annotations

import gzip
import hashlib
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossatlas.core.errors import DataError
from lossatlas.data.idx import IdxFile, decode, read

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
CONTENT = struct.pack(">HBBIII", 0, 8, 3, 2, 3, 4) + ARRAY.tobytes()
PACKED = gzip.compress(CONTENT, mtime=0)
FILE = IdxFile("images", (2, 3, 4), hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize("raw", [CONTENT, PACKED, gzip.compress(CONTENT, 0, mtime=0)])
def test_plain_and_compressed_files_are_read(raw: bytes) -> None:
    array = decode(raw, FILE, "memory")
    assert array.dtype == np.uint8
    assert np.array_equal(array, ARRAY)


def with_digest(content: bytes, shape: tuple[int, ...] = (2, 3, 4)) -> IdxFile:
    """A description that fails on nothing but what the test is about."""
    return IdxFile("images", shape, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("raw", "file", "message"),
    [
        (CONTENT[:-1] + b"\xff", FILE, "expected the contents of somewhere to have the SHA-256"),
        (b"\x00\x00\x08\x01" + CONTENT[4:], FILE, "expected the IDX magic number 00000803 .* got 00000801"),
        (b"\x00\x00\x0d\x03" + CONTENT[4:], FILE, "magic number 00000803 .* got 00000d03"),
        (b"<html>not found</html>", FILE, "magic number 00000803 .* got 3c68746d"),
        (b"", FILE, "got an empty file"),
        (CONTENT, with_digest(CONTENT, (3, 2, 4)), r"expected dimensions \(3, 2, 4\) in somewhere, got \(2, 3, 4\)"),
        (CONTENT[:7], FILE, r"expected dimensions \(2, 3, 4\) in somewhere, got \(\)"),
        (CONTENT[:-1], with_digest(CONTENT[:-1]), "expected 40 bytes in somewhere, got 39"),
        (CONTENT + b"x", with_digest(CONTENT + b"x"), "expected 40 bytes in somewhere, got 41"),
        (PACKED[:-9], FILE, "expected a complete gzip file in somewhere, got one that is cut off"),
        (PACKED[:5], FILE, "cut off"),
        (PACKED[:10] + b"\x07" + PACKED[11:], FILE, "got damaged data"),
        (PACKED[:-8] + bytes(4) + PACKED[-4:], FILE, "got damaged data"),
        (PACKED + b"more", FILE, "more bytes after its end"),
        (gzip.compress(CONTENT + b"x", mtime=0), FILE, "expected 40 bytes inside somewhere, got more"),
    ],
    ids=range(15),
)
def test_each_fault_gets_its_sentence(raw: bytes, file: IdxFile, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        decode(raw, file, "somewhere")
    assert "\n" not in str(caught.value)


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, change: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[position] ^= change
    with pytest.raises(DataError):
        decode(bytes(damaged), FILE, "somewhere")
    with pytest.raises(DataError):
        decode(gzip.compress(bytes(damaged), 1, mtime=0), FILE, "somewhere")


@given(st.integers(0, len(PACKED) - 1))
def test_no_cut_off_file_is_read(length: int) -> None:
    with pytest.raises(DataError):
        decode(PACKED[:length], FILE, "somewhere")


def test_a_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(CONTENT + bytes(64 << 20), 9, mtime=0)
    assert len(bomb) < FILE.largest_download
    tracemalloc.start()
    with pytest.raises(DataError, match="got more"):
        decode(bomb, FILE, "somewhere")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_read_prefers_the_compressed_file_and_refuses_giants(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected images\.gz in .*, got no such file"):
        read(tmp_path, FILE)
    (tmp_path / "images").write_bytes(CONTENT)
    assert np.array_equal(read(tmp_path, FILE), ARRAY)
    (tmp_path / "images.gz").write_bytes(bytes(FILE.largest_download + 1))
    with pytest.raises(DataError, match=r"expected at most 65,576 bytes in .*images\.gz, got 65,577"):
        read(tmp_path, FILE)
    (tmp_path / "images.gz").write_bytes(PACKED)
    assert np.array_equal(read(tmp_path, FILE), ARRAY)


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images").write_bytes(CONTENT)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"expected to read .*images, got 'Permission denied'"):
        read(tmp_path, FILE)
