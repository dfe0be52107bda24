"""The folder of a connection: what it holds, what it refuses, and who may write to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path as FilePath

from lossatlas.core.errors import StorageError
from lossatlas.core.files import load_tree, save_tree
from lossatlas.study.connection import Connection
from lossatlas.study.folders import check_result_folder
from lossatlas.study.store import Store

__all__ = ["check_folder", "has_connection", "load_connection", "opened", "save_connection"]

FILE = "store/connection.json"


def has_connection(folder: FilePath) -> bool:
    """Whether a folder holds what :func:`lossatlas.study.connect` stores."""
    return (folder / FILE).is_file()


def load_connection(folder: str | FilePath) -> Connection:
    """Read what :func:`lossatlas.study.connect` has stored in a folder so far.

    Raises:
        StorageError: the folder holds no connection, or it is damaged.
    """
    path = FilePath(folder).expanduser().absolute() / FILE
    if not has_connection(path.parent.parent):
        raise StorageError(
            f"expected a connection in {folder}, got a folder without {FILE}: "
            "give the --out folder of 'lossatlas connect'"
        )
    tree = load_tree(path)
    if not isinstance(tree, dict) or "routes" not in tree:
        raise StorageError(f"expected a connection in {path}, got something else: choose another folder")
    return Connection.from_tree(tree)


def check_folder(folder: FilePath) -> None:
    """Refuse a folder that holds something else, before anything is computed.

    Raises:
        StorageError: it does, or it is no folder.
    """
    check_result_folder("a connection", folder, present=has_connection(folder))


def save_connection(found: Connection, folder: FilePath | None) -> None:
    """Write what was found so far; nowhere if there is no folder."""
    if folder is not None:
        save_tree(folder / FILE, found.to_tree())


@contextlib.contextmanager
def opened(folder: FilePath | None) -> Iterator[Store | None]:
    """Hold the store of a folder for this process alone; None if there is no folder."""
    if folder is None:
        yield None
        return
    store = Store(folder)
    with store.locked():
        store.sweep()
        yield store
