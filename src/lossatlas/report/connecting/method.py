"""How it was made: the command, the finder with all its options, the machine, and what to cite."""

from __future__ import annotations

from collections.abc import Mapping

from lossatlas.report.blocks import Block, Definitions, Listing, Prose, References, Section
from lossatlas.report.citations import citations_for_connection
from lossatlas.report.wording import duration
from lossatlas.study.connection import Connection

__all__ = ["build"]


def build(connection: Connection) -> Section:
    """Give everything needed to make it again."""
    details = connection.details
    blocks: list[Block] = []
    if details.get("command"):
        blocks.append(Prose("This command makes the page again; what is stored already is reused."))
        blocks.append(Listing("Command", str(details["command"])))
    if details.get("finder"):
        blocks.append(Listing("Path finder, with all its options", str(details["finder"])))
    rows = [
        (words, str(details[key]))
        for key, words in (
            ("coordinates", "coordinates"),
            ("samples", "data"),
            ("dtype", "floating type of the search"),
            ("device", "device"),
            ("seed", "seed"),
        )
        if details.get(key) is not None
    ]
    if isinstance(details.get("seconds"), int | float):
        rows.append(("time", duration(details["seconds"])))
    blocks.append(Definitions("Run", tuple((term, value) for term, value in rows)))
    for key, words in (("problem", "Problem"), ("hardware", "Machine"), ("packages", "Versions")):
        found = details.get(key)
        if isinstance(found, Mapping) and found:
            shown = tuple((str(k).replace("_", " "), str(v)) for k, v in found.items() if v is not None)
            blocks.append(Definitions(words, shown))
    blocks.append(References(citations_for_connection(connection)))
    return Section("method", "How it was made", tuple(blocks))
