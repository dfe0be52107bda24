"""The disconnectivity graph of three or more points."""

from __future__ import annotations

from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.disconnectivity import disconnectivity_figure
from lossatlas.study.connection import Connection

__all__ = ["build"]

_FEWEST = 3


def build(connection: Connection) -> Section | None:
    """Show which points are joined at which height; with hidden units reordered too, where that was done."""
    if len(connection.labels) < _FEWEST or not connection.routes:
        return None
    word = connection.quantity
    blocks: list[Block] = [
        Prose(
            "Each point is a leaf that hangs at its own height. Two branches meet at the lowest pass known between "
            "their points, over whichever chain of paths is lowest."
        ),
        disconnectivity_figure(connection.tree, quantity=word, unit=connection.unit),
    ]
    if connection.aligned:
        blocks.append(
            disconnectivity_figure(
                connection.aligned_tree,
                quantity=word,
                unit=connection.unit,
                title="Disconnectivity graph, hidden units reordered",
                name="disconnectivity-aligned",
            )
        )
    return Section("tree", "Who is joined where", tuple(blocks))
