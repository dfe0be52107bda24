"""Which normalisation statistics a command uses: those of the data at every point, or those that files came with."""

from __future__ import annotations

from dataclasses import replace

import click

from lossatlas.cli.target import Target
from lossatlas.core.errors import InputError
from lossatlas.landscape import NetworkLandscape

__all__ = ["ON_THE_DATA", "choose_statistics", "statistics_option"]

ON_THE_DATA = "recomputed on the data at every point"

statistics_option = click.option(
    "--statistics",
    type=click.Choice(["batch", "stored"]),
    default="batch",
    show_default=True,
    help="Of normalisation layers: of the data at every point, or stored with W.",
)


def choose_statistics(place: Target, statistics: str) -> Target:
    """The landscape as a function of the weights alone (``"batch"``), or with statistics to be given (``"stored"``).

    Raises:
        InputError: they are to be given, and the network keeps none.
    """
    if statistics == "batch":
        landscape = place.landscape
        if not isinstance(landscape, NetworkLandscape) or not landscape.keeps_statistics:
            return place
        return replace(place, landscape=landscape.with_batch_statistics())
    if place.stored is None:
        raise InputError(
            f"expected a network that keeps normalisation statistics for --statistics stored, got '{place.name}': "
            "leave it out"
        )
    return replace(place, landscape=place.stored)
