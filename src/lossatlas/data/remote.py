"""What downloading needs to know of a data set: its files, how each is verified, and where it may be fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

__all__ = ["RemoteFile", "RemoteSet"]


class RemoteFile(Protocol):
    """One file, known by its contents."""

    @property
    def download_name(self) -> str:
        """What it is called where it is fetched from and kept."""
        ...

    @property
    def largest_download(self) -> int:
        """Bytes beyond which what arrives cannot be this file."""
        ...

    def accept(self, raw: bytes, origin: str) -> bytes:
        """Verify what was fetched and return what is kept; raises DataError."""
        ...

    def check(self, folder: Path) -> None:
        """Verify the file in a folder; raises DataError."""
        ...


class RemoteSet(Protocol):
    """The files of a data set and the places from which they can be fetched."""

    @property
    def name(self) -> str:
        """The data set, also the name of its folder."""
        ...

    @property
    def files(self) -> Sequence[RemoteFile]:
        """All of them."""
        ...

    @property
    def mirrors(self) -> tuple[str, ...]:
        """Addresses that, followed by a file's name, give it."""
        ...
