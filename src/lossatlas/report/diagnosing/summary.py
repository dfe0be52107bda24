"""The answer in words, the layers, all measurements, and how it was made."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossatlas.analysis.diagnosis import FAULTLESS
from lossatlas.core.table import Column, Table
from lossatlas.report.blocks import Block, Definitions, Listing, Notice, Prose, References, Section
from lossatlas.report.citations import citations_for_diagnosis
from lossatlas.report.diagnosing.findings import evidence_table, picture_figure
from lossatlas.report.wording import duration, listing, spelled
from lossatlas.study.diagnosed import Diagnosed

__all__ = ["answer", "layers", "measured", "method", "summary"]


def answer(found: Diagnosed) -> tuple[str, ...]:
    """The answer in sentences, for the page and for the terminal."""
    diagnosis = found.diagnosis
    if diagnosis.healthy and diagnosis.findings[0].sentence != FAULTLESS:
        return (f"No fault was found at {found.label}, which has not converged.", diagnosis.findings[0].sentence)
    if diagnosis.healthy:
        return (f"{found.label} is healthy: none of the pathologies looked for was found.",)
    kinds = listing(diagnosis.kinds)
    count = len(diagnosis.findings)
    many = f"{spelled(count).capitalize()} findings" if count > 1 else "One finding"
    return (f"{many} at {found.label}: {kinds}.", *(finding.sentence for finding in diagnosis.findings))


def summary(found: Diagnosed) -> Section:
    """What was found, and what could not be looked at."""
    blocks: list[Block] = [Prose(sentence) for sentence in answer(found)]
    first = found.diagnosis.findings[0]
    if not found.diagnosis.healthy:
        blocks.append(Notice("What to do first:", first.advice[:1]))
    notes = (*found.notes, *found.diagnosis.notes)
    if notes:
        blocks.append(Notice("What to know before these numbers are used:", notes))
    return Section("summary", "Summary", tuple(blocks))


def layers(found: Diagnosed) -> Section | None:
    """Gradients and largest learning rates, layer by layer; None where there are no layers."""
    rows = found.diagnosis.layers
    if not rows:
        return None

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    table = Table(
        "layers",
        "Layer by layer",
        "Root mean square of the weights and of the gradient of each layer, largest eigenvalue of its block of the "
        "Hessian, and 2/λ of it: beyond that learning rate plain gradient descent of this layer alone diverges. The "
        "whole network allows less.",
        (
            Column("layer", "Layer"),
            Column("parameters", "Parameters", "", "d"),
            Column("weight", "Weights", "", ".3g"),
            Column("gradient", "Gradient", "", ".3g"),
            Column("top", "Largest eigenvalue", "", ".4g"),
            Column("largest_rate", "2/λ", "", ".3g"),
            Column("converged", "Converged"),
        ),
        tuple(
            (
                each.name,
                each.parameters,
                each.weight,
                each.gradient,
                each.top,
                finite(each.largest_rate),
                each.converged,
            )
            for each in rows
        ),
    )
    figures = [picture_figure(picture) for picture in found.diagnosis.pictures]
    return Section("layers", "Layers", (table, *(figure for figure in figures if figure is not None)))


def measured(found: Diagnosed) -> Section:
    """Every number measured at the point, whatever was found."""
    table = evidence_table("measurements", "Measurements", found.diagnosis.measurements)
    return Section("measurements", "Measurements", (table,))


def method(found: Diagnosed) -> Section:
    """Give everything needed to make it again."""
    details = found.details
    blocks: list[Block] = []
    if details.get("command"):
        blocks.append(Prose("This command makes the page again."))
        blocks.append(Listing("Command", str(details["command"])))
    rows = [
        (words, str(details[key]))
        for key, words in (
            ("coordinates", "coordinates"),
            ("samples", "data"),
            ("method", "Hessian products"),
            ("products", "products at the point"),
            ("steps", "steps of the run on record"),
            ("snapshots", "snapshots of the run"),
            ("device", "device"),
            ("seed", "seed"),
        )
        if details.get(key) is not None
    ]
    if isinstance(details.get("seconds"), int | float):
        rows.append(("time", duration(details["seconds"])))
    blocks.append(Definitions("Run", tuple(rows)))
    for key, words in (("problem", "Problem"), ("hardware", "Machine"), ("packages", "Versions")):
        given = details.get(key)
        if isinstance(given, Mapping) and given:
            shown = tuple((str(k).replace("_", " "), str(v)) for k, v in given.items() if v is not None)
            blocks.append(Definitions(words, shown))
    lanczos = any(each.note == "at least" for each in found.diagnosis.measurements)
    blocks.append(References(citations_for_diagnosis(found.diagnosis.kinds, lanczos=lanczos)))
    return Section("method", "How it was made", tuple(blocks))
