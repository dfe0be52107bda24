"""``lossatlas diagnose``: what is wrong at a point of a landscape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from lossatlas import report as reports
from lossatlas.cli.console import command_line, console, print_rows, show_page
from lossatlas.cli.points import PointsCommand, load_points
from lossatlas.cli.target import Target, target_options
from lossatlas.cli.types import Folder
from lossatlas.core.errors import StorageError
from lossatlas.core.trajectory import Trajectory
from lossatlas.report.diagnosing.summary import answer
from lossatlas.study import diagnose as find
from lossatlas.study.diagnosed import Diagnosed, check_diagnosis_folder

__all__ = ["diagnose"]


@click.command(cls=PointsCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("point", required=False, metavar="[W]")
@target_options
@click.option("--history", type=click.Path(path_type=Path), help="A run that TrajectoryRecorder stored.")
@click.option("--learning-rate", type=float, help="Of plain or momentum gradient descent; default: that on record.")
@click.option("--momentum", type=float, help="Default: that on record, or 0.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", required=True, type=Folder(), help="Folder of the results.")
def diagnose(
    *,
    point: str | None,
    target: Callable[[], Target],
    history: Path | None,
    learning_rate: float | None,
    momentum: float | None,
    seed: int,
    out: Path,
) -> None:
    """Find what is wrong at a point, and write a report with the evidence and advice.

    W is a file of weights (.safetensors, .pt, .npy), coordinates such as -0.62,-0.54, or the name of a known minimum.
    Without it, the last weights of the history with a finite loss.
    """
    if point is None and history is None:
        raise click.UsageError("expected a point W or --history, got neither", click.get_current_context())
    check_diagnosis_folder(out.absolute())
    run = None if history is None else _recorded(history.expanduser())
    place = target()
    given = None if point is None else load_points([point], place)
    found = find(
        place.landscape,
        None if given is None else given.points[0],
        run,
        test=place.test,
        learning_rate=learning_rate,
        momentum=momentum,
        buffers=None if given is None else given.buffers[0],
        seed=seed,
        folder=out,
        name=place.name,
        label="the end of the run" if given is None else given.labels[0],
        unit=place.unit,
        details={"problem": place.details, "command": command_line()},
    )
    written = reports.write_diagnosis(found, out)
    _show(found)
    show_page(written)


def _recorded(history: Path) -> Trajectory:
    try:
        return Trajectory.load(history)
    except StorageError as error:
        raise StorageError(
            f"expected a run that TrajectoryRecorder saved as --history, got '{error}': give the .json file of one"
        ) from error


def _show(found: Diagnosed) -> None:
    rows = [
        (finding.kind, each.name, f"{each.value:.4g}", "" if each.limit is None else f"{each.limit:.4g}")
        for finding in found.diagnosis.findings
        for each in finding.evidence
    ]
    print_rows(("finding", "evidence", "value", "limit"), rows)
    for sentence in answer(found):
        console.print(sentence, markup=False)
    for finding in found.diagnosis.findings:
        for advice in finding.advice:
            console.print(f"Advice: {advice}", markup=False)
    for note in (*found.notes, *found.diagnosis.notes):
        console.print(f"Note: {note}", markup=False)
