"""Surface: the loss on a grid of a plane in weight space, and whatever else was measured there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree, load_tree, save_tree
from lossatlas.landscape.contract import AffineRows
from lossatlas.slices.grid import grid_coordinates
from lossatlas.slices.plane import Plane, Window

__all__ = ["Surface"]


@dataclass(frozen=True, eq=False)
class Surface:
    """A landscape on a grid of one, two or three directions.

    ``values[i, j]`` is the loss at ``origin + axes[0][i] directions[0] + axes[1][j] directions[1]``: the first index
    goes with the first direction.

    Args:
        plane: origin and directions.
        axes: coordinates along each direction, ``((n_1,), ...)``.
        values: ``(n_1, ..., n_k)``, loss, in float64. What is not finite stays as it came; see :attr:`finite`.
        metrics: name to an array of the same shape.
        unit: of the loss, such as ``"nat"``.
        details: floating type, strategy and data of the evaluation.

    Raises:
        InputError: shapes that do not fit.

    Example:
        >>> plane = Plane(torch.zeros(2), torch.eye(2))
        >>> axes = (torch.linspace(-1, 1, 3), torch.linspace(-1, 1, 2))
        >>> surface = Surface(plane, axes, torch.tensor([[2.0, 2.0], [1.0, float("nan")], [2.0, 2.0]]))
        >>> surface.nonfinite, surface.lowest
        (1, ((0.0, -1.0), 1.0))
    """

    plane: Plane
    axes: tuple[Tensor, ...]
    values: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    unit: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = tuple(len(axis) for axis in self.axes)
        if len(self.axes) != self.plane.count or any(axis.ndim != 1 for axis in self.axes):
            raise InputError(f"expected an axis (n,) for each of {self.plane.count} directions, got {len(self.axes)}")
        for name, array in {"loss": self.values, **self.metrics}.items():
            if tuple(array.shape) != shape:
                raise InputError(f"expected '{name}' of shape {shape} on this grid, got {tuple(array.shape)}")

    # ------------------------------------------------------------------ the grid
    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each direction."""
        return tuple(self.values.shape)

    @property
    def window(self) -> Window:
        """Lowest and highest coordinate along each direction."""
        return tuple((float(axis[0]), float(axis[-1])) for axis in self.axes)

    @property
    def coordinates(self) -> Tensor:
        """Of every grid point, ``(n_1, ..., n_k, k)``."""
        return grid_coordinates(self.axes)

    @property
    def rows(self) -> AffineRows:
        """Weights at every grid point, made as they are needed, ``(n_1, ..., n_k, d)``."""
        return self.plane.rows(self.coordinates)

    @property
    def steps(self) -> tuple[float, ...]:
        """Distance of neighbouring points along each direction, in weight space."""
        lengths = self.plane.lengths.tolist()
        return tuple(float(axis[1] - axis[0]) * size for axis, size in zip(self.axes, lengths, strict=True))

    @property
    def scale(self) -> tuple[float, ...]:
        """Length of one unit of each axis in units of |w|, the length of the weights at the origin.

        1 where the origin is at zero weights: lengths are then absolute.
        """
        return tuple((self.plane.lengths / (self.plane.weight_norm or 1.0)).tolist())

    # ------------------------------------------------------------------ what is on it
    @property
    def finite(self) -> Tensor:
        """Where the loss is finite, ``(n_1, ..., n_k)``."""
        return self.values.isfinite()

    @property
    def nonfinite(self) -> int:
        """Number of points whose loss is NaN or infinite."""
        return int((~self.finite).sum())

    @property
    def lowest(self) -> tuple[tuple[float, ...], float]:
        """Coordinates and value of the lowest finite point.

        Raises:
            InputError: no point is finite.
        """
        return self._extreme(self.values.where(self.finite, torch.inf).argmin())

    @property
    def highest(self) -> tuple[tuple[float, ...], float]:
        """Coordinates and value of the highest finite point.

        Raises:
            InputError: no point is finite.
        """
        return self._extreme(self.values.where(self.finite, -torch.inf).argmax())

    def _extreme(self, flat: Tensor) -> tuple[tuple[float, ...], float]:
        if not bool(self.finite.any()):
            raise InputError("expected a surface with finite values, got NaN or infinity everywhere")
        place = torch.unravel_index(flat, self.values.shape)
        coordinates = tuple(float(axis[i]) for axis, i in zip(self.axes, place, strict=True))
        return coordinates, float(self.values.reshape(-1)[flat])

    def named(self, name: str) -> Tensor:
        """The array called ``"loss"`` or by the name of a metric.

        Raises:
            InputError: there is none.
        """
        every = {"loss": self.values, **self.metrics}
        if name not in every:
            raise InputError(f"expected one of {', '.join(every)} on this surface, got '{name}'")
        return every[name]

    # ------------------------------------------------------------------ files
    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which surfaces are stored."""
        return {
            **vars(self),
            "plane": self.plane.to_tree(),
            "metrics": dict(self.metrics),
            "details": dict(self.details),
        }

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Surface:
        """Rebuild a surface from :meth:`to_tree`."""
        return cls(**{**tree, "plane": Plane.from_tree(tree["plane"])})

    def save(self, path: str | Path) -> None:
        """Store the surface as ``PATH.json`` with its tensors beside it.

        Raises:
            StorageError: the disk refuses.
        """
        save_tree(_json_file(path), self.to_tree())

    @classmethod
    def load(cls, path: str | Path) -> Surface:
        """Read a surface written by :meth:`save`.

        Raises:
            StorageError: the file is missing or damaged.
        """
        return cls.from_tree(load_tree(_json_file(path)))


def _json_file(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".json" else path.with_name(f"{path.name}.json")
