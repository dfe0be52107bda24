"""May they be averaged?"""

from __future__ import annotations

from lossatlas.report.blocks import Section
from lossatlas.study.connection import Connection
from lossatlas.study.connection_tables import averaging_table

__all__ = ["build"]


def build(connection: Connection) -> Section | None:
    """Show losses of the networks and of their means."""
    table = averaging_table(connection)
    return None if table is None else Section("averaging", "May they be averaged?", (table,))
