"""Surface: the values of a two-dimensional landscape on a grid, to draw paths on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree
from lossatlas.landscape import Energy
from lossatlas.landscape.contract import Landscape

__all__ = ["Surface", "Window", "surface", "window"]

Window = tuple[tuple[float, float], tuple[float, float]]
"""``((x_low, x_high), (y_low, y_high))``."""

_MARGIN = 0.12


@dataclass(frozen=True, eq=False)
class Surface:
    """A landscape on a grid.

    Args:
        x: ``(n,)``, first coordinate.
        y: ``(m,)``, second coordinate.
        z: ``(m, n)``, values; row i belongs to ``y[i]``. Those that are not finite are NaN.
    """

    x: Tensor
    y: Tensor
    z: Tensor

    def to_tree(self) -> Tree:
        """Return a dict of tensors, the form in which surfaces are stored."""
        return {"x": self.x, "y": self.y, "z": self.z}

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Surface:
        """Rebuild a surface from :meth:`to_tree`."""
        return cls(**tree)


def window(landscape: Landscape, rows: Sequence[Tensor]) -> Window:
    """A window that shows what matters: the landscape's own, made wide enough for some points.

    Args:
        landscape: of two coordinates.
        rows: ``(m, 2)`` each, such as the points of paths.

    Example:
        >>> from lossatlas.landscape import get
        >>> window(get("paper-toy"), [torch.tensor([[0.0, 0.0], [3.0, 0.5]])])
        ((-1.2, 3.36), (-1.2, 1.2))
    """
    known = landscape.bounds if isinstance(landscape, Energy) else None
    points = torch.cat([part.double().reshape(-1, 2) for part in rows])
    points = points[points.isfinite().all(1)]
    sides: list[tuple[float, float]] = []
    spans = (points.amax(0) - points.amin(0)).tolist()
    for axis in range(2):
        low, high = float(points[:, axis].min()), float(points[:, axis].max())
        # A path along one axis still needs room to both sides.
        margin = _MARGIN * max(spans[axis], 0.5 * max(spans)) or 1.0
        if known is None:
            sides.append((low - margin, high + margin))
        else:
            inner_low, inner_high = known[axis]
            sides.append(
                (
                    inner_low if low >= inner_low else round(low - margin, 9),
                    inner_high if high <= inner_high else round(high + margin, 9),
                )
            )
    return sides[0], sides[1]


def surface(landscape: Landscape, window: Window, resolution: int = 121) -> Surface:
    """Evaluate a landscape of two coordinates on a grid, in float64.

    Args:
        landscape: of two coordinates.
        window: ``((x_low, x_high), (y_low, y_high))``.
        resolution: grid points along each side.

    Returns:
        The surface.

    Raises:
        InputError: another number of coordinates, an empty window, or fewer than 2 grid points.

    Example:
        >>> from lossatlas.landscape import get
        >>> toy = get("paper-toy")
        >>> surface(toy, toy.bounds, resolution=25).z.shape
        torch.Size([25, 25])
    """
    if landscape.dim != 2:
        raise InputError(f"expected a landscape of 2 coordinates to draw, got {landscape.dim}")
    if resolution < 2:
        raise InputError(f"expected at least 2 grid points, got {resolution}")
    for low, high in window:
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"expected a window ((x_low, x_high), (y_low, y_high)) with low < high, got {window}")
    exact = landscape.to(dtype=torch.float64)
    x, y = (torch.linspace(low, high, resolution, dtype=torch.float64) for low, high in window)
    rows = torch.stack([x.expand(resolution, -1), y[:, None].expand(-1, resolution)], dim=-1)
    z = exact.value(rows.to(exact.device)).cpu()
    return Surface(x, y, z.where(z.isfinite(), torch.nan))
