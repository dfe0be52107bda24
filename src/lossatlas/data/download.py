"""Fetch a data set from public mirrors: the only code of the library that uses the network."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from lossatlas.core.errors import DataError, InputError
from lossatlas.core.files import write_atomic
from lossatlas.data.catalogue import datasets
from lossatlas.data.folders import download_root
from lossatlas.data.remote import RemoteFile, RemoteSet

__all__ = ["Progress", "download"]

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes received, and the bytes expected (None when the mirror does not say)."""

_CHUNK = 1 << 16
_TIMEOUT_SECONDS = 30.0


def _receive(address: str, file: RemoteFile, progress: Progress | None) -> bytes:
    """Fetch one file into memory, never more than it can have."""
    request = urllib.request.Request(address, headers={"User-Agent": "lossatlas"})
    received = bytearray()
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        announced = response.headers.get("Content-Length", "")
        total = int(announced) if announced.isdecimal() else None
        if total is not None and total > file.largest_download:
            raise DataError(f"expected at most {file.largest_download:,} bytes, got {total:,} announced")
        while chunk := response.read(_CHUNK):
            received += chunk
            if len(received) > file.largest_download:
                raise DataError(f"expected at most {file.largest_download:,} bytes, got more")
            if progress is not None:
                progress(file.download_name, len(received), total)
    if total is not None and len(received) < total:
        raise DataError(f"expected {total:,} bytes, got {len(received):,}: the connection broke off")
    return bytes(received)


def _fetch(file: RemoteFile, mirrors: Sequence[str], progress: Progress | None) -> bytes:
    """Return the verified bytes of the first mirror that has them."""
    reasons = []
    for mirror in mirrors:
        address = f"{mirror.rstrip('/')}/{file.download_name}"
        try:
            return file.accept(_receive(address, file, progress), address)
        except urllib.error.HTTPError as error:
            # An HTTPError is also the open response.
            error.close()
            reasons.append(f"{address}: HTTP status {error.code}")
        except urllib.error.URLError as error:
            reasons.append(f"{address}: {error.reason}")
        except (OSError, http.client.HTTPException, DataError) as error:
            reasons.append(f"{address}: {str(error) or type(error).__name__}")
    raise DataError(
        f"expected {file.download_name} from one of {len(mirrors)} mirrors, got none ({'; '.join(reasons)}): "
        "check the connection, or put the files in a folder and name it with LOSSATLAS_DATA"
    )


def _is_good(folder: Path, file: RemoteFile) -> bool:
    try:
        file.check(folder)
    except DataError:
        return False
    return True


def _archive(name: str) -> RemoteSet:
    archive = datasets[name].archive
    if archive is None:
        names = ", ".join(key for key in datasets if datasets[key].archive is not None)
        raise InputError(f"expected a data set that has to be downloaded ({names}), got '{name}': it needs no download")
    return archive


def download(
    name: str,
    *,
    data_dir: str | Path | None = None,
    mirrors: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch the files of a named data set, unless they are there already.

    Each mirror is tried in turn. A file is size-limited while it arrives and verified before it is moved into
    place, so whatever happens, no partial or wrong file is left. Good files are kept and not fetched again.

    Args:
        name: ``"mnist"``, ``"fashion-mnist"`` or ``"cifar10"``.
        data_dir: the files go to its subfolder ``name``; None for ``LOSSATLAS_DATA`` or, where that is not set,
            the platform's cache folder.
        mirrors: addresses (http or https) that, followed by a file's name, give the files; None for the public ones.
        progress: called as bytes arrive, with the file's name, the bytes received and the bytes expected or None.

    Returns:
        The folder that holds the files.

    Raises:
        ConfigurationError: no data set has that name.
        DataError: no mirror had a good file; the message names each mirror's reason.
        InputError: the data set needs no download, or a mirror is no web address.
        StorageError: the folder cannot be written.

    Example:
        >>> download("digits")
        Traceback (most recent call last):
        lossatlas.core.errors.InputError: expected a data set that has to be downloaded (...), got 'digits': ...
    """
    archive = _archive(name)
    mirrors = archive.mirrors if mirrors is None else tuple(mirrors)
    for mirror in mirrors:
        # Anything else, such as file://, would read this machine instead of a mirror.
        if urlsplit(mirror).scheme not in {"http", "https"}:
            raise InputError(f"expected a mirror that starts with https:// or http://, got '{mirror}'")
    root = download_root(data_dir)
    if all(_is_good(root, file) for file in archive.files):
        return root
    folder = root / name
    for file in archive.files:
        if not _is_good(folder, file):
            write_atomic(folder / file.download_name, _fetch(file, mirrors, progress))
    return folder
