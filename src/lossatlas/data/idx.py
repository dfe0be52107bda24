"""IDX files, plain or gzip-compressed, read whole and verified before anything of them is used."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lossatlas.core.errors import DataError

__all__ = ["IdxFile", "decode", "read"]

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
# Headers, names and stored blocks: the most by which a gzip file exceeds what it holds, generously.
_GZIP_OVERHEAD = 1 << 16


@dataclass(frozen=True)
class IdxFile:
    """What an IDX file of unsigned bytes must contain.

    Args:
        name: file name without ``.gz``.
        shape: dimensions, the first one counting samples.
        sha256: SHA-256 of the uncompressed file, 64 hexadecimal digits.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def size(self) -> int:
        """Bytes of the uncompressed file."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)

    @property
    def download_name(self) -> str:
        """What it is called where it is fetched from and kept."""
        return f"{self.name}.gz"

    @property
    def largest_download(self) -> int:
        """Bytes beyond which a compressed file cannot be this one."""
        return self.size + _GZIP_OVERHEAD

    def accept(self, raw: bytes, origin: str) -> bytes:
        """Verify what was fetched and return what is kept.

        Raises:
            DataError: it is not this file.
        """
        decode(raw, self, origin)
        # Some stores unpack on the way; what is kept is always what its name says.
        return raw if raw.startswith(_GZIP_MAGIC) else gzip.compress(raw, mtime=0)

    def check(self, folder: Path) -> None:
        """Verify the file in a folder.

        Raises:
            DataError: it is not there, or damaged.
        """
        read(folder, self)


def _decompress(raw: bytes, file: IdxFile, origin: str) -> bytes:
    decompressor = zlib.decompressobj(wbits=31)
    try:
        # One byte more than expected shows a larger file without unpacking it.
        content = decompressor.decompress(raw, file.size + 1)
    except zlib.error as error:
        raise DataError(f"expected a gzip file in {origin}, got damaged data ({error})") from error
    if len(content) > file.size:
        raise DataError(f"expected {file.size:,} bytes inside {origin}, got more")
    if not decompressor.eof:
        raise DataError(f"expected a complete gzip file in {origin}, got one that is cut off")
    if decompressor.unused_data:
        raise DataError(f"expected one gzip stream in {origin}, got more bytes after its end")
    return content


def decode(raw: bytes, file: IdxFile, origin: str) -> NDArray[np.uint8]:
    """Decompress, parse and verify an IDX file.

    The format: two zero bytes, one byte for the element type, one for the number of dimensions n, n big-endian
    32-bit sizes, then the elements in row-major order.

    Args:
        raw: the file's bytes, plain or gzip-compressed.
        file: what it must contain.
        origin: path or address, for messages.

    Returns:
        A read-only array of ``file.shape``.

    Raises:
        DataError: cut off, too large, wrong magic number, element type, dimensions or checksum; the caller, who
            knows the data set, adds what to do.

    Example:
        >>> raw = bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])
        >>> decode(raw, IdxFile("two", (2,), hashlib.sha256(raw).hexdigest()), "memory")
        array([7, 9], dtype=uint8)
    """
    content = _decompress(raw, file, origin) if raw[:2] == _GZIP_MAGIC else raw
    ndim = len(file.shape)
    magic = bytes([0, 0, _UNSIGNED_BYTE, ndim])
    if content[:4] != magic:
        raise DataError(
            f"expected the IDX magic number {magic.hex()} (unsigned bytes, {ndim} dimensions) in {origin}, "
            f"got {content[:4].hex() or 'an empty file'}"
        )
    sizes = tuple(int(n) for n in np.frombuffer(content[4 : 4 + len(content[4 : 4 + 4 * ndim]) // 4 * 4], ">u4"))
    if sizes != file.shape:
        raise DataError(f"expected dimensions {file.shape} in {origin}, got {sizes}")
    if len(content) != file.size:
        raise DataError(f"expected {file.size:,} bytes in {origin}, got {len(content):,}")
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(f"expected the contents of {origin} to have the SHA-256 {file.sha256}, got {found}")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(file.shape)


def read(folder: Path, file: IdxFile) -> NDArray[np.uint8]:
    """Read ``NAME.gz`` or ``NAME`` from a folder.

    Args:
        folder: where it is.
        file: what it must contain.

    Returns:
        A read-only array of ``file.shape``.

    Raises:
        DataError: there is neither, it cannot be read, or it is not what it must be.
    """
    for path in (folder / f"{file.name}.gz", folder / file.name):
        if not path.is_file():
            continue
        try:
            size = path.stat().st_size
            if size > file.largest_download:
                raise DataError(f"expected at most {file.largest_download:,} bytes in {path}, got {size:,}")
            return decode(path.read_bytes(), file, str(path))
        except OSError as error:
            raise DataError(f"expected to read {path}, got '{error.strerror or error}'") from error
    raise DataError(f"expected {file.name}.gz in {folder}, got no such file")
