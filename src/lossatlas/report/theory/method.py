"""How a page of theory was made: the command, the settings, what to cite."""

from __future__ import annotations

from collections.abc import Mapping

from lossatlas.report.bibliography import Citation
from lossatlas.report.blocks import Block, Definitions, Listing, Prose, References, Section

__all__ = ["method_section"]


def method_section(settings: Mapping[str, object], command: str, works: tuple[Citation, ...]) -> Section:
    """Give everything needed to make it again.

    Args:
        settings: by name, as they are shown.
        command: that makes the page; empty if it was not made by one.
        works: to cite.
    """
    blocks: list[Block] = []
    if command:
        blocks += [Prose("This command makes the page again, with the same numbers."), Listing("Command", command)]
    blocks.append(Definitions("Settings", tuple((name, str(value)) for name, value in settings.items())))
    blocks.append(References(works))
    return Section("method", "How it was made", tuple(blocks))
