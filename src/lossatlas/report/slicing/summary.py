"""The surface in words: where its lowest point is, how rough it is, what is missing, what the plane leaves out."""

from __future__ import annotations

from lossatlas.report.blocks import Block, Notice, Prose, Section
from lossatlas.report.surface_parts import quantity_of
from lossatlas.report.wording import listing, number, spelled
from lossatlas.study.slicing import Slicing

__all__ = ["build", "cautions", "findings", "plane_words"]

_KINDS = {
    "filter": "random filter-normalised directions",
    "layer": "random layer-normalised directions",
    "random": "random directions",
    "coordinates": "the axes of its coordinates",
    "eigenvector": "eigenvectors of the Hessian",
    "minima": "directions through the given points",
    "initialisation": "the way from the initial weights to the solution",
    "trajectory": "the principal components of a run",
    "refined trajectory": "directions refined so that losses on the plane are those of a run",
    "given": "given directions",
}
_SHAPES = {1: "a line along", 2: "the plane of", 3: "the space of"}
# A run is worth a caution when the plane leaves out more than this part of it.
_OUTSIDE = 0.3
# Components explain no more than those of a random walk within this part.
_CHANCE = 0.02
# The distance of a convex surface from its envelope is rounding.
_ROUNDING = 1e-9


def plane_words(found: Slicing) -> str:
    """Which plane it is."""
    plane = found.surface.plane
    return f"{_SHAPES[plane.count]} {_KINDS.get(plane.kind, plane.kind)}"


def build(found: Slicing) -> Section:
    """Say what was found, and what a reader should know."""
    blocks: list[Block] = [Prose(sentence) for sentence in findings(found)]
    warnings = cautions(found)
    if warnings:
        blocks.append(Notice("What to know before these numbers are used:", warnings))
    return Section("summary", "Summary", tuple(blocks))


def findings(found: Slicing) -> tuple[str, ...]:
    """The surface in sentences, for the page and for the terminal."""
    surface = found.surface
    grid = " by ".join(str(n) for n in surface.shape)
    word = quantity_of(surface).lower()
    if surface.nonfinite == surface.values.numel():
        return (f"None of the {grid} points of the grid has a finite {word}.",)
    place, low = surface.lowest
    _, high = surface.highest
    at = ", ".join(number(c, 3) for c in place)
    sentences = [
        f"On a grid of {grid} points on {plane_words(found)} the {word} ranges from {number(low, 4)} at ({at}) to "
        f"{number(high, 4)}."
    ]
    if found.relief is not None:
        rough, minima = found.relief
        rough = 0.0 if rough < _ROUNDING else rough
        valleys = "one local minimum" if minima == 1 else f"{spelled(minima)} local minima"
        sentences.append(
            f"It has {valleys} on the grid, and its roughness is {number(rough, 2)}: the root mean square of its "
            f"distance from the highest convex surface below it, in units of the standard deviation of the {word} "
            "(0: convex)."
        )
    explained, null = surface.plane.details.get("explained"), surface.plane.details.get("null")
    if explained and null:
        sentences.append(
            f"Its directions explain {100 * sum(explained):.1f} % of the variance of the run; those of a random walk "
            f"of as many points would explain {100 * sum(null):.1f} %."
        )
    return tuple(sentences)


def cautions(found: Slicing) -> tuple[str, ...]:
    """What a reader of these pictures should know."""
    surface, plane = found.surface, found.surface.plane
    sentences = list(found.notes)
    if surface.nonfinite:
        sentences.append(
            f"At {surface.nonfinite} of {surface.values.numel()} points the {quantity_of(surface).lower()} is NaN or "
            "infinite. They are left blank and marked, and take no part in any number."
        )
    for name, values in surface.metrics.items():
        wrong = int((~values.isfinite()).sum())
        if wrong:
            sentences.append(f"'{name}' is NaN or infinite at {wrong} of {values.numel()} points.")
    beside = {name: float(seen.outside) for name, seen in found.points.items()}
    beside |= {each.name: each.outside for each in found.traces}
    far = [f"{name} ({100 * part:.0f} %)" for name, part in beside.items() if part > _OUTSIDE]
    if far:
        sentences.append(
            f"A large part of the way is off the plane for {listing(far)}: the loss under their marks is not theirs."
        )
    explained, null = plane.details.get("explained"), plane.details.get("null")
    if explained and null and sum(explained) < sum(null) + _CHANCE:
        sentences.append(
            "The directions explain no more of the run than those of a random walk would: the shape of the run on the "
            "plane means little."
        )
    return tuple(sentences)
