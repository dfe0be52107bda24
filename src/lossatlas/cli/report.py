"""``lossatlas report``: write the report of a study again."""

from __future__ import annotations

from pathlib import Path

import click

from lossatlas import report as reports
from lossatlas.cli.console import console
from lossatlas.cli.types import Folder
from lossatlas.study import Study, load_connection, load_diagnosis
from lossatlas.study.connection_store import has_connection
from lossatlas.study.diagnosed import has_diagnosis

__all__ = ["report"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=Folder())
def report(folder: Path) -> None:
    """Write report.html, tables/ and figures/ of the study, connection or diagnosis in FOLDER from what is stored."""
    if has_connection(folder):
        console.print(str(reports.write_connection(load_connection(folder), folder)), markup=False)
        return
    if has_diagnosis(folder):
        console.print(str(reports.write_diagnosis(load_diagnosis(folder), folder)), markup=False)
        return
    console.print(str(reports.write(Study.open(folder).results())), markup=False)
