"""Whose a folder is: each kind of result has one file that no other has, and a folder holds one kind."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Final

from lossatlas.core.errors import StorageError
from lossatlas.core.files import check_folder_for

__all__ = ["check_result_folder", "refuse_other_results"]

# What a folder is called that has this file. A study writes its configuration before anything else.
_MARKS: Final = {
    "a connection": "store/connection.json",
    "a surface": "store/slicing.json",
    "spectra": "store/spectra.json",
    "a diagnosis": "store/diagnosis.json",
    "a study": "study.toml",
}


def refuse_other_results(what: str, folder: Path) -> None:
    """Refuse a folder that holds the results of another command, whose report would be overwritten.

    Args:
        what: the kind of result that is wanted, such as ``"a surface"``.
        folder: need not be there.

    Raises:
        StorageError: it holds another kind.

    Example:
        >>> refuse_other_results("a surface", Path("not-there"))
    """
    for other, mark in _MARKS.items():
        if other != what and (folder / mark).exists():
            raise StorageError(
                f"expected an empty folder or {what} at {folder}, got a folder with {other}: choose another --out"
            )


def check_result_folder(
    what: str, folder: Path, *, present: bool, allowed: Container[str] = (".lock", "store", "work")
) -> None:
    """Refuse a folder that holds something else, before anything is computed.

    Args:
        what: the kind of result that is wanted, such as ``"a surface"``.
        folder: need not be there.
        present: whether it holds such a result already; reports and figures beside it are then expected.
        allowed: names that may be in it where it does not.

    Raises:
        StorageError: it holds something else, or it is no folder.

    Example:
        >>> check_result_folder("a surface", Path("not-there"), present=False)
    """
    refuse_other_results(what, folder)
    if not present:
        check_folder_for(what, folder, allowed)
