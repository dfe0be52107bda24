"""How it was made: the command, all options, the machine, and what to cite."""

from __future__ import annotations

from collections.abc import Mapping

from lossatlas.report.blocks import Block, Definitions, Listing, Prose, References, Section
from lossatlas.report.citations import citations_for_spectra
from lossatlas.report.wording import duration
from lossatlas.study.spectra import Spectra

__all__ = ["build"]


def build(found: Spectra) -> Section:
    """Give everything needed to make it again."""
    details = found.details
    blocks: list[Block] = []
    if details.get("command"):
        blocks.append(Prose("This command makes the page again; what is stored already is reused."))
        blocks.append(Listing("Command", str(details["command"])))
    methods = tuple(dict.fromkeys(point.eigenpairs.method for _, point in found.done))
    data = tuple(dict.fromkeys(point.eigenpairs.data for _, point in found.done))
    rows = [("eigenvalues", "; ".join(methods)), ("Hessian of", "; ".join(data))] if found.done else []
    rows += [("products", f"{sum(int(point.eigenpairs.products) for _, point in found.done)} for the eigenvalues")]
    rows += [
        (words, str(details[key]))
        for key, words in (
            ("coordinates", "coordinates"),
            ("samples", "data"),
            ("dtype", "floating type of the weights; products are in float64"),
            ("device", "device"),
        )
        if details.get(key) is not None
    ]
    if isinstance(details.get("seconds"), int | float):
        rows.append(("time", duration(details["seconds"])))
    blocks.append(Definitions("Run", tuple(rows)))
    sections = (("options", "Options"), ("problem", "Problem"), ("hardware", "Machine"), ("packages", "Versions"))
    for key, words in sections:
        given = details.get(key)
        if isinstance(given, Mapping) and given:
            shown = tuple((str(k).replace("_", " "), str(v)) for k, v in given.items() if v is not None)
            blocks.append(Definitions(words, shown))
    blocks.append(References(citations_for_spectra(found)))
    return Section("method", "How it was made", tuple(blocks))
