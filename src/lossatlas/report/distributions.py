"""Distributions of several sets in one panel: histograms over each other, or every value where there are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossatlas.report.figure import Axis, Panel
from lossatlas.report.histogram import common_edges
from lossatlas.report.mark_values import Array
from lossatlas.report.marks import Histogram, Mark, Points, VerticalLine
from lossatlas.report.palette import marker_of
from lossatlas.report.wording import number

__all__ = ["FEW", "Sample", "distribution_panel", "spread"]

FEW = 8
"""Sets with fewer values than these are drawn value by value: a histogram would pretend to know their shape."""

# A logarithmic axis pays where the numbers span more than this factor.
_DECADES = 30


@dataclass(frozen=True)
class Sample:
    """Values of one set.

    Args:
        label: its entry in the legend.
        row: its name on an axis of sets; a line break is allowed.
        role: what it stands for, usually an optimizer.
        values: at least one, finite.
        members: names of the values.
        dashed: drawn dashed, to tell two sets of one optimizer apart.
    """

    label: str
    row: str
    role: str
    values: tuple[float, ...]
    members: tuple[str, ...]
    dashed: bool = False


def spread(count: int, position: int) -> Array:
    """Offsets that keep points of one category apart: the golden ratio's sequence never clumps.

    Example:
        >>> spread(3, 2).round(3).tolist()
        [1.75, 2.059, 1.868]
    """
    offsets = (np.arange(count) * 0.6180339887498949) % 1.0 - 0.5
    found: Array = np.asarray(position + (0.5 if count > 1 else 0.0) * offsets, dtype=np.float64)
    return found


def distribution_panel(
    title: str,
    samples: Sequence[Sample],
    quantity: str,
    unit: str,
    *,
    counted: str,
    lines: Sequence[VerticalLine] = (),
    zero: bool = False,
) -> Panel | None:
    """Draw the values of several sets over each other.

    Args:
        title: heading of the panel.
        samples: the sets.
        quantity: what the values are.
        unit: its unit.
        counted: what is counted, such as ``"Paths"``.
        lines: further values of the horizontal axis.
        zero: the horizontal axis begins at zero.

    Returns:
        Histograms with common edges where every set has :data:`FEW` values or more, else a row of points for each set;
        logarithmic where all values are positive and span decades. Values that are all the same are points too, and the
        title says so. None where there are no sets.

    Example:
        >>> one = Sample("SGD", "SGD", "sgd", tuple(range(1, 10)), ("",) * 9)
        >>> panel = distribution_panel("FCP", [one], "Height", "nat", counted="Paths")
        >>> int(panel.marks[0].counts.sum()), panel.y.text
        (9, 'Paths (count)')
    """
    if not samples:
        return None
    values = np.array([value for sample in samples for value in sample.values] + [line.at for line in lines])
    log = bool(values.min() > 0 and values.max() > _DECADES * values.min())
    x = Axis(quantity, unit, "log" if log and not zero else "linear", zero=zero)
    marks: list[Mark] = []
    own = {value for sample in samples for value in sample.values}
    if len(own) == 1:
        title = f"{title}: all {number(min(own), 3)}"
    if len(own) == 1 or min(len(sample.values) for sample in samples) < FEW:
        for row, s in enumerate(samples):
            at = spread(len(s.values), row)
            marker = "diamond" if s.dashed else marker_of(s.role)
            marks.append(Points(s.values, at, s.label, s.role, marker, s.members))
        return Panel(title, x, Axis("Set", "", categories=tuple(s.row for s in samples)), (*lines, *marks))
    edges = common_edges([sample.values for sample in samples], log=x.scale == "log")
    marks += [Histogram(s.values, edges, s.label, s.role, s.members, s.dashed) for s in samples]
    return Panel(title, x, Axis(counted, "count", zero=True), (*marks, *lines))
