"""How it was made: the command, the finder with all its options, the machine, and what to cite."""

from __future__ import annotations

from collections.abc import Mapping

from lossatlas.report.bibliography import WORKS
from lossatlas.report.blocks import Block, Definitions, Listing, Prose, References, Section
from lossatlas.report.wording import duration
from lossatlas.study.connection import Connection

__all__ = ["build"]

_WORKS = {
    "linear": ("frankle2020", "entezari2022"),
    "fourier": ("yu2026",),
    "bezier": ("garipov2018",),
    "polychain": ("garipov2018",),
    "neb": ("henkelman2000", "henkelman2000climbing"),
    "autoneb": ("draxler2018",),
    "string": ("e2007",),
}


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
    citations = tuple(WORKS[key] for key in _keys(connection) if key in WORKS)
    if citations:
        blocks.append(References(citations))
    return Section("method", "How it was made", tuple(blocks))


def _keys(connection: Connection) -> list[str]:
    used = {path.method.partition(",")[0].partition("-")[0] for r in connection.routes for path in r.paths.values()}
    keys = [key for method in sorted(used) for key in _WORKS.get(method, ())]
    keys += ["ainsworth2023"] if connection.aligned else []
    keys += ["becker1997"] if len(connection.labels) > 2 else []
    return list(dict.fromkeys(keys))
