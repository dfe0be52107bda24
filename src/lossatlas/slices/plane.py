"""Plane: an origin and one to three directions in weight space, and where points lie beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree
from lossatlas.core.linalg import row_norm
from lossatlas.core.params import ParamSpec
from lossatlas.landscape.contract import AffineRows

__all__ = ["MOST_DIRECTIONS", "Plane", "Projection", "Window"]

MOST_DIRECTIONS = 3
"""What can still be shown."""

Window: TypeAlias = tuple[tuple[float, float], ...]
"""Lowest and highest coordinate along each direction."""

# Directions count as dependent where the smallest eigenvalue of their normalised Gram matrix is below this.
_DEPENDENT = 1e-12
# Numbers converted to float64 at a time.
_BLOCK = 1 << 24


@dataclass(frozen=True, eq=False)
class Projection:
    """Points seen from a plane.

    Args:
        coordinates: ``(*b, k)``, of the nearest point of the plane, in units of the directions; float64.
        residuals: ``(*b,)``, distance from the plane.
        distances: ``(*b,)``, distance from the plane's origin.
    """

    coordinates: Tensor
    residuals: Tensor
    distances: Tensor

    @property
    def outside(self) -> Tensor:
        """Part of the distance from the origin that the plane does not show, ``(*b,)``, from 0 (in it) to 1."""
        return (self.residuals / self.distances).where(self.distances > 0, torch.zeros_like(self.residuals))

    def to_tree(self) -> Tree:
        """Return a dict of tensors, the form in which projections are stored."""
        return {"coordinates": self.coordinates, "residuals": self.residuals, "distances": self.distances}

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Projection:
        """Rebuild a projection from :meth:`to_tree`."""
        return cls(**tree)


@dataclass(frozen=True, eq=False)
class Plane:
    """θ + Σ c_k d_k: a line, a plane or a volume in the space of weights.

    Args:
        origin: θ, ``(d,)``.
        directions: ``(k, d)``, one to three, linearly independent; not necessarily orthogonal or of unit length.
        kind: how the directions were made, such as ``"filter"``.
        labels: what each axis is called.
        window: range of coordinates worth seeing along each direction; None: not known.
        spec: names and shapes of the parameters; None: not a network.
        details: more about the directions, such as the part of the variance that each explains.

    Raises:
        InputError: shapes, types or devices do not fit, a number is not finite, or directions are dependent.

    Example:
        >>> plane = Plane(torch.zeros(3), torch.eye(3)[:2])
        >>> seen = plane.project(torch.tensor([[3.0, 4.0, 12.0]]))
        >>> seen.coordinates.tolist(), seen.residuals.tolist(), seen.distances.tolist()
        ([[3.0, 4.0]], [12.0], [13.0])
    """

    origin: Tensor
    directions: Tensor
    kind: str = "given"
    labels: tuple[str, ...] = ()
    window: Window | None = None
    spec: ParamSpec | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.origin.ndim != 1 or self.directions.ndim != 2 or self.directions.shape[-1] != len(self.origin):
            raise InputError(
                f"expected an origin (d,) and directions (k, d), got {tuple(self.origin.shape)} and "
                f"{tuple(self.directions.shape)}: one row per direction, as long as the weights"
            )
        count = len(self.directions)
        if not 1 <= count <= MOST_DIRECTIONS:
            raise InputError(f"expected one to {MOST_DIRECTIONS} directions, got {count}: more cannot be shown")
        if self.origin.dtype != self.directions.dtype or self.origin.device != self.directions.device:
            raise InputError(
                f"expected origin and directions of one type on one device, got {self.origin.dtype} on "
                f"{self.origin.device} and {self.directions.dtype} on {self.directions.device}: use .to()"
            )
        if not bool(self.origin.isfinite().all() and self.directions.isfinite().all()):
            raise InputError("expected finite weights and directions, got NaN or infinity")
        lengths = self.lengths
        if not bool((lengths > 0).all()):
            raise InputError(
                f"expected directions of some length, got lengths {[float(f'{x:.3g}') for x in lengths.tolist()]}: "
                "directions that follow the sizes of weights vanish where all of those are zero"
            )
        cosines = self.gram / (lengths[:, None] * lengths)
        if float(torch.linalg.eigvalsh(cosines)[0]) < _DEPENDENT:
            raise InputError("expected independent directions, got some that are combinations of others")
        if (self.labels and len(self.labels) != count) or (self.window is not None and len(self.window) != count):
            raise InputError(f"expected a label and a range for each of {count} directions, or none at all")

    # ------------------------------------------------------------------ what it is
    @property
    def dim(self) -> int:
        """Number of coordinates d of the space."""
        return len(self.origin)

    @property
    def count(self) -> int:
        """Number of directions k."""
        return len(self.directions)

    @property
    def names(self) -> tuple[str, ...]:
        """What each axis is called, ``"direction 1"`` and so on where it has no label."""
        return self.labels or tuple(f"direction {i + 1}" for i in range(self.count))

    @property
    def lengths(self) -> Tensor:
        """|d_k|, ``(k,)`` in float64."""
        return torch.stack([row_norm(row.double()) for row in self.directions]).cpu()

    @property
    def weight_norm(self) -> float:
        """|θ|, the unit of scale bars; 0 at the origin of the space."""
        return float(row_norm(self.origin.double()))

    @property
    def gram(self) -> Tensor:
        """⟨d_i, d_j⟩, ``(k, k)`` in float64."""
        rows = [row.double() for row in self.directions]
        return torch.stack([torch.stack([a @ b for b in rows]) for a in rows]).cpu()

    # ------------------------------------------------------------------ points of it and beside it
    def rows(self, coordinates: Tensor) -> AffineRows:
        """Points of the plane, made as they are needed, ``(*b, k) -> (*b, d)``."""
        return AffineRows(self.origin, coordinates.to(self.directions), self.directions)

    def project(self, rows: Tensor) -> Projection:
        """The nearest point of the plane to each row and how far that is, by least squares in float64.

        Args:
            rows: ``(*b, d)``.

        Returns:
            Coordinates, residuals and distances, on the CPU.

        Raises:
            InputError: rows of another length.
        """
        if rows.ndim == 0 or rows.shape[-1] != self.dim:
            raise InputError(f"expected rows of {self.dim} coordinates to project, got shape {tuple(rows.shape)}")
        flat = rows.detach().reshape(-1, self.dim)
        lengths = self.lengths.to(self.origin.device)
        unit = self.directions.double() / lengths[:, None]
        factor = torch.linalg.cholesky(unit @ unit.T)
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for part in torch.split(flat, max(1, _BLOCK // self.dim)):
            offset = part.to(self.origin.device, torch.float64) - self.origin.double()
            along = torch.cholesky_solve(unit @ offset.T, factor).T
            found.append((along / lengths, row_norm(offset - along @ unit), row_norm(offset)))
        coordinates, residuals, distances = (torch.cat(parts).cpu() for parts in zip(*found, strict=True))
        shape = rows.shape[:-1]
        return Projection(coordinates.reshape(*shape, self.count), residuals.reshape(shape), distances.reshape(shape))

    def to(self, *, dtype: torch.dtype | None = None, device: str | torch.device | None = None) -> Plane:
        """The same plane in another floating type or on another device."""
        return Plane(**{
            **vars(self),
            "origin": self.origin.to(device=device, dtype=dtype),
            "directions": self.directions.to(device=device, dtype=dtype),
        })  # fmt: skip

    # ------------------------------------------------------------------ files
    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which planes are stored."""
        spec = None if self.spec is None else self.spec.to_json()
        return {**vars(self), "spec": spec, "details": dict(self.details)}

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Plane:
        """Rebuild a plane from :meth:`to_tree`."""
        spec = None if tree["spec"] is None else ParamSpec.from_json(tree["spec"])
        return cls(**{**tree, "spec": spec})


def covering(coordinates: Tensor, margin: float = 0.25) -> Window:
    """A range that shows all of some points, ``(n, k) -> ((low, high), ...)``, with room on all sides.

    Args:
        coordinates: of the points; the origin is shown too.
        margin: room on each side, in units of the widest range.

    Example:
        >>> covering(torch.tensor([[1.0, 0.0], [4.0, 2.0]]))
        ((-1.0, 5.0), (-1.0, 3.0))
    """
    every = torch.cat(
        [
            coordinates.double().reshape(-1, coordinates.shape[-1]),
            coordinates.new_zeros(1, coordinates.shape[-1]).double(),
        ]
    )
    low, high = every.amin(0), every.amax(0)
    room = margin * float((high - low).max())
    if not (math.isfinite(room) and room > 0):
        raise InputError("expected points that differ from the plane's origin to show, got none")
    return tuple((float(a) - room, float(b) + room) for a, b in zip(low, high, strict=True))
