"""How it was made: the command, the directions, the machine, and what to cite."""

from __future__ import annotations

from collections.abc import Mapping

from lossatlas.report.blocks import Block, Definitions, Listing, Prose, References, Section
from lossatlas.report.citations import citations_for_surface
from lossatlas.report.wording import duration
from lossatlas.study.slicing import Slicing

__all__ = ["build"]

_ROWS = (
    ("coordinates", "coordinates"),
    ("samples", "data"),
    ("dtype", "floating type of the surface"),
    ("device", "device"),
    ("seed", "seed"),
    ("statistics", "normalisation statistics"),
    ("exports", "files for other programs"),
)


def build(found: Slicing) -> Section:
    """Give everything needed to make it again."""
    details = found.details
    blocks: list[Block] = []
    if details.get("command"):
        blocks.append(Prose("This command makes the page again; what is stored already is reused."))
        blocks.append(Listing("Command", str(details["command"])))
    rows = [(words, str(details[key])) for key, words in _ROWS if details.get(key) is not None]
    if isinstance(details.get("seconds"), int | float):
        rows.append(("time", duration(details["seconds"])))
    blocks.append(Definitions("Surface", tuple(rows)))
    for key, words in (("problem", "Problem"), ("hardware", "Machine"), ("packages", "Versions")):
        content = details.get(key)
        if isinstance(content, Mapping) and content:
            shown = tuple((str(k).replace("_", " "), str(v)) for k, v in content.items() if v is not None)
            blocks.append(Definitions(words, shown))
    blocks.append(References(citations_for_surface(found)))
    return Section("method", "How it was made", tuple(blocks))
