"""The one contract: a landscape is a scalar function of rows, and everything else works on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, Self, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec

__all__ = [
    "AffineRows",
    "HessianProducts",
    "Landscape",
    "Rows",
    "SupportsGaussNewtonAt",
    "SupportsHessianAt",
    "SupportsHvp",
    "SupportsMetrics",
    "SupportsNullSpace",
    "SupportsRefresh",
    "accept_rows",
    "check_rows",
    "row_chunks",
    "take_rows",
]


@dataclass(frozen=True)
class AffineRows:
    """Rows given lazily as ``base + coefficients @ directions``.

    A 51x51 surface of a network with 853 018 parameters is 9 GB as a tensor; as three tensors it is 20 MB,
    and the evaluator makes one chunk of rows at a time.

    Args:
        base: the origin, ``(d,)``.
        coefficients: ``(*b, k)``.
        directions: ``(k, d)``.

    Raises:
        InputError: shapes, dtypes or devices do not fit together.

    Example:
        >>> rows = AffineRows(torch.zeros(3), torch.tensor([[1.0], [2.0]]), torch.ones(1, 3))
        >>> rows.shape, rows.dense()[1]
        (torch.Size([2, 3]), tensor([2., 2., 2.]))
    """

    base: Tensor
    coefficients: Tensor
    directions: Tensor

    def __post_init__(self) -> None:
        fits = self.base.ndim == 1 and self.coefficients.ndim >= 1 and self.directions.ndim == 2
        if not fits or self.directions.shape != (self.coefficients.shape[-1], self.base.shape[0]):
            raise InputError(
                "expected base (d,), coefficients (*b, k) and directions (k, d), got "
                f"{tuple(self.base.shape)}, {tuple(self.coefficients.shape)}, {tuple(self.directions.shape)}"
            )
        if len({t.dtype for t in (self.base, self.coefficients, self.directions)}) > 1:
            raise InputError("expected base, coefficients and directions of one dtype, got several: use .to()")

    @property
    def shape(self) -> torch.Size:
        """Shape ``(*b, d)`` the rows would have."""
        return torch.Size((*self.coefficients.shape[:-1], self.base.shape[-1]))

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the rows."""
        return self.base.dtype

    @property
    def device(self) -> torch.device:
        """Device of the rows."""
        return self.base.device

    def chunk(self, start: int, stop: int) -> Tensor:
        """Make rows ``start:stop`` of the flattened batch, ``-> (stop - start, d)``."""
        flat = self.coefficients.flatten(0, -2) if self.coefficients.ndim > 1 else self.coefficients[None]
        return self.base + flat[start:stop] @ self.directions

    def dense(self) -> Tensor:
        """Make all rows at once, ``-> (*b, d)``."""
        return self.chunk(0, self.coefficients.shape[:-1].numel()).reshape(self.shape)


Rows: TypeAlias = Tensor | AffineRows
"""What a landscape is evaluated at: a tensor ``(*b, d)`` or lazy rows of that shape."""


@runtime_checkable
class Landscape(Protocol):
    """A scalar function of d numbers, evaluated for many rows at once.

    Replicas, points of a path, trial steps of a line search and grid points are all rows of ``(*b, d)``.

    Attributes:
        dim: number of coordinates d.
        dtype: floating type of rows and values; other types are refused, never converted.
        device: where rows must be.
        spec: names and shapes of a network's parameters; None for other energies.
        samples: number of training examples the loss averages over; None where there is no data.
    """

    @property
    def dim(self) -> int: ...  # noqa: D102
    @property
    def dtype(self) -> torch.dtype: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def spec(self) -> ParamSpec | None: ...  # noqa: D102
    @property
    def samples(self) -> int | None: ...  # noqa: D102

    def value(self, x: Rows) -> Tensor:
        """Evaluate each row, ``(*b, d) -> (*b,)``."""
        ...

    def value_and_grad(self, x: Rows) -> tuple[Tensor, Tensor]:
        """Evaluate each row and its gradient, ``(*b, d) -> (*b,), (*b, d)``."""
        ...

    def on(self, batch: Tensor) -> Self:
        """Restrict the average to some samples.

        Args:
            batch: integer indices, ``(B,)`` shared by all rows, or ``(*b, B)`` where each row sees its own;
                leading axes broadcast against those of the rows.

        Returns:
            A landscape of the same kind.

        Raises:
            InputError: the landscape has no samples, or an index is out of range.
        """
        ...

    def to(self, *, dtype: torch.dtype | None = None, device: str | torch.device | None = None) -> Self:
        """Return the same landscape in another floating type or on another device."""
        ...


@runtime_checkable
class SupportsHvp(Protocol):
    """Landscapes that can multiply by their Hessian."""

    def hvp(self, x: Tensor, v: Tensor) -> Tensor:
        """Hessian at each row times a vector, ``(*b, d), (*b, d) -> (*b, d)``."""
        ...


class HessianProducts(Protocol):
    """The Hessians at fixed rows.

    Attributes:
        method: how the last product was computed; None before the first.
    """

    method: str | None

    def multiply(self, v: Tensor, where: Tensor) -> Tensor:
        """Vector i times the Hessian at row ``where[i]`` of the flattened batch, ``(k, d), (k,) -> (k, d)``."""
        ...


@runtime_checkable
class SupportsHessianAt(Protocol):
    """Landscapes for which many products at the same rows are cheaper than as many calls of ``hvp``.

    Also those whose rows have data of their own, of which a product must pick the right one.
    """

    def hessian_at(self, x: Tensor, *, differences: bool = False) -> HessianProducts:
        """The Hessians at each of the rows ``(*b, d)``, or central differences of gradients in their place."""
        ...


@runtime_checkable
class SupportsGaussNewtonAt(Protocol):
    """Landscapes whose loss is a function of outputs, and these of the coordinates."""

    def gauss_newton_at(
        self, x: Tensor, middle: Literal["loss", "gradients"] = "loss", *, differences: bool = False
    ) -> HessianProducts:
        """(1/N) Σ Jᵀ M J at each of the rows ``(*b, d)``, with J the Jacobian of a sample's outputs.

        M is the Hessian of the loss by the outputs, or the outer product of its gradient.
        """
        ...


@runtime_checkable
class SupportsMetrics(Protocol):
    """Landscapes that report more than their loss."""

    def metrics(self, x: Rows) -> Mapping[str, Tensor]:
        """Other figures of merit, ``(*b, d) -> {"accuracy": (*b,), ...}``."""
        ...


@runtime_checkable
class SupportsRefresh(Protocol):
    """Landscapes whose models keep normalisation statistics."""

    def refresh(self, x: Tensor) -> Mapping[str, Tensor]:
        """Recompute normalisation statistics for each row, ``(*b, d) -> {buffer: (*b, *shape)}``."""
        ...


@runtime_checkable
class SupportsNullSpace(Protocol):
    """Landscapes with directions that never change the energy, such as rigid motions of a molecule."""

    def null_space(self, x: Tensor) -> Tensor:
        """``(d,) -> (k, d)``: orthonormal directions along which the energy does not change; k may be 0.

        At a critical point the Hessian times any of them is zero.
        """
        ...


# What a landscape may compute in.
_TYPES = (torch.float32, torch.float64)


def check_rows(x: Rows, landscape: Landscape) -> None:
    """Refuse rows that do not belong to a landscape.

    Raises:
        InputError: wrong type, length, dtype or device.
    """
    if not isinstance(x, Tensor | AffineRows):
        raise InputError(
            f"expected rows as a torch tensor of shape (*b, {landscape.dim}), got {type(x).__name__}: "
            "wrap them with torch.as_tensor(...)"
        )
    if len(x.shape) == 0 or x.shape[-1] != landscape.dim:
        raise InputError(
            f"expected rows of {landscape.dim} coordinates, got shape {tuple(x.shape)}: "
            "the last axis is the point, every other axis is a batch"
        )
    if x.dtype != landscape.dtype:
        other = f" or the landscape with landscape.to(dtype={x.dtype})" if x.dtype in _TYPES else ""
        raise InputError(
            f"expected rows of {landscape.dtype}, got {x.dtype}: convert the rows with x.to({landscape.dtype}){other}"
        )
    if x.device != landscape.device:
        raise InputError(
            f"expected rows on {landscape.device}, got {x.device}: "
            "move the rows with x.to(...) or the landscape with landscape.to(device=...)"
        )


def accept_rows(x: Tensor, landscape: Landscape) -> Tensor:
    """Check the points that a function is given and return them on the landscape's device.

    For what is called once with points that were trained or read elsewhere, such as those of an ensemble, which stay on
    the CPU. The landscapes themselves do not move rows: in a loop that would be slow and go unseen.

    Args:
        x: ``(*b, d)``, on any device.
        landscape: whose points they are.

    Returns:
        The same points, on ``landscape.device``.

    Raises:
        InputError: wrong type, length or dtype.
    """
    if isinstance(x, Tensor):
        x = x.to(landscape.device)
    check_rows(x, landscape)
    return x


def take_rows(x: Rows, where: slice) -> Tensor:
    """Make some rows of the flattened batch, ``(*b, d) -> (n, d)``, contiguous and detached.

    Args:
        x: rows, dense or lazy.
        where: which of them, with a start and a stop.
    """
    if isinstance(x, Tensor):
        # Contiguous: batch_norm's backward in eval mode reads a strided weight as if it were not (PyTorch 2.13, CPU).
        return x.reshape(-1, x.shape[-1])[where].detach().contiguous()
    return x.chunk(where.start, where.stop)


def row_chunks(x: Rows, size: int) -> Iterator[tuple[slice, Tensor]]:
    """Walk through rows ``size`` at a time, making lazy ones as they are needed.

    Args:
        x: ``(*b, d)``.
        size: rows per chunk, at least 1.

    Yields:
        The slice of the flattened batch and its rows ``(n, d)``.
    """
    total = x.shape[:-1].numel()
    for start in range(0, total, size):
        where = slice(start, min(start + size, total))
        yield where, take_rows(x, where)
