"""``lossatlas study``: run, plan, status."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click

from lossatlas import report as reports
from lossatlas.cli.console import StudyProgress, command_line, console, duration, print_rows, show_page, size
from lossatlas.cli.types import Folder
from lossatlas.study import EXECUTORS, Executor, Study, load_config
from lossatlas.study import plan as plan_study
from lossatlas.study.plan import expected_seconds

__all__ = ["study"]

_SETTINGS = {"help_option_names": ["-h", "--help"]}
_set = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key, such as networks.fcp.replicas=3."
)
_workers = click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=None,
    show_default="up to four, as the cores allow",
    help="Processes that compute pieces at the same time.",
)
_executor = click.option(
    "--executor",
    type=click.Choice(EXECUTORS),
    default="local",
    show_default=True,
    help="Processes of this machine, or tasks on a Ray cluster.",
)
_device = click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")


@click.group(context_settings=_SETTINGS)
def study() -> None:
    """Plan, run and inspect studies."""


@study.command(context_settings=_SETTINGS)
@click.argument("recipe")
@click.option("--out", required=True, type=Folder(), help="Folder of the study.")
@click.option("--dry-run", is_flag=True, help="List the pieces and what is already done; compute and write nothing.")
@_workers
@_executor
@_device
@_set
def run(
    recipe: str,
    *,
    out: Path,
    dry_run: bool,
    workers: int | None,
    executor: Executor,
    device: str,
    overrides: tuple[str, ...],
) -> None:
    """Run RECIPE (a name or a .toml file), continuing whatever --out already holds, and write its report."""
    task = Study(load_config(recipe, overrides), out, device)
    if dry_run:
        _show_pieces(task)
        return
    start = time.monotonic()
    with StudyProgress() as progress:
        command = command_line()
        workers = workers or task.suggested_workers()
        task.run(progress, command=command, workers=workers, executor=executor)
    written = reports.write(task.results())
    show_page(written, since=start)


@study.command(context_settings=_SETTINGS)
@click.argument("recipe")
@_workers
@_device
@_set
def plan(recipe: str, *, workers: int | None, device: str, overrides: tuple[str, ...]) -> None:
    """Predict time, memory and disk of RECIPE by timing a few steps; nothing is written."""
    with tempfile.TemporaryDirectory() as nowhere:
        task = Study(load_config(recipe, overrides), nowhere, device)
        workers = workers or task.suggested_workers()
        pieces = plan_study(task, workers)
    rows = [(piece.label, duration(piece.seconds), size(piece.memory), size(piece.disk)) for piece in pieces]
    total = expected_seconds([piece.seconds for piece in pieces], workers)
    peak = sum(sorted(piece.memory for piece in pieces)[-workers:])
    label = "total" if workers == 1 else f"total, {workers} pieces at a time"
    rows.append((label, duration(total), f"{size(peak)} at most", size(sum(piece.disk for piece in pieces))))
    print_rows(("piece", "time", "memory", "disk"), rows)


@study.command(context_settings=_SETTINGS)
@click.argument("folder", type=Folder())
def status(folder: Path) -> None:
    """Show which pieces of the study in FOLDER are done."""
    _show_pieces(Study.open(folder))


def _show_pieces(task: Study) -> None:
    statuses = task.status()
    if not statuses:
        rows = [(piece.kind, piece.label, "to do", "") for piece in task.pieces(task.numerics())]
    else:
        rows = [
            (s.piece.kind, s.piece.label, s.state, duration(s.seconds) if s.seconds is not None else "")
            for s in statuses
        ]
    print_rows(("kind", "piece", "state", "took"), rows)
    done = sum(row[2] == "done" for row in rows)
    console.print(f"{done} of {len(rows)} pieces done", markup=False)
