"""Compressed tar archives: verified as a whole, read in memory, never unpacked."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lossatlas.core.errors import DataError

__all__ = ["TarFile"]

# Besides those wanted: a read-me, a folder and the like.
_OTHER_MEMBERS = 16
_OTHER_BYTES = 1 << 20


@dataclass(frozen=True)
class TarFile:
    """A ``.tar.gz`` file, known by size and SHA-256.

    Args:
        name: file name.
        size: bytes.
        sha256: SHA-256 of the file, 64 hexadecimal digits.
    """

    name: str
    size: int
    sha256: str

    @property
    def download_name(self) -> str:
        """What it is called where it is fetched from and kept."""
        return self.name

    @property
    def largest_download(self) -> int:
        """Bytes beyond which what arrives cannot be this file."""
        return self.size

    def accept(self, raw: bytes, origin: str) -> bytes:
        """Verify size and SHA-256 and return the bytes as they are.

        Raises:
            DataError: it is another file, or a damaged one.
        """
        if len(raw) != self.size:
            raise DataError(f"expected {self.size:,} bytes in {origin}, got {len(raw):,}")
        found = hashlib.sha256(raw).hexdigest()
        if found != self.sha256:
            raise DataError(f"expected {origin} to have the SHA-256 {self.sha256}, got {found}")
        return raw

    def check(self, folder: Path) -> None:
        """Verify the file in a folder.

        Raises:
            DataError: it is not there, cannot be read, or is another file.
        """
        self.read(folder)

    def read(self, folder: Path) -> bytes:
        """Return the verified bytes of the file in a folder.

        Raises:
            DataError: as in :meth:`check`.
        """
        path = folder / self.name
        try:
            if not path.is_file():
                raise DataError(f"expected {self.name} in {folder}, got no such file")
            if (size := path.stat().st_size) != self.size:
                raise DataError(f"expected {self.size:,} bytes in {path}, got {size:,}")
            return self.accept(path.read_bytes(), str(path))
        except OSError as error:
            raise DataError(f"expected to read {path}, got '{error.strerror or error}'") from error

    def members(self, raw: bytes, wanted: Mapping[str, int], origin: str) -> dict[str, bytes]:
        """Read some members of the archive.

        Nothing is written, so no path in the archive can lead anywhere; nothing but plain files is read, and never
        more than each must have.

        Args:
            raw: the archive.
            wanted: full name of each member to its size in bytes.
            origin: path or address, for messages.

        Returns:
            Contents by name.

        Raises:
            DataError: a damaged archive, a member that is missing, there twice, of another size or no plain file, or
                far more in it than expected.
        """
        found: dict[str, bytes] = {}
        try:
            with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as archive:
                others = 0
                for member in archive:
                    if member.name not in wanted:
                        others += 1
                        if others > _OTHER_MEMBERS or member.size > _OTHER_BYTES:
                            raise DataError(f"expected little besides {', '.join(wanted)} in {origin}, got more")
                        continue
                    size = wanted[member.name]
                    stream = archive.extractfile(member) if member.isreg() and member.size == size else None
                    if stream is None:
                        kind = f"{member.size:,} bytes" if member.isreg() else "no plain file"
                        raise DataError(f"expected {size:,} bytes as {member.name} in {origin}, got {kind}")
                    if member.name in found:
                        raise DataError(f"expected one {member.name} in {origin}, got two")
                    found[member.name] = stream.read(size)
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise DataError(f"expected a complete .tar.gz archive in {origin}, got damaged data ({error})") from error
        missing = [name for name in wanted if name not in found]
        if missing:
            raise DataError(f"expected {', '.join(missing)} in {origin}, got no such member")
        return found
