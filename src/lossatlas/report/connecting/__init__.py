"""The page about a connection: what lies between some points of a landscape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lossatlas.core.files import write_atomic
from lossatlas.report.blocks import Section
from lossatlas.report.connecting import averages, map_section, method, profiles, summary, tree
from lossatlas.report.matplotlib_backend import render_all
from lossatlas.report.page import render_page
from lossatlas.report.wording import listing
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
    target = Path(folder).expanduser().absolute()
    sections = build_connection(connection)
    for section in sections:
        for table in section.tables:
            write_atomic(target / "tables" / f"{table.name}.csv", table.to_csv())
        for figure in section.figures:
            for suffix, content in render_all(figure, ("png", "svg")).items():
                write_atomic(target / "figures" / f"{figure.name}.{suffix}", content)
            write_atomic(target / "figures" / f"{figure.name}.csv", figure.to_csv())
    names = listing(connection.labels) if len(connection.labels) <= 4 else f"{len(connection.labels)} points"
    subtitle = f"Paths between {names} on the landscape {connection.name}, and how high they rise."
    write_atomic(target / "report.html", render_page(f"Connecting {names}", subtitle, sections))
    return target / "report.html"
