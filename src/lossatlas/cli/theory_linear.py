"""``lossatlas theory linear``: a deep linear network from saddle to saddle."""

from __future__ import annotations

import math
import time as clock
from pathlib import Path

import click
import torch

from lossatlas.cli.console import command_line, console, show_page
from lossatlas.cli.types import Folder
from lossatlas.core.errors import ConfigurationError
from lossatlas.report.theory import LinearResult, write_linear
from lossatlas.report.write_page import check_page_folder
from lossatlas.theory import linear as deep

__all__ = ["linear"]

_MOST = 6  # modes: more have no colour of their own


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--depth", type=int, default=2, show_default=True, help="Matrices of the network, at least 2.")
@click.option("--modes", default="4,2,1", show_default=True, help="Singular values of the target.")
@click.option("--width", type=int, default=4, show_default=True, help="Of the hidden layers.")
@click.option("--start", type=float, default=1e-4, show_default=True, help="Strength of every mode at first.")
@click.option("--batch", type=int, default=16, show_default=True, help="Examples per step of SGD.")
@click.option("--rate", type=float, default=0.01, show_default=True, help="Step length of SGD.")
@click.option("--noise", type=float, default=0.3, show_default=True, help="Standard deviation of the labels.")
@click.option("--replicas", type=int, default=200, show_default=True, help="Networks trained, at least 2.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", required=True, type=Folder(), help="Folder of the results.")
def linear(
    *,
    depth: int,
    modes: str,
    width: int,
    start: float,
    batch: int,
    rate: float,
    noise: float,
    replicas: int,
    seed: int,
    out: Path,
) -> None:
    """Train deep linear networks by SGD and lay gradient flow, saddles, diffusion and stationary laws over them."""
    begin = clock.monotonic()
    check_page_folder(out)
    target = torch.diag(torch.tensor(_strengths(modes), dtype=torch.float64))
    task = deep.LinearTask(target, depth=depth, width=width, rate=rate, batch=batch, noise=noise)
    found = deep.saddle_to_saddle(task, start=start, replicas=replicas, seed=seed)
    settings = {
        "depth": depth, "modes": modes, "width": width, "start": start, "batch": batch, "rate": rate, "noise": noise,
        "replicas": replicas, "seed": seed,
    }  # fmt: skip
    page = write_linear(LinearResult(found, settings, command_line()), out)
    for p in found.plateaus:
        console.print(
            f"{len(p.learned)} of {task.modes} modes learned, time {p.since:.2f} to {p.until:.2f}: index "
            f"{p.predicted_index} by formula, " + (f"{p.index} measured" if p.converged else "no critical point found"),
            markup=False,
        )
    for rest in found.rest:
        seen, error = rest.variance("networks")
        console.print(
            f"s* = {rest.sde.target:g} at rest: variance {seen:.3g} ± {error:.1g}, expected {rest.stepped:.3g}",
            markup=False,
        )
    show_page(page, since=begin)


def _strengths(text: str) -> list[float]:
    """``4,2,1`` as numbers."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if not values or len(values) > _MOST or not all(math.isfinite(value) and value > 0 for value in values):
        raise ConfigurationError(
            f"expected --modes as 1 to {_MOST} numbers above 0 with commas between them, got '{text}': such as 4,2,1"
        )
    return values
