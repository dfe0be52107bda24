"""``lossatlas report``: write the report of a study again, there or elsewhere, as a page or as Markdown too."""

from __future__ import annotations

from pathlib import Path

import click

from lossatlas import report as reports
from lossatlas.cli.console import console
from lossatlas.cli.types import Folder
from lossatlas.study import Study, load_connection
from lossatlas.study.connection_store import has_connection

__all__ = ["report"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=Folder())
@click.option("--to", "target", type=Folder(), default=None, help="Write there instead of into FOLDER.")
@click.option("--markdown", is_flag=True, help="Write report.md too, for repositories and wikis (studies only).")
def report(folder: Path, target: Path | None, markdown: bool) -> None:
    """Write report.html, tables/ and figures/ of the study or connection in FOLDER from what it has stored."""
    if has_connection(folder):
        if markdown:
            raise click.UsageError("expected a study for --markdown, got a connection: leave the option out")
        console.print(str(reports.write_connection(load_connection(folder), target or folder)), markup=False)
        return
    page = reports.write(Study.open(folder).results(), target, markdown=markdown)
    console.print(str(page), markup=False)
