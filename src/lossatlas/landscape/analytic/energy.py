"""Energy: what every closed-form landscape shares, so that each one is only its formula."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NoReturn, Self, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.hardware import resolve_device
from lossatlas.landscape.analytic.critical import CriticalPoint, Pass
from lossatlas.landscape.contract import Rows, check_rows, row_chunks

__all__ = ["Bounds", "Device", "Energy", "check_count"]

Bounds: TypeAlias = tuple[tuple[float, float], tuple[float, float]]
"""A plotting window, ``((x_low, x_high), (y_low, y_high))``."""

Device: TypeAlias = str | torch.device | None
"""Where tensors live; None is the CPU."""

# Numbers held per chunk of rows; temporaries are a small multiple of this (tens of megabytes).
_CHUNK_NUMBERS = 1 << 20


def check_count(value: object, what: str, least: int = 1) -> int:
    """Return ``value`` if it is an integer of at least ``least``.

    Raises:
        InputError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"expected {what} as an integer of at least {least}, got {value!r}")
    return value


class Energy(ABC):
    """A landscape given by a formula, E: (d,) -> ().

    A subclass says only :meth:`_energy`, for a block of rows and differentiable by autograd; it may override
    :meth:`_energy_and_grad` and :meth:`_hessian_product` where a closed form is cheaper.

    Args:
        dim: number of coordinates d.
        name: name in messages and tables.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.
        constants: float64 tensors of the formula; :meth:`_constant` gives them in the landscape's own type.

    Raises:
        InputError: an argument that cannot be.
    """

    spec: None = None
    samples: None = None

    def __init__(
        self,
        dim: int,
        *,
        name: str,
        dtype: torch.dtype = torch.float64,
        device: Device = None,
        constants: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._dim = check_count(dim, "dim")
        self.name = name
        # Masters stay in float64 so that going to float32 and back loses nothing.
        self._masters = dict(constants or {})
        self._known: tuple[CriticalPoint, ...] = ()
        self._known_passes: tuple[tuple[str, str, str], ...] = ()
        self._ends: tuple[Tensor, Tensor] | None = None
        self._bounds: Bounds | None = None
        self._place(dtype, resolve_device(device))

    # ------------------------------------------------------------------ what it is
    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return self._dim

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of rows, values and gradients."""
        return self._dtype

    @property
    def device(self) -> torch.device:
        """Where rows must be."""
        return self._device

    @property
    def minima(self) -> tuple[CriticalPoint, ...]:
        """Known minima, deepest first; coordinates are copies in this landscape's type."""
        return tuple(point for point in self._critical_points() if point.index == 0)

    @property
    def saddles(self) -> tuple[CriticalPoint, ...]:
        """Known critical points of index 1 or more, lowest first."""
        return tuple(point for point in self._critical_points() if point.index > 0)

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Exactly known passes; the first one separates :attr:`ends`."""
        points = {point.name: point for point in self._critical_points()}
        return tuple(
            Pass(points[start], points[end], points[saddle].value, points[saddle])
            for start, end, saddle in self._known_passes
        )

    @property
    def bounds(self) -> Bounds | None:
        """A window that shows what matters of a two-dimensional energy; None in other dimensions."""
        return self._bounds

    @property
    def ends(self) -> tuple[Tensor, Tensor] | None:
        """Where a path starts and ends by default, ``(d,), (d,)``."""
        if self._ends is None:
            return None
        start, end = (x.to(dtype=self.dtype, device=self.device, copy=True) for x in self._ends)
        return start, end

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, dim={self.dim}, dtype={self.dtype}, device='{self.device}')"

    # ------------------------------------------------------------------ evaluation
    def value(self, x: Rows) -> Tensor:
        """Energy of each row, ``(*b, d) -> (*b,)``.

        Raises:
            InputError: rows of the wrong type, length, dtype or device.
        """
        check_rows(x, self)
        values = torch.empty(x.shape[:-1].numel(), dtype=self.dtype, device=self.device)
        with torch.no_grad():
            for where, rows in row_chunks(x, self._row_chunk):
                values[where] = self._energy(rows.detach())
        return values.reshape(x.shape[:-1])

    def value_and_grad(self, x: Rows) -> tuple[Tensor, Tensor]:
        """Energy and gradient of each row, ``(*b, d) -> (*b,), (*b, d)``.

        Raises:
            InputError: rows of the wrong type, length, dtype or device.
        """
        check_rows(x, self)
        total = x.shape[:-1].numel()
        values = torch.empty(total, dtype=self.dtype, device=self.device)
        grads = torch.empty(total, self.dim, dtype=self.dtype, device=self.device)
        with torch.no_grad():
            for where, rows in row_chunks(x, self._row_chunk):
                values[where], grads[where] = self._energy_and_grad(rows.detach())
        return values.reshape(x.shape[:-1]), grads.reshape(x.shape)

    def hvp(self, x: Rows, v: Tensor) -> Tensor:
        """Hessian at each row times a vector, ``(*b, d), (*b, d) -> (*b, d)``; leading axes broadcast.

        Raises:
            InputError: rows or vectors of the wrong type, length, dtype or device, or batches that do not broadcast.
        """
        check_rows(x, self)
        check_rows(v, self)
        points = x if isinstance(x, Tensor) else x.dense()
        try:
            points, vectors = torch.broadcast_tensors(points, v)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise InputError(
                f"expected vectors that fit rows of shape {tuple(x.shape)}, got {tuple(v.shape)}: "
                "leading axes must broadcast"
            ) from error
        flat = vectors.reshape(-1, self.dim).detach()
        product = torch.empty_like(flat)
        with torch.no_grad():
            for where, rows in row_chunks(points, self._row_chunk):
                product[where] = self._hessian_product(rows.detach(), flat[where])
        return product.reshape(vectors.shape)

    def on(self, batch: Tensor) -> NoReturn:
        """Refuse: an energy averages over no samples.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"expected a landscape with samples to restrict, got the energy '{self.name}', which has none: "
            "use it without .on(...)"
        )

    def to(self, *, dtype: torch.dtype | None = None, device: Device = None) -> Self:
        """Return the same energy in another floating type or on another device.

        Raises:
            InputError: not a floating type, or no such device.
        """
        other = copy.copy(self)
        other._place(self.dtype if dtype is None else dtype, self.device if device is None else resolve_device(device))
        return other

    # ------------------------------------------------------------------ for subclasses
    @abstractmethod
    def _energy(self, x: Tensor) -> Tensor:
        """Energy of a block of rows, ``(n, d) -> (n,)``, each from its own row alone."""

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            values = self._energy(leaf)
            (grads,) = torch.autograd.grad(values.sum(), leaf)
        return values.detach(), grads

    def _hessian_product(self, x: Tensor, v: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            (grads,) = torch.autograd.grad(self._energy(leaf).sum(), leaf, create_graph=True)
            if not grads.requires_grad:  # a linear energy has no curvature
                return torch.zeros_like(v)
            (product,) = torch.autograd.grad((grads * v).sum(), leaf, materialize_grads=True)
        return product

    def _constant(self, name: str) -> Tensor:
        return self._constants[name]

    def _know(
        self,
        points: Sequence[CriticalPoint],
        passes: Sequence[tuple[str, str, str]] = (),
        *,
        ends: tuple[Tensor, Tensor] | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        """Record critical points, passes as (start, end, saddle) by name, default ends and a window."""
        self._known, self._known_passes = tuple(sorted(points, key=lambda point: point.value)), tuple(passes)
        self._ends, self._bounds = ends, bounds

    def _place(self, dtype: torch.dtype, device: torch.device) -> None:
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise InputError(f"expected a floating dtype such as torch.float64, got {dtype}")
        self._dtype, self._device = dtype, device
        self._constants = {k: master.to(dtype=dtype, device=device) for k, master in self._masters.items()}

    def _critical_points(self) -> tuple[CriticalPoint, ...]:
        return tuple(point.to(dtype=self.dtype, device=self.device) for point in self._known)

    @property
    def _row_chunk(self) -> int:
        return max(1, _CHUNK_NUMBERS // self.dim)
