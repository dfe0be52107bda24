"""``lossatlas align``: reorder the hidden units of one network to match another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from safetensors.torch import save

from lossatlas import symmetry
from lossatlas.cli.console import console
from lossatlas.cli.points import PointsCommand, load_points
from lossatlas.cli.target import Target, target_options
from lossatlas.core.errors import InputError
from lossatlas.core.files import write_atomic
from lossatlas.landscape import NetworkLandscape

__all__ = ["align"]


@click.command(cls=PointsCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("reference", metavar="A")
@click.argument("moved", metavar="B")
@target_options
@click.option("--method", type=click.Choice(["weights", "activations"]), default="weights", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .safetensors file.")
def align(
    *,
    reference: str,
    moved: str,
    target: Callable[[], Target],
    method: symmetry.alignment.Method,
    seed: int,
    out: Path,
) -> None:
    """Write network B with its hidden units in the order of those of A; its outputs stay the same."""
    if out.suffix.lower() != ".safetensors":
        raise InputError(f"expected --out as a .safetensors file, got '{out}'")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(f"expected a file in a folder that exists as --out, got '{out}'")
    if out.exists() and any(Path(given).exists() and out.samefile(given) for given in (reference, moved)):
        raise InputError(f"expected another file as --out, got '{out}', which is one of the two networks")
    place = target()
    landscape = place.landscape
    if not isinstance(landscape, NetworkLandscape):
        raise InputError(f"expected a network to align, got '{place.name}', which has no hidden units")
    given = load_points((reference, moved), place)
    found = symmetry.align(
        landscape, given.points[0], given.points[1], method=method, buffers=given.buffers[1], seed=seed
    )
    state = landscape.with_buffers(found.buffers).module(found.weights).state_dict()
    # Copies: tied weights share memory, which the format refuses.
    write_atomic(out.absolute(), save({name: tensor.detach().cpu().clone() for name, tensor in state.items()}))
    console.print(f"{found.message}; outputs differ by {found.function_difference:.1g}", markup=False)
    console.print(str(out.absolute()), markup=False)
