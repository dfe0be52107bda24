"""``lossatlas theory``: landscapes understood exactly, prediction over simulation."""

from __future__ import annotations

import time as clock
from pathlib import Path

import click
import numpy as np

from lossatlas.cli.console import command_line, console, show_page
from lossatlas.cli.theory_committee import committee
from lossatlas.cli.theory_linear import linear
from lossatlas.cli.types import Folder
from lossatlas.core.errors import ConfigurationError
from lossatlas.core.hardware import on_threads
from lossatlas.report.theory import AnnealingResult, write_annealing
from lossatlas.report.write_page import check_page_folder
from lossatlas.theory import annealing as annealed

__all__ = ["theory"]

_SETTINGS = {"help_option_names": ["-h", "--help"]}
_DEFAULT_SCHEDULES = (
    "logarithmic:c=0.3", "logarithmic:c=0.5", "logarithmic:c=1", "linear:rate=0.1", "quench:final=60",
)  # fmt: skip
_MARKS = 12  # times at which walkers are counted
_STARTS = 400  # of steepest descent, where traps are looked for


@click.group(context_settings=_SETTINGS)
def theory() -> None:
    """Lay exact predictions over simulations of the same system."""
    # Quiet cores would save some seconds in a hundred; among busy ones two threads were twenty times slower.
    click.get_current_context().with_resource(on_threads(1))


theory.add_command(committee)
theory.add_command(linear)


@theory.command(context_settings=_SETTINGS)
@click.option(
    "--schedule", "schedules", multiple=True, metavar="NAME:KEY=VALUE,...", help="Such as logarithmic:c=0.5; repeat it."
)
@click.option("--energy", type=click.Choice(["circle", "infonce"]), default="circle", show_default=True)
@click.option("--a", type=float, default=1.0, show_default=True, help="Of the circle's U = -a cos 2θ - b cos θ.")
@click.option("--b", type=float, default=0.25, show_default=True, help="Likewise.")
@click.option("--pairs", type=click.IntRange(min=2), default=4, show_default=True, help="Of InfoNCE.")
@click.option("--dimension", type=click.IntRange(min=2), default=3, show_default=True, help="Of InfoNCE's spheres.")
@click.option("--tau", type=float, default=0.5, show_default=True, help="Temperature of InfoNCE.")
@click.option("--time", type=float, default=500.0, show_default=True, help="How long the walkers walk.")
@click.option("--step", type=float, default=0.05, show_default=True, help="Of the integration.")
@click.option("--walkers", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", required=True, type=Folder(), help="Folder of the results.")
def annealing(*, schedules: tuple[str, ...], out: Path, **options: float | str) -> None:
    """Anneal Langevin walkers and compare schedules with the exact solution and the critical depth."""
    begin = clock.monotonic()
    check_page_folder(out)
    named = {text: _schedule(text) for text in schedules or _DEFAULT_SCHEDULES}
    step, end = float(options["step"]), float(options["time"])
    energy: annealed.CircleToy | annealed.InfoNCE
    shown: tuple[str, ...]
    falls = None
    if options["energy"] == "circle":
        energy = annealed.CircleToy(float(options["a"]), float(options["b"]))
        words, depth = f"U(θ) = -{options['a']:g} cos 2θ - {options['b']:g} cos θ", annealed.circle_depth(energy)
        shown = ("a", "b")
    else:
        pairs, dimension = int(options["pairs"]), int(options["dimension"])
        energy = annealed.InfoNCE(pairs, dimension, float(options["tau"]))
        words, depth = f"InfoNCE of {pairs} aligned pairs in {dimension} dimensions at τ = {options['tau']:g}", None
        shown = ("pairs", "dimension", "tau")
        falls = annealed.falls(energy, starts=_STARTS, seed=int(options["seed"]))
    curves = annealed.compare_schedules(
        energy, named, _times(step, end), step=step, walkers=int(options["walkers"]), seed=int(options["seed"])
    )
    settings = {name: options[name] for name in (*shown, "time", "step", "walkers", "seed")}
    command = command_line()
    rising = annealed.rising_directions(energy, seed=int(options["seed"]))
    found = AnnealingResult(words, curves, depth, {"energy": words, **settings}, command, rising, falls)
    page = write_annealing(found, out)
    for name, curve in curves.items():
        share = curve.proportions[-1]
        console.print(
            f"{name}: {100 * (1 - share.estimate):.1f} % in a wrong basin "
            f"({100 * (1 - share.high):.1f} to {100 * (1 - share.low):.1f} %)"
            + ("" if curve.exact is None else f", exact {100 * (1 - curve.exact[-1]):.1f} %"),
            markup=False,
        )
    show_page(page, since=begin)


def _times(step: float, end: float) -> list[float]:
    """Times evenly spread over their logarithms, in whole steps."""
    if not (np.isfinite([step, end]).all() and 0 < step <= end):
        raise click.UsageError(f"expected 0 < --step <= --time, got {step:g} and {end:g}", click.get_current_context())
    steps = np.unique(np.rint(np.geomspace(min(1.0, end), end, _MARKS) / step).astype(int))
    return [float(n * step) for n in steps if n > 0]


def _schedule(text: str) -> annealed.Schedule:
    """``logarithmic:c=0.5`` as a schedule."""
    name, _, rest = text.partition(":")
    options: dict[str, object] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        try:
            options[key.strip()] = float(value)
        except ValueError:
            raise ConfigurationError(
                f"expected --schedule as NAME:KEY=VALUE,... with numbers, got '{text}' (at '{part}'): "
                "such as logarithmic:c=0.5"
            ) from None
        if not equals:
            raise ConfigurationError(f"expected KEY=VALUE in --schedule, got '{part}': such as logarithmic:c=0.5")
    return annealed.get_schedule(name.strip(), **options)
