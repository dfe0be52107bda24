"""``lossatlas spectrum``: the curvature at points of a landscape."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import click

from lossatlas import report as reports
from lossatlas.cli.console import command_line, console, print_rows, show_page
from lossatlas.cli.points import PointsCommand, load_points
from lossatlas.cli.statistics import ON_THE_DATA, choose_statistics, statistics_option
from lossatlas.cli.target import Target, target_options
from lossatlas.cli.types import Folder
from lossatlas.core.errors import ConfigurationError, InputError, StorageError
from lossatlas.report.spectrum.summary import cautions, verdicts
from lossatlas.study import Spectra, load_spectra
from lossatlas.study import spectrum as find_spectrum
from lossatlas.study.load import parse_options
from lossatlas.study.spectra_store import check_spectra_folder

__all__ = ["spectrum"]

_WORDS = {"batch": ON_THE_DATA, "stored": "those stored with each point's weights"}
_TOLD = 5  # cautions on the terminal; the report has all


@click.command(cls=PointsCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("points", nargs=-1, metavar="W [W ...]")
@target_options
@click.option("--count", type=click.IntRange(min=1), default=10, show_default=True, help="Eigenvalues from each end.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="How thoroughly, such as probes=10.")
@statistics_option
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", required=True, type=Folder(), help="Folder of the results.")
def spectrum(
    *,
    points: tuple[str, ...],
    target: Callable[[], Target],
    count: int,
    settings: tuple[str, ...],
    statistics: str,
    seed: int,
    out: Path,
) -> None:
    """Measure the curvature at points, and write a report.

    W, ... are files of weights (.safetensors, .pt, .npy), coordinates such as -0.62,-0.54, or names of known minima;
    three or more, such as the checkpoints of a run, also give index against loss. The same command again continues what
    was interrupted and reuses what is there.
    """
    if not points:
        raise click.UsageError("expected at least one point, got none", click.get_current_context())
    check_spectra_folder(out.absolute())
    options = parse_options(settings)
    for name in ("count", "seed"):
        if name in options:
            raise ConfigurationError(f"expected --{name} for '{name}', got it in --set: use --{name} {options[name]}")
    place = choose_statistics(target(), statistics)
    given = load_points(points, place)
    if statistics == "stored" and None in given.buffers:
        raise InputError(
            f"expected normalisation statistics stored with the weights, got none in "
            f"'{given.labels[given.buffers.index(None)]}': use --statistics batch"
        )
    try:
        found = find_spectrum(
            place.landscape,
            given.points,
            given.labels,
            options={**options, "count": count, "seed": seed},
            buffers=given.buffers,
            folder=out,
            name=place.name,
            unit=place.unit,
            details={
                "problem": place.details,
                "command": command_line(),
                **({} if place.stored is None else {"statistics": _WORDS[statistics]}),
            },
            progress=_tell,
        )
    except KeyboardInterrupt:
        with contextlib.suppress(StorageError):
            reports.write_spectra(load_spectra(out), out)
        raise
    written = reports.write_spectra(found, out)
    _show(found)
    show_page(written)


def _tell(done: int, total: int, text: str) -> None:
    console.print(f"[{done} of {total} points done] {text}", markup=False)


def _show(found: Spectra) -> None:
    rows = [
        (
            label,
            point.classification.kinds[0],
            f"{float(point.classification.value):.6g}",
            f"{float(point.classification.largest):.6g}",
            f"{float(point.classification.smallest):.4g}",
            f"{float(point.trace.value):.5g}",
            f"{float(point.trace.error):.2g}",
        )
        for label, point in found.done
    ]
    print_rows(("point", "kind", found.quantity.lower(), "λ max", "λ min", "trace", "error"), rows)
    for sentence in verdicts(found):
        console.print(sentence, markup=False)
    told = cautions(found)
    for sentence in told[:_TOLD]:
        console.print(f"Note: {sentence}", markup=False)
    if len(told) > _TOLD:
        console.print(f"Note: {len(told) - _TOLD} more in the report.", markup=False)
