"""``lossatlas connect``: paths between points of a landscape."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import click

from lossatlas import report as reports
from lossatlas.cli.console import command_line, console, print_rows, show_page
from lossatlas.cli.points import PointsCommand, load_points
from lossatlas.cli.target import Target, target_options
from lossatlas.cli.types import Folder
from lossatlas.core.errors import StorageError
from lossatlas.paths.schedule import SpanningTree
from lossatlas.report.connecting.summary import cautions, verdicts
from lossatlas.study import Connection, load_connection
from lossatlas.study import connect as find_connection
from lossatlas.study.connection_store import check_folder
from lossatlas.study.connection_tables import path_words
from lossatlas.study.load import parse_options

__all__ = ["connect"]

_TOLD = 5  # cautions on the terminal; the report has all


@click.command(cls=PointsCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("points", nargs=-1, metavar="A B [C ...]")
@target_options
@click.option("--method", default="auto", show_default=True, help="Path finder; see 'lossatlas list paths'.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Option of the finder, such as points=101.")
@click.option("--align/--no-align", default=None, help="Reorder hidden units; default: where they can be traced.")
@click.option("--pairs", type=click.Choice(["all", "tree"]), help="All pairs, or those that may lower a pass.")
@click.option("--budget", type=click.IntRange(min=1), help="Pairs at most, with --pairs tree.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", required=True, type=Folder(), help="Folder of the results.")
def connect(
    *,
    points: tuple[str, ...],
    target: Callable[[], Target],
    method: str,
    settings: tuple[str, ...],
    align: bool | None,
    pairs: str | None,
    budget: int | None,
    seed: int,
    out: Path,
) -> None:
    """Find how points are connected, and write a report.

    A, B, ... are files of weights (.safetensors, .pt, .npy), coordinates such as -0.62,-0.54, or names of known minima.
    The same command again continues what was interrupted and reuses what is there.
    """
    if len(points) < 2:
        raise click.UsageError(f"expected at least two points, got {len(points)}", click.get_current_context())
    if budget is not None and pairs == "all":
        raise click.UsageError("expected --budget with --pairs tree, got it with --pairs all")
    check_folder(out.absolute())
    finder_options = parse_options(settings)
    place = target()
    given = load_points(points, place)
    try:
        found = find_connection(
            place.landscape,
            given.points,
            given.labels,
            method=method,
            options=finder_options,
            schedule=SpanningTree(budget=budget) if pairs == "tree" or budget is not None else None,
            align=align,
            buffers=given.buffers,
            seed=seed,
            folder=out,
            name=place.name,
            unit=place.unit,
            details={"problem": place.details, "command": command_line()},
            progress=_tell,
        )
    except KeyboardInterrupt:
        with contextlib.suppress(StorageError):
            reports.write_connection(load_connection(out), out)
        raise
    written = reports.write_connection(found, out)
    _show(found)
    show_page(written)


def _tell(done: int, planned: int | None, text: str) -> None:
    total = "" if planned is None else f" of {planned}"
    console.print(f"[{done}{total} pairs done] {text}", markup=False)


def _show(found: Connection) -> None:
    rows = [
        (
            f"{found.labels[route.first]} to {found.labels[route.second]}",
            path_words(name, path),
            f"{path.height:.6g}",
            f"{path.barrier:.4g}",
            path.status,
        )
        for route in found.routes
        for name, path in route.paths.items()
    ]
    print_rows(("pair", "path", "height", "barrier", "search"), rows)
    for sentence in verdicts(found):
        console.print(sentence, markup=False)
    told = cautions(found)
    for sentence in told[:_TOLD]:
        console.print(f"Note: {sentence}", markup=False)
    if len(told) > _TOLD:
        console.print(f"Note: {len(told) - _TOLD} more in the report.", markup=False)
