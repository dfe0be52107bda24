"""``lossatlas data``: fetch data sets."""

from __future__ import annotations

from pathlib import Path

import click

from lossatlas import data as datasets
from lossatlas.cli.console import console
from lossatlas.cli.types import Folder

__all__ = ["data"]

_SETTINGS = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_SETTINGS)
def data() -> None:
    """Fetch data sets."""


@data.command(context_settings=_SETTINGS)
@click.argument("name")
@click.option("--data-dir", type=Folder(), help="Where to put the files; default: the cache folder.")
def get(name: str, data_dir: Path | None) -> None:
    """Download data set NAME from its public mirrors and verify it."""
    console.print(str(datasets.download(name, data_dir=data_dir)), markup=False)
