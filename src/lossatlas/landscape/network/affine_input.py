"""Layers that see the data itself, for many weights on a plane: a few products for all of them.

A layer is linear in its weights: x (W + Σ c_k D_k) = x W + Σ c_k x D_k. Where rows are given as
``base + coefficients @ directions`` and the layer's input is the data, the same for all rows, the k + 1 products are
made once and combined for each row. On a surface of thousands of points the first layer, which is the widest of many
networks, then costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lossatlas.landscape.contract import AffineRows
from lossatlas.landscape.network.sources import map_tensors

__all__ = ["DataLayers", "Lines", "data_layers"]

_LAYERS = {F.linear, F.conv1d, F.conv2d, F.conv3d}
# Below so many rows for each product the products cost more than they save.
_WORTH = 2
# Combining reads k + 1 numbers from memory for each output. Below so many weights per output and number read, as in
# convolutions of small kernels over few channels, the layer itself is faster.
FAN_IN = 32


@dataclass(frozen=True, eq=False)
class Lines:
    """Rows with the plane that they lie on.

    Args:
        rows: ``(r, d)``, contiguous.
        weights: ``(r, k + 1)``: 1 and the coefficients of each row.
        parts: ``(k + 1, d)``: base and directions; ``rows = weights @ parts``.
    """

    rows: Tensor
    weights: Tensor
    parts: Tensor

    @classmethod
    def of(cls, x: AffineRows, where: slice, rows: Tensor) -> Lines | None:
        """The plane of some lazy rows that were made; None where it would not pay."""
        coefficients = x.coefficients.reshape(-1, x.coefficients.shape[-1])[where]
        if len(rows) < _WORTH * (coefficients.shape[1] + 1) or not rows.is_contiguous():
            return None
        weights = torch.cat([torch.ones_like(coefficients[:, :1]), coefficients], dim=1)
        return cls(rows, weights, torch.cat([x.base[None], x.directions]))

    def find(self, tensor: Tensor) -> tuple[int, Tensor] | None:
        """Which row a tensor is a part of, and that part of base and directions, ``-> row, (k + 1, *shape)``."""
        place = self._place(tensor)
        if place is None or not tensor.is_contiguous():
            return None
        row, column = place
        return row, self._part(column, tensor)

    def pays(self, weight: Tensor) -> bool:
        """Whether a layer with these weights ``(out, *fan_in)`` is slower than combining products."""
        return weight.ndim > 1 and weight[0].numel() >= FAN_IN * len(self.parts)

    def find_all(self, stacked: Tensor) -> Tensor | None:
        """The part of base and directions that all rows were cut to, ``(r, *shape) -> (k + 1, *shape)``."""
        rows, width = self.rows.shape
        place = self._place(stacked[0]) if stacked.ndim and len(stacked) == rows else None
        if place is None or place[0] != 0 or stacked.stride(0) != width or not stacked[0].is_contiguous():
            return None
        return self._part(place[1], stacked[0])

    def _part(self, column: int, like: Tensor) -> Tensor:
        return self.parts[:, column : column + like.numel()].reshape(-1, *like.shape)

    def _place(self, tensor: Tensor) -> tuple[int, int] | None:
        if tensor.dtype != self.rows.dtype or tensor.device != self.rows.device:
            return None
        offset = tensor.data_ptr() - self.rows.data_ptr()
        if not 0 <= offset < self.rows.numel() * self.rows.itemsize:
            return None
        row, column = divmod(offset // self.rows.itemsize, self.rows.shape[1])
        return (row, column) if column + tensor.numel() <= self.rows.shape[1] else None


class DataLayers(TorchFunctionMode):
    """Within this context linear layers and convolutions of the data combine products made once.

    Only where the input is a view of the data as it was at the beginning, and weight and bias are parts of one row.

    Args:
        lines: the rows in work.
        batch: the data.
    """

    def __init__(self, lines: Lines, batch: Any) -> None:
        super().__init__()
        self._lines = lines
        self._data: dict[int, tuple[int, int]] = {}
        self._products: dict[Any, Tensor] = {}
        map_tensors(batch, self._keep)

    def _keep(self, leaf: Tensor) -> Tensor:
        if leaf.is_floating_point() and leaf.numel():
            self._data[leaf.data_ptr()] = (leaf.numel(), leaf._version)
        return leaf

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace calls of layers on the data; every other function runs unchanged."""
        if func in _LAYERS and not kwargs and len(args) >= 2 and not torch.is_grad_enabled():
            found = self._combined(func, *args)
            if found is not None:
                return found
        return func(*args, **(kwargs or {}))

    def _combined(
        self, layer: Callable[..., Tensor], inputs: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any
    ) -> Tensor | None:
        if self._data.get(inputs.data_ptr()) != (inputs.numel(), inputs._version) or not self._lines.pays(weight):
            return None
        own = self._lines.find(weight)
        shift = None if bias is None else self._lines.find(bias)
        if own is None or (bias is not None and (shift is None or shift[0] != own[0])):
            return None
        row, kernels = own
        key = (layer, inputs.data_ptr(), inputs.shape, inputs.stride(), weight.shape, rest, self._column(weight))
        if key not in self._products:
            shifts = [None] * len(kernels) if shift is None else shift[1]
            made = [layer(inputs, kernel, each, *rest) for kernel, each in zip(kernels, shifts, strict=True)]
            self._products[key] = torch.stack(made)
        products = self._products[key]
        return (self._lines.weights[row] @ products.flatten(1)).reshape(products.shape[1:])

    def _column(self, weight: Tensor) -> int:
        return (weight.data_ptr() - self._lines.rows.data_ptr()) // weight.itemsize % self._lines.rows.shape[1]


def data_layers(lines: Lines | None, batch: Any) -> AbstractContextManager[Any]:
    """:class:`DataLayers` where there is something to gain."""
    return nullcontext() if lines is None else DataLayers(lines, batch)
