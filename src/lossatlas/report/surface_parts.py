"""What all pictures of surfaces share: axes, colours, scale bars, gaps, and where contours end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lossatlas.report.figure import Axis
from lossatlas.report.marks import Points, ScaleBar
from lossatlas.report.wording import number
from lossatlas.slices import Surface, Trace

__all__ = [
    "caption_of",
    "ceiling",
    "gaps",
    "logarithmic",
    "missing",
    "named",
    "quantity_of",
    "role_of",
    "scale_bar",
    "slice_axis",
]

# A surface that spans more is shown in logarithms.
_DECADES = 100.0
# Where the top tenth of a surface takes more than this part of its height, contours and reliefs end below it.
_TOP, _WALL = 0.9, 0.7
# Longest name of a direction with something beside it.
_ROOM = 32
_OPTIMIZERS = ("lbfgs-gss", "lbfgs", "sgd", "adam", "adamw", "sam")


def slice_axis(surface: Surface, direction: int, *, short: bool = False) -> Axis:
    """Axis along a direction; its unit says how long a step of 1 is, where there is room beside the name."""
    name, scale = surface.plane.names[direction], surface.scale[direction]
    if short and len(name) > _ROOM:
        name = f"direction {direction + 1}"
    unit = "|w|" if surface.plane.weight_norm else "units of the coordinates"
    told = surface.plane.kind == "coordinates" or short or len(name) > _ROOM
    return Axis(name[:1].upper() + name[1:], "" if told else f"1 = {scale:.3g} {unit}")


def role_of(name: str, position: int) -> str:
    """Which colour a run has: its optimizer's, or that of its place."""
    return name.lower() if name.lower() in _OPTIMIZERS else f"series {position % 6}"


def logarithmic(values: Tensor) -> bool:
    """Whether values are positive and range over more than two decades."""
    finite = values[values.isfinite()]
    return bool(len(finite)) and float(finite.min()) > 0 and float(finite.max()) > _DECADES * float(finite.min())


def ceiling(shown: Tensor) -> float | None:
    """Where contours and reliefs end: walls far above everything of interest would else hide it. None: at the top."""
    finite = shown[shown.isfinite()]
    if not len(finite):
        return None
    low, high, top = float(finite.min()), float(finite.max()), float(finite.quantile(_TOP))
    return top if high - top > _WALL * (high - low) and top > low else None


def gaps(values: Tensor) -> Tensor:
    """The values with NaN where they are not finite: left blank."""
    return values.where(values.isfinite(), torch.nan)


def quantity_of(surface: Surface) -> str:
    """What a surface is of: ``"Loss"`` of a network, ``"Energy"`` of anything else."""
    return "Loss" if surface.plane.spec is not None or surface.details.get("samples") is not None else "Energy"


def named(surface: Surface, name: str) -> tuple[str, str]:
    """What the loss or a metric is called, and its unit."""
    return (quantity_of(surface), surface.unit) if name == "loss" else (name[:1].upper() + name[1:], "")


def missing(surface: Surface, name: str) -> list[Points]:
    """Points that are not finite, marked where they are."""
    wrong = ~surface.named(name).isfinite()
    count, total = int(wrong.sum()), wrong.numel()
    if not count:
        return []
    x, y = surface.coordinates[wrong].unbind(-1)
    return [Points(x, y, f"not finite: {count} of {total} points", "neutral", "cross")]


def scale_bar(surface: Surface) -> ScaleBar:
    """A bar of a round length in units of |w|, about a quarter of the narrower side."""
    extents = [(high - low) * size for (low, high), size in zip(surface.window[:2], surface.scale, strict=False)]
    rough = 0.25 * min(extents)
    power = 10.0 ** math.floor(math.log10(rough))
    length = max(nice * power for nice in (1, 2, 5) if nice * power <= rough * (1 + 1e-9))
    (x, right), (y, top) = surface.window[:2]
    corner = (x + 0.04 * (right - x), y + 0.04 * (top - y))
    text = f"{length:g} |w|" if surface.plane.weight_norm else f"length {length:g}"
    return ScaleBar(corner, length / surface.scale[0], length / surface.scale[1], text)


def caption_of(surface: Surface, traces: Sequence[Trace] = ()) -> str:
    """What a reader must know of a surface before believing it."""
    unit = "times the length |w| of the weights at the origin" if surface.plane.weight_norm else "long"
    size = surface.plane.weight_norm or 1.0
    steps = " and ".join(number(step / size, 2) for step in surface.steps)
    grid = " by ".join(str(n) for n in surface.shape)
    sentences = [f"{grid} points; neighbours are {steps} {unit} apart."]
    if surface.nonfinite:
        sentences.append(
            f"At {surface.nonfinite} of {surface.values.numel()} points the {quantity_of(surface).lower()} is NaN or "
            "infinite; they are left blank and marked."
        )
    shown = surface.values.log10() if logarithmic(surface.values) else surface.values
    top = ceiling(shown) if len(surface.axes) == 2 else None
    if top is not None:
        height = 10**top if logarithmic(surface.values) else top
        sentences.append(f"Contours and relief end at {number(height, 3)}; a tenth of the points lies higher.")
    if traces:
        worst = max(each.outside for each in traces)
        sentences.append(
            f"Runs are drawn at their projections; they leave the plane by up to {100 * worst:.0f} % of their largest "
            "distance from its origin. In space they are drawn at their own losses, not at those of the plane."
        )
    return " ".join(sentences)
