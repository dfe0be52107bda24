"""``lossatlas report``: write the report of a study again, there or elsewhere, as a page or as Markdown too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lossatlas import report as reports
from lossatlas.cli.console import console
from lossatlas.cli.types import Folder
from lossatlas.study import Study, load_connection, load_diagnosis, load_slicing, load_spectra
from lossatlas.study.connection_store import has_connection
from lossatlas.study.diagnosed import has_diagnosis
from lossatlas.study.slicing import has_slicing
from lossatlas.study.spectra_store import has_spectra

__all__ = ["report"]

_Kind = tuple[str, Callable[[Path], bool], Callable[[Path], Any], Callable[[Any, Path], Path]]

# What a folder may hold beside a study: its name, whether it is there, how it is read, how its page is written.
_KINDS: tuple[_Kind, ...] = (
    ("a connection", has_connection, load_connection, reports.write_connection),
    ("a surface", has_slicing, load_slicing, reports.write_surface),
    ("a diagnosis", has_diagnosis, load_diagnosis, reports.write_diagnosis),
    ("spectra", has_spectra, load_spectra, reports.write_spectra),
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=Folder())
@click.option("--to", "target", type=Folder(), default=None, help="Write there instead of into FOLDER.")
@click.option("--markdown", is_flag=True, help="Write report.md too, for repositories and wikis (studies only).")
def report(folder: Path, target: Path | None, markdown: bool) -> None:
    """Write report.html, tables/ and figures/ of the study or other result in FOLDER from what it has stored."""
    for name, there, load, write in _KINDS:
        if there(folder):
            if markdown:
                raise click.UsageError(f"expected a study for --markdown, got {name}: leave the option out")
            console.print(str(write(load(folder), target or folder)), markup=False)
            return
    page = reports.write(Study.open(folder).results(), target, markdown=markdown)
    console.print(str(page), markup=False)
