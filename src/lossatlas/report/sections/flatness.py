"""How sharp the minima of each optimizer are: largest eigenvalue and trace of the Hessian."""

from __future__ import annotations

import math

from torch import Tensor

from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.curves import loss_unit
from lossatlas.report.distributions import Sample, distribution_panel
from lossatlas.report.figure import Figure, Panel
from lossatlas.report.profiles import SET_NAMES
from lossatlas.report.wording import listing, network_name, optimizer_name
from lossatlas.study.results import CurvatureSet, SharpnessSet, StudyResults

__all__ = ["build"]

# By scaling: words for the title and for the caption.
_SCALINGS = {
    "none": ("as they are", "Coordinates are the weights as they are"),
    "parameter": (
        "in units of their own sizes",
        "Coordinates are in units of the weights' own sizes, so that rescaling the layers of a ReLU network changes "
        "nothing",
    ),
    "filter": ("in units of their filters", "Coordinates are in units of the norm of each filter (row of a matrix)"),
    "layer": ("in units of their layers", "Coordinates are in units of the norm of each layer"),
}

_QUANTITIES = (("largest eigenvalue", "Largest eigenvalue", "top"), ("trace", "Trace", "trace"))


def _words(scaling: str) -> tuple[str, str]:
    return _SCALINGS.get(scaling, (f"scaled by {scaling}", f"Coordinates are scaled by {scaling}"))


def _sample(found: CurvatureSet, values: Tensor) -> Sample | None:
    finite = [(value, member) for value, member in zip(values.tolist(), found.members, strict=True)]
    finite = [pair for pair in finite if math.isfinite(pair[0])]
    if not finite:
        return None
    name = optimizer_name(found.optimizer)
    return Sample(
        f"{name}, {SET_NAMES[found.weight_set]}",
        f"{name}\n{SET_NAMES[found.weight_set].removesuffix(' set')}",
        found.optimizer,
        tuple(value for value, _ in finite),
        tuple(f"minimum {member + 1}" for _, member in finite),
        dashed=found.weight_set != "train",
    )


def _panels(results: StudyResults, scaling: str) -> list[Panel]:
    groups: dict[tuple[str, str], list[CurvatureSet]] = {}
    for found in results.curvatures:
        if scaling in found.sharpness:
            groups.setdefault((found.network, found.stage), []).append(found)
    networks = [network for network, _ in groups]
    units = {e.network: loss_unit(e.ensemble) for e in results.experiments}
    panels = []
    for (network, stage), sets in groups.items():
        name = network_name(network) + (f" ({stage})" if networks.count(network) > 1 else "")
        for word, quantity, field in _QUANTITIES:
            samples = [_sample(found, getattr(found.sharpness[scaling], field)) for found in sets]
            shown = [sample for sample in samples if sample is not None]
            unit = units.get(network, "")
            panels.append(distribution_panel(f"{name}, {word}", shown, quantity, unit, counted="Minima"))
    return [panel for panel in panels if panel is not None]


def _caption(scaling: str, sets: list[SharpnessSet]) -> str:
    methods = listing(list(dict.fromkeys(found.method for found in sets)))
    kinds = listing(list(dict.fromkeys(found.data for found in sets)))
    unfinished = sum(int((~found.converged).sum()) for found in sets)
    every = sum(len(found.converged) for found in sets)
    coordinates = _words(scaling)[1]
    text = (
        f"Largest eigenvalue and trace of the Hessian of the training loss ({kinds}), one mark for each minimum or a "
        f"histogram of them. {coordinates}. The farther left a set lies, the flatter its minima. Computed by {methods}."
    )
    if unfinished:
        text += f" {unfinished} of {every} did not meet their tolerance within the products allowed."
    return text


def build(results: StudyResults) -> Section | None:
    """Draw the sharpness of the minima in each scaling of the coordinates, and show the table."""
    scalings = list(dict.fromkeys(scaling for found in results.curvatures for scaling in found.sharpness))
    blocks: list[Block] = []
    for scaling in scalings:
        panels = _panels(results, scaling)
        if panels:
            sets = [found.sharpness[scaling] for found in results.curvatures if scaling in found.sharpness]
            title = f"Sharpness of the minima, weights {_words(scaling)[0]}"
            blocks.append(Figure(f"sharpness-{scaling}", title, _caption(scaling, sets), tuple(panels), columns=2))
    if not blocks:
        return None
    intro = Prose(
        "Does one optimizer end in flatter minima? Sharpness is the curvature of the training loss: the largest "
        "eigenvalue of its Hessian, and the trace, which sums all of them. A network can be made to look as sharp as "
        "one likes by rescaling its weights, so both are also measured in units of the weights."
    )
    table = results.tables.get("sharpness")
    shown = (table,) if table is not None and table.rows else ()
    return Section("sharpness", "Sharpness of the minima", (intro, *blocks, *shown))
