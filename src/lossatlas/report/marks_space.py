"""Marks of panels with three axes, and the scale bar of maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossatlas.core.errors import InputError
from lossatlas.report.mark_values import Array, Values, checked, freeze, same_length

__all__ = ["Relief", "ScaleBar", "SpaceLine"]


@dataclass(frozen=True, eq=False)
class Relief:
    """A grid of values drawn as a surface in space; NaN is a hole.

    Args:
        x: ``(n,)``.
        y: ``(m,)``.
        z: ``(m, n)``, finite or NaN; row i belongs to ``y[i]``.
        label: what the height shows.
        unit: its unit; ``""`` for a pure number.

    Raises:
        InputError: shapes do not fit.
    """

    x: Values
    y: Values
    z: Values
    label: str
    unit: str

    def __post_init__(self) -> None:
        x, y = checked(self.x, f"x of '{self.label}'"), checked(self.y, f"y of '{self.label}'")
        z = checked(self.z, f"z of '{self.label}'", ndim=2, gaps=True)
        if z.shape != (y.size, x.size):
            raise InputError(f"expected z of shape {(y.size, x.size)} in '{self.label}', got {z.shape}")
        freeze(self, x=x, y=y, z=z)

    @property
    def text(self) -> str:
        """Label of the colour bar, with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True, eq=False)
class SpaceLine:
    """A polyline in space; NaN in z is a gap.

    Args:
        x: ``(n,)``, finite.
        y: ``(n,)``, finite.
        z: ``(n,)``, finite or NaN.
        label: its entry in the legend.
        role: what it stands for, usually an optimizer; fixes the colour.
        members: names of the points, as many as there are, or none.

    Raises:
        InputError: lengths differ, nothing is left, or a number is infinite.
    """

    x: Values
    y: Values
    z: Values
    label: str
    role: str
    members: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        x, y = (checked(values, f"{name} of '{self.label}'") for name, values in (("x", self.x), ("y", self.y)))
        z = checked(self.z, f"z of '{self.label}'", gaps=True)
        same_length(x, y, self.label)
        same_length(x, z, self.label)
        if self.members and len(self.members) != x.size:
            raise InputError(f"expected {x.size} names of points in '{self.label}', got {len(self.members)}")
        freeze(self, x=x, y=y, z=z)


@dataclass(frozen=True, eq=False)
class ScaleBar:
    """How long a stretch of each axis is in another unit, drawn as two bars from one corner.

    Args:
        corner: where both bars begin, in the units of the axes.
        across: length of the horizontal bar, in units of the horizontal axis.
        up: length of the vertical bar, in units of the vertical axis.
        text: what both stand for, such as ``"0.5 |w|"``.

    Raises:
        InputError: a length that is not positive, or nothing written beside it.

    Example:
        >>> bar = ScaleBar((-1.0, -1.0), 0.5, 0.25, "0.5 |w|")
        >>> bar.x, bar.y
        (array([-1. , -1. , -0.5]), array([-0.75, -1.  , -1.  ]))
    """

    corner: tuple[float, float]
    across: float
    up: float
    text: str

    def __post_init__(self) -> None:
        if not (np.isfinite([*self.corner, self.across, self.up]).all() and self.across > 0 and self.up > 0):
            raise InputError(f"expected bars of positive length for '{self.text}', got {self.across} and {self.up}")
        if not self.text.strip():
            raise InputError("expected what a scale bar stands for, got nothing: say how long it is")

    @property
    def label(self) -> str:
        """What the bar is called where numbers are listed."""
        return f"scale bar: {self.text}"

    @property
    def x(self) -> Array:
        """Horizontal positions: end of the vertical bar, corner, end of the horizontal bar, ``(3,)``."""
        return np.array([self.corner[0], self.corner[0], self.corner[0] + self.across])

    @property
    def y(self) -> Array:
        """Vertical positions of the same, ``(3,)``."""
        return np.array([self.corner[1] + self.up, self.corner[1], self.corner[1]])
