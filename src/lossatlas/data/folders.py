"""Where data files are looked for and where they are put."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["ENVIRONMENT_VARIABLE", "candidate_folders", "download_root"]

ENVIRONMENT_VARIABLE = "LOSSATLAS_DATA"


def _roots(data_dir: str | Path | None) -> list[Path]:
    """Folders that may hold data sets, in the order in which they are tried."""
    chosen = [str(data_dir)] if data_dir is not None else []
    chosen += [folder] if (folder := os.environ.get(ENVIRONMENT_VARIABLE)) else []
    return [*(Path(folder).expanduser() for folder in chosen), Path(platformdirs.user_cache_dir("lossatlas")) / "data"]


def candidate_folders(name: str, data_dir: str | Path | None = None) -> list[Path]:
    """List the folders in which the files of a data set may be.

    Args:
        name: the data set.
        data_dir: a folder tried before ``LOSSATLAS_DATA`` and the platform's cache folder.

    Returns:
        For each root its subfolder ``name``, then the root itself, which may hold the files directly.

    Example:
        >>> candidate_folders("mnist", "/data")[:2] == [Path("/data/mnist"), Path("/data")]
        True
    """
    folders = [folder for root in _roots(data_dir) for folder in (root / name, root)]
    return list(dict.fromkeys(folders))


def download_root(data_dir: str | Path | None = None) -> Path:
    """Return the folder below which downloads go: the first one that is searched."""
    return _roots(data_dir)[0]
