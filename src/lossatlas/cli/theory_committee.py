"""``lossatlas theory committee``: teacher and student, equations beside SGD, and bad minima."""

from __future__ import annotations

import time as clock
from pathlib import Path
from typing import Any

import click

from lossatlas.cli.console import command_line, console, show_page
from lossatlas.cli.types import Folder
from lossatlas.report.theory.committee import CommitteeResult, write_committee
from lossatlas.report.write_page import check_page_folder
from lossatlas.theory.committee import study_committee

__all__ = ["committee"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--students", type=click.IntRange(min=1), default=6, show_default=True, help="Units of the student.")
@click.option("--teachers", type=click.IntRange(min=1), default=6, show_default=True, help="Units of the teacher.")
@click.option("--learning-rate", type=float, default=0.2, show_default=True, help="Of SGD.")
@click.option("--label-noise", type=float, default=0.0, show_default=True, help="Variance of the noise on labels.")
@click.option("--time", type=float, default=60.0, show_default=True, help="Steps per input dimension.")
@click.option("--dim", type=click.IntRange(min=2), default=1000, show_default=True, help="Inputs of the simulation.")
@click.option("--replicas", type=click.IntRange(min=2), default=8, show_default=True, help="Of the simulation.")
@click.option("--starts", type=click.IntRange(min=1), default=200, show_default=True, help="Of each search for minima.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", required=True, type=Folder(), help="Folder of the results.")
def committee(*, students: int, teachers: int, out: Path, **options: Any) -> None:
    """Lay the equations of one-pass SGD over runs of it, and find the bad minima of the loss."""
    begin = clock.monotonic()
    check_page_folder(out)
    found = study_committee(students, teachers, **options)
    settings = {"students": students, "teachers": teachers, **options}
    shown = {name.replace("_", " "): value for name, value in settings.items()}
    page = write_committee(CommitteeResult(found, shown, command_line()), out)
    mean, error = found.simulation.mean()
    bad = found.minima.bad_fraction()
    console.print(
        f"loss at the end: {float(found.course.loss[-1]):.4g} by the equations, {float(mean[-1]):.4g} ± "
        f"{float(error[-1]):.1g} by SGD; {bad.count} of {bad.total} starts end in a bad minimum",
        markup=False,
    )
    show_page(page, since=begin)
