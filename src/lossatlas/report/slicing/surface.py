"""The surface itself, and where its directions lead."""

from __future__ import annotations

from lossatlas.report.blocks import Block, Section
from lossatlas.report.surfaces import surface_figure
from lossatlas.study.slicing import Slicing
from lossatlas.study.slicing_tables import slicing_tables

__all__ = ["build"]


def build(found: Slicing) -> Section:
    """Draw the surface, and list its directions and the points on it."""
    blocks: list[Block] = []
    if bool(found.surface.finite.any()):
        blocks.append(surface_figure(found.surface, found.traces, found.places))
    blocks += [table for table in slicing_tables(found) if table.name != "runs"]
    return Section("surface", "Surface", tuple(blocks))
