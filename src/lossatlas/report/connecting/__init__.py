"""The page about a connection: what lies between some points of a landscape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lossatlas.report.blocks import Section
from lossatlas.report.connecting import averages, map_section, method, profiles, summary, tree
from lossatlas.report.wording import listing
from lossatlas.report.write_page import write_page
from lossatlas.study.connection import Connection

__all__ = ["build_connection", "write_connection"]

_SECTIONS: list[Callable[[Connection], Section | None]] = [
    summary.build,
    map_section.build,
    profiles.build,
    averages.build,
    tree.build,
    method.build,
]


def build_connection(connection: Connection) -> tuple[Section, ...]:
    """Build every section for which there is something."""
    built = [build(connection) for build in _SECTIONS]
    return tuple(section for section in built if section is not None)


def write_connection(connection: Connection, folder: str | Path) -> Path:
    """Write ``report.html``, ``tables/*.csv`` and ``figures/*.{png,svg,csv}``.

    Args:
        connection: what was found; it may be incomplete.
        folder: where to write.

    Returns:
        The path of ``report.html``, which is written last.

    Raises:
        StorageError: the folder cannot be written.
    """
    names = listing(connection.labels) if len(connection.labels) <= 4 else f"{len(connection.labels)} points"
    subtitle = f"Paths between {names} on the landscape {connection.name}, and how high they rise."
    return write_page(folder, f"Connecting {names}", subtitle, build_connection(connection))
