"""The folder of spectra: what it holds and what it refuses."""

from __future__ import annotations

from pathlib import Path as FilePath

from lossatlas.core.errors import StorageError
from lossatlas.core.files import load_tree, save_tree
from lossatlas.study.folders import check_result_folder
from lossatlas.study.spectra import Spectra

__all__ = ["check_spectra_folder", "has_spectra", "load_spectra", "save_spectra"]

FILE = "store/spectra.json"


def has_spectra(folder: FilePath) -> bool:
    """Whether a folder holds what :func:`lossatlas.study.spectrum` stores."""
    return (folder / FILE).is_file()


def load_spectra(folder: str | FilePath) -> Spectra:
    """Read what :func:`lossatlas.study.spectrum` has stored in a folder so far.

    Raises:
        StorageError: the folder holds no spectra, or they are damaged.
    """
    path = FilePath(folder).expanduser().absolute() / FILE
    if not path.is_file():
        raise StorageError(
            f"expected spectra in {folder}, got a folder without {FILE}: give the --out folder of 'lossatlas spectrum'"
        )
    tree = load_tree(path)
    if not isinstance(tree, dict) or "spectra" not in tree:
        raise StorageError(f"expected spectra in {path}, got something else: choose another folder")
    return Spectra.from_tree(tree)


def check_spectra_folder(folder: FilePath) -> None:
    """Refuse a folder that holds something else, before anything is computed.

    Raises:
        StorageError: it does, or it is no folder.
    """
    check_result_folder("spectra", folder, present=has_spectra(folder))


def save_spectra(found: Spectra, folder: FilePath | None) -> None:
    """Write what was found so far; nowhere if there is no folder."""
    if folder is not None:
        save_tree(folder / FILE, found.to_tree())
