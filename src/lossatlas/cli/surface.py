"""``lossatlas surface``: a landscape on a line, a plane or a volume through weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from lossatlas import report as reports
from lossatlas import slices
from lossatlas.cli.console import command_line, console, show_page
from lossatlas.cli.planes import KINDS, MEASURES, make_plane
from lossatlas.cli.points import PointsCommand, load_points
from lossatlas.cli.runs import is_run, load_named_runs, load_run
from lossatlas.cli.statistics import ON_THE_DATA, choose_statistics, statistics_option
from lossatlas.cli.target import Target, target_options
from lossatlas.cli.types import Folder
from lossatlas.core.errors import InputError
from lossatlas.landscape import NetworkLandscape
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.refreshed import Buffers
from lossatlas.report.slicing.summary import cautions, findings
from lossatlas.slices.exports import has_h5
from lossatlas.slices.grid import Span
from lossatlas.slices.measures import Measure
from lossatlas.study import Slicing, slice_landscape
from lossatlas.study.slicing import check_slicing_folder

__all__ = ["surface"]

_TYPES = {"float32": torch.float32, "float64": torch.float64}
# Energies of so few coordinates are shown as they are.
_FEW = 3


@click.command(cls=PointsCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("points", nargs=-1, metavar="W [W2 ...]")
@target_options
@click.option("--directions", "kind", type=click.Choice(KINDS), help="Default: filter, for networks.")
@click.option("--dimensions", type=click.IntRange(1, 3), help="1: a curve, 2: a surface, 3: a volume.")
@click.option(
    "--points", "count", type=click.IntRange(min=2), default=51, show_default=True, help="Along each direction."
)
@click.option("--range", "span", metavar="R|LOW,HIGH|adaptive", help="Default: as far as is usual for the directions.")
@click.option("--metric", "metrics", multiple=True, help="Such as accuracy, 'gradient norm' or 'smallest eigenvalue'.")
@click.option(
    "--run", "runs", multiple=True, metavar="NAME=PATH", help="A run to draw on it: a folder, or (n, d) as .npy."
)
@click.option("--refine", is_flag=True, help="Turn the plane of a run until losses on it are the run's.")
@statistics_option
@click.option("--dtype", type=click.Choice(list(_TYPES)), help="Of the surface; default: the network's.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of random directions.")
@click.option("--out", required=True, type=Folder(), help="Folder of the results.")
def surface(
    *,
    points: tuple[str, ...],
    target: Callable[[], Target],
    kind: str | None,
    dimensions: int | None,
    count: int,
    span: str | None,
    metrics: tuple[str, ...],
    runs: tuple[str, ...],
    refine: bool,
    statistics: str,
    dtype: str | None,
    seed: int,
    out: Path,
) -> None:
    """Evaluate a landscape around W, between several W, or along a run, and write a report.

    W is a file of weights (.safetensors, .pt, .npy), coordinates such as -0.62,-0.54, or the name of a known minimum.
    For '--directions minima' give two or three, for 'trajectory' the checkpoints of a run in their order, or their
    folder.
    The same command again continues what was interrupted.
    """
    if not points:
        raise click.UsageError("expected at least one point, got 0", click.get_current_context())
    check_slicing_folder(out.absolute())
    reach = _span(span)
    place = target()
    whole = choose_statistics(place, statistics)
    given, labels, buffers, run = _load(points, whole)
    landscape, words = _with_statistics(whole, buffers, statistics)
    chosen = kind or _default(place.landscape)
    courses = load_named_runs(runs, place)
    made = make_plane(landscape, chosen, given, labels, run=run, dimensions=dimensions, refine=refine, seed=seed)
    if run is not None:
        courses = {"run": run, **courses}
    elif chosen == "trajectory":
        courses = {"run": given, **courses}
    marked = {} if run is not None or chosen == "trajectory" else dict(zip(labels, given, strict=True))
    found = slice_landscape(
        landscape,
        made.plane,
        marked=marked,
        runs=courses,
        points=count,
        span=reach,
        metrics=_metrics(metrics),
        dtype=None if dtype is None else _TYPES[dtype],
        folder=out,
        name=place.name,
        unit=place.unit,
        notes=made.notes,
        details={
            "problem": place.details,
            "command": command_line(),
            "seed": seed if chosen in slices.directions else None,
            "statistics": words,
            "exports": _EXPORTED if has_h5() else f"{_WITHOUT_H5}; install lossatlas[h5] for surface.h5",
        },
        progress=_Told(),
    )
    written = reports.write_surface(found, out)
    _export(found, out)
    for sentence in findings(found):
        console.print(sentence, markup=False)
    for sentence in cautions(found):
        console.print(f"Note: {sentence}", markup=False)
    if not has_h5():
        console.print("Note: surface.h5 was left out: install lossatlas[h5] for it.", markup=False)
    show_page(written)


_WITHOUT_H5 = "surface.npz, surface.vtr"
_EXPORTED = f"{_WITHOUT_H5}, surface.h5 with its directions and runs"


class _Told:
    """Lines about progress, at every tenth of the way."""

    def __init__(self) -> None:
        self._last = -1

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // total
        if tenth > self._last:
            self._last = tenth
            console.print(f"[{done} of {total} points done]", markup=False)


def _span(text: str | None) -> Span:
    if text is None or text.strip() == "adaptive":
        return None if text is None else "adaptive"
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 2:
        return (numbers[0], numbers[1])
    raise InputError(f"expected --range as a number, LOW,HIGH or adaptive, got '{text.strip()}'")


def _load(
    points: tuple[str, ...], place: Target
) -> tuple[Tensor, tuple[str, ...], Sequence[Buffers | None], Tensor | None]:
    """Given points, their names, statistics stored with them, and the run where one argument is a run."""
    if len(points) == 1 and is_run(points[0].strip()):
        rows = load_run(points[0].strip(), place)
        return rows[-1:], (Path(points[0].strip()).stem,), (), rows
    if any(is_run(text.strip()) for text in points):
        raise InputError("expected a run alone, got one beside other points: draw others with --run NAME=PATH")
    given = load_points(points, place)
    return given.points, given.labels, given.buffers, None


def _with_statistics(place: Target, buffers: Sequence[Buffers | None], statistics: str) -> tuple[Landscape, str | None]:
    """Statistics kept from training belong to one set of weights, and to nothing beside it."""
    landscape = place.landscape
    if statistics == "batch" or not isinstance(landscape, NetworkLandscape):
        return landscape, None if place.stored is None else ON_THE_DATA
    if len(buffers) > 1:
        raise InputError(
            f"expected one file of weights with --statistics stored, got {len(buffers)}, each with statistics of its "
            "own: use --statistics batch"
        )
    if not buffers or buffers[0] is None:
        raise InputError("expected normalisation statistics stored with the weights, got none: use --statistics batch")
    return landscape.with_buffers(buffers[0]), "those stored with the weights, at every point"


def _default(landscape: Landscape) -> str:
    if landscape.spec is not None:
        return "filter"
    return "coordinates" if landscape.dim <= _FEW else "random"


def _metrics(names: tuple[str, ...]) -> dict[str, Measure | None]:
    plain = [
        name.replace("-", " ") if name.replace("-", " ") in (*MEASURES, "gradient norm") else name for name in names
    ]
    return {name: MEASURES.get(name) for name in plain}


def _export(found: Slicing, out: Path) -> None:
    folder = out.expanduser().absolute()
    courses: dict[str, Any] = {each.name: each.projection for each in found.traces}
    slices.save_npz(found.surface, folder / "surface.npz", courses)
    slices.save_vtk(found.surface, folder / "surface.vtr")
    if has_h5() and found.surface.plane.count < 3:
        prefix = "test" if found.name.endswith("test data") else "train"
        slices.save_h5(found.surface, folder / "surface.h5", courses, prefix=prefix)
