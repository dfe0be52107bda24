"""Histogram: how often values fall between edges, and edges that several sets share."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossatlas.core.errors import InputError
from lossatlas.report.mark_values import Array, Values, checked, freeze

__all__ = ["Histogram", "common_edges"]

_FEWEST, _MOST = 8, 40


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of values between edges, drawn as a step outline, so that sets can lie over each other.

    Args:
        values: ``(n,)``, finite, all between the first and the last edge.
        edges: ``(k + 1,)``, increasing; see :func:`common_edges`.
        label: its entry in the legend.
        role: what it stands for, usually an optimizer; fixes the colour.
        members: names of the values, as many as there are, or none.
        dashed: drawn dashed.

    Raises:
        InputError: edges that do not increase, a value outside them, or another number of names.

    Example:
        >>> found = Histogram([0.0, 0.2, 1.0], [0.0, 0.5, 1.0], "SGD", "sgd")
        >>> found.counts.tolist(), found.x.tolist(), found.y.tolist()
        ([2, 1], [0.0, 0.0, 0.5, 0.5, 1.0, 1.0], [0.0, 2.0, 2.0, 1.0, 1.0, 0.0])
    """

    values: Values
    edges: Values
    label: str
    role: str
    members: tuple[str, ...] = ()
    dashed: bool = False

    def __post_init__(self) -> None:
        values = checked(self.values, f"values of '{self.label}'")
        edges = checked(self.edges, f"edges of '{self.label}'")
        if edges.size < 2 or not (edges[1:] > edges[:-1]).all():
            raise InputError(f"expected at least 2 increasing edges in '{self.label}', got {edges.tolist()}")
        outside = values[(values < edges[0]) | (values > edges[-1])]
        if outside.size:
            raise InputError(
                f"expected values between {edges[0]:g} and {edges[-1]:g} in '{self.label}', got {outside.size} outside "
                f"(the first is {outside[0]:g}): make the edges of all values, with common_edges"
            )
        if self.members and len(self.members) != values.size:
            raise InputError(f"expected {values.size} names of values in '{self.label}', got {len(self.members)}")
        freeze(self, values=values, edges=edges)

    @property
    def counts(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Values in each bin, ``(k,)``; a value on an edge belongs to the bin above it, the last edge to the last."""
        edges = np.asarray(self.edges)
        bins = np.searchsorted(edges, np.asarray(self.values), side="right") - 1
        return np.bincount(np.minimum(bins, edges.size - 2), minlength=edges.size - 1)

    @property
    def _filled(self) -> slice:
        """Bins from the first that is not empty to the last: beyond, an outline would only hide the axis."""
        filled = np.flatnonzero(self.counts)
        return slice(int(filled[0]), int(filled[-1]) + 1)

    @property
    def x(self) -> Array:
        """Corners of the outline, ``(2m + 2,)``, over the m bins from the first that is not empty to the last."""
        filled = self._filled
        return np.repeat(np.asarray(self.edges)[filled.start : filled.stop + 1], 2)

    @property
    def y(self) -> Array:
        """Heights of the corners, ``(2m + 2,)``, from zero to zero."""
        return np.concatenate([[0.0], np.repeat(self.counts[self._filled].astype(np.float64), 2), [0.0]])


def common_edges(sets: Sequence[Values], *, log: bool = False) -> Array:
    """Edges for histograms of several sets over each other: evenly spaced, from the least value to the greatest.

    Bins are as wide as the narrowest set asks for by the rule of Freedman and Diaconis, 2 IQR n^(-1/3); there are 8 to
    40 of them.

    Args:
        sets: values of each, ``(n_i,)``, finite.
        log: evenly spaced logarithms.

    Returns:
        ``(k + 1,)``, increasing; where all values are equal, one bin around them.

    Raises:
        InputError: no values, or logarithms of values that are not positive.

    Reference:
        Freedman & Diaconis 1981, *On the histogram as a density estimator: L2 theory*, Z. Wahrscheinlichkeitstheorie
        verw. Gebiete 57, 453.

    Example:
        >>> common_edges([[1.0, 10.0], [100.0]], log=True).round(2).tolist()[::4]
        [1.0, 10.0, 100.0]
    """
    arrays = [checked(values, "values of a histogram") for values in sets]
    if not arrays:
        raise InputError("expected at least one set of values for a histogram, got none")
    least, most = min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays)
    if log and least <= 0:
        raise InputError(f"expected positive values for logarithmic bins, got {least:g}: use log=False")
    if log:
        arrays = [np.log(a) for a in arrays]
    # Scaled, so that no difference of finite numbers overflows.
    scale = max(float(np.abs(a).max()) for a in arrays) or 1.0
    scaled = [a / scale for a in arrays]
    low, high = min(float(a.min()) for a in scaled), max(float(a.max()) for a in scaled)
    steps = np.linspace(0, 1, _bins(scaled, high - low) + 1)
    inner = low * (1 - steps) + high * steps
    with np.errstate(over="ignore"):
        inner = (np.exp(inner * scale) if log else inner * scale)[1:-1]
    # Neighbouring floats leave no room for edges between them.
    edges = np.unique(np.concatenate([[least], np.clip(inner, least, most), [most]]))
    return edges if edges.size > 1 else _around(least, log=log)


def _around(value: float, *, log: bool) -> Array:
    """One bin around a value that has room for none, within what floats can say."""
    half = 0.5 * (abs(value) or 1.0)
    low, high = (value / 2, value * 2) if log else (value - half, value + half)
    ends = [min(low, math.nextafter(value, -math.inf)), max(high, math.nextafter(value, math.inf))]
    floor = math.ulp(0.0) if log else -sys.float_info.max
    return np.clip(ends, floor, sys.float_info.max)


def _bins(sets: Sequence[Array], spread: float) -> int:
    quartiles = [(values.size, *np.quantile(values, [0.25, 0.75]).tolist()) for values in sets]
    widths = [2 * (high - low) / size ** (1 / 3) for size, low, high in quartiles]
    widths = [width for width in widths if width > 0]
    if not widths or not spread > 0:
        return _FEWEST
    return int(np.clip(np.ceil(min(spread / min(widths), _MOST)), _FEWEST, _MOST))
