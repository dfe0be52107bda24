"""Marks: what can be drawn in a panel, as data without a drawing library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from lossatlas.core.errors import InputError
from lossatlas.report.histogram import Histogram
from lossatlas.report.mark_values import Array, Values, checked, freeze, same_length
from lossatlas.report.marks_space import Relief, ScaleBar, SpaceLine

__all__ = [
    "Array",
    "Contour",
    "Heatmap",
    "Histogram",
    "Line",
    "Mark",
    "Marker",
    "Points",
    "Relief",
    "ScaleBar",
    "SpaceLine",
    "Values",
    "VerticalLine",
]

# Steps between contour lines, at most.
_LINES = 20

Marker: TypeAlias = Literal["circle", "diamond", "square", "triangle", "tick", "cross"]


@dataclass(frozen=True, eq=False)
class Line:
    """A polyline; NaN in y is a gap.

    Args:
        x: ``(n,)``, finite.
        y: ``(n,)``, finite or NaN.
        label: its entry in the legend, shared by lines that belong together.
        role: what it stands for, usually an optimizer; fixes the colour.
        member: which of the lines of that label it is, such as ``"replica 3"``.
        dashed: drawn dashed.
        faint: drawn thin and translucent, for one of many.

    Raises:
        InputError: lengths differ, nothing is left, or a number is infinite.
    """

    x: Values
    y: Values
    label: str
    role: str
    member: str = ""
    dashed: bool = False
    faint: bool = False

    def __post_init__(self) -> None:
        x, y = checked(self.x, f"x of '{self.label}'"), checked(self.y, f"y of '{self.label}'", gaps=True)
        same_length(x, y, self.label)
        freeze(self, x=x, y=y)


@dataclass(frozen=True, eq=False)
class Points:
    """Separate points.

    Args:
        x: ``(n,)``, finite.
        y: ``(n,)``, finite or NaN (not drawn).
        label: its entry in the legend.
        role: what it stands for; fixes the colour.
        marker: shape; ``"tick"`` is a short vertical stroke.
        members: names of the points, as many as there are, or none.
        named: names are written beside the points.

    Raises:
        InputError: lengths differ, nothing is left, or a number is infinite.
    """

    x: Values
    y: Values
    label: str
    role: str
    marker: Marker = "circle"
    members: tuple[str, ...] = ()
    named: bool = False

    def __post_init__(self) -> None:
        x, y = checked(self.x, f"x of '{self.label}'"), checked(self.y, f"y of '{self.label}'", gaps=True)
        same_length(x, y, self.label)
        if self.members and len(self.members) != x.size:
            raise InputError(f"expected {x.size} names of points in '{self.label}', got {len(self.members)}")
        freeze(self, x=x, y=y)


@dataclass(frozen=True, eq=False)
class VerticalLine:
    """A value of the horizontal axis, marked over the whole height of a panel.

    Args:
        at: where.
        label: its entry in the legend.
        role: what it stands for; fixes the colour.
        dotted: drawn dotted; else dashed.

    Raises:
        InputError: a number that is not finite.

    Example:
        >>> VerticalLine(2.5, "distance of the centroids", "neutral").x
        array([2.5])
    """

    at: float
    label: str
    role: str
    dotted: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", float(checked([self.at], f"position of '{self.label}'")[0]))

    @property
    def x(self) -> Array:
        """The position, ``(1,)``."""
        return np.array([self.at])

    @property
    def y(self) -> Array:
        """It has no height of its own: NaN, ``(1,)``."""
        return np.array([np.nan])


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A grid of values shown as colour.

    Args:
        x: ``(n,)``.
        y: ``(m,)``.
        z: ``(m, n)``, finite or NaN; row i belongs to ``y[i]``.
        label: what the colour shows.
        unit: its unit; ``""`` for a pure number.
        log: colour by log10 of z.

    Raises:
        InputError: shapes do not fit, or a logarithm is asked of a number that is not positive.
    """

    x: Values
    y: Values
    z: Values
    label: str
    unit: str
    log: bool = False

    def __post_init__(self) -> None:
        x, y = checked(self.x, f"x of '{self.label}'"), checked(self.y, f"y of '{self.label}'")
        z = checked(self.z, f"z of '{self.label}'", ndim=2, gaps=True)
        if z.shape != (y.size, x.size):
            raise InputError(f"expected z of shape {(y.size, x.size)} in '{self.label}', got {z.shape}")
        if self.log and np.nanmin(z) <= 0:
            raise InputError(
                f"expected positive values for the logarithmic colours of '{self.label}', got {np.nanmin(z):g}: "
                "set those to NaN, or use log=False"
            )
        freeze(self, x=x, y=y, z=z)

    @property
    def shown(self) -> Array:
        """What the colour encodes: z, or log10 of it, ``(m, n)``."""
        z = np.asarray(self.z)
        return np.log10(z) if self.log else z

    @property
    def text(self) -> str:
        """Label of the colour bar, with its unit."""
        name = f"{self.label} ({self.unit})" if self.unit else self.label
        return f"log₁₀ of {name}" if self.log else name


@dataclass(frozen=True, eq=False)
class Contour(Heatmap):
    """The same grid shown as lines of equal value; arguments as for :class:`Heatmap`.

    Args:
        span: lowest and highest line, in what is shown (log10 of z where ``log``); None: those of the values. Walls
            far above everything of interest would else take all lines.

    Raises:
        InputError: as for :class:`Heatmap`, or a span that is empty.
    """

    span: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.span is not None and not self.span[0] < self.span[1]:
            raise InputError(f"expected a span (low, high) with low < high in '{self.label}', got {self.span}")

    @property
    def levels(self) -> Array:
        """Where the lines are: evenly spaced round numbers, about 15 of them, 2 at least.

        Example:
            >>> Contour([0.0, 1.0], [0.0, 1.0], [[0.0, 0.31], [0.5, 0.97]], "E", "").levels[:3].tolist()
            [0.0, 0.05, 0.1]
        """
        low, high = self.span or (float(np.nanmin(self.shown)), float(np.nanmax(self.shown)))
        if not high > low:
            return np.array([low, low + 1.0])
        rough = (high - low) / _LINES
        power = 10.0 ** np.floor(np.log10(rough))
        step = power * next(nice for nice in (1, 2, 2.5, 5, 10) if nice * power >= rough * (1 - 1e-9))
        count = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1)
        # + 0.0 makes zero of minus zero.
        return np.round(count * step, 12) + 0.0 if len(count) > 1 else np.array([low, high])


Mark: TypeAlias = Line | Points | Histogram | VerticalLine | Heatmap | Contour | Relief | SpaceLine | ScaleBar
