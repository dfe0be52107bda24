"""HessianAt: many Hessian products at the same weights, with the graph of the gradient kept between them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import preserved_random_state
from lossatlas.landscape.network.hessian import (
    HVP_METHODS,
    difference_product,
    plain_kernels,
    refuse_hidden,
)
from lossatlas.landscape.network.program import Program
from lossatlas.landscape.network.sources import Source, map_tensors

__all__ = ["HessianAt", "RowLoss", "foretell_bytes", "graph_bytes"]

# Samples of the two batches from which the memory of all is foretold.
_PROBES = (8, 16)


@dataclass(frozen=True)
class RowLoss:
    """The summed loss of one row.

    Args:
        row: ``(d,)``, the weights.
        buffers: the row's buffers.
        batches: returns its data, once per pass.
        gradient: gradient of the summed loss at any row, ``(d,) -> (d,)``.
    """

    row: Tensor
    buffers: Mapping[str, Tensor]
    batches: Callable[[], Iterator[Any]]
    gradient: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Graph:
    """The gradient over one batch, as a function autograd can differentiate again."""

    leaves: tuple[Tensor, ...]
    slopes: tuple[Tensor | None, ...]


class HessianAt:
    """Hessians at fixed rows.

    A product by a double backward pass computes loss and gradient, which do not depend on the vector, and only then
    differentiates again. Here the first part is kept, which halves the cost of every product after the first.

    Args:
        program: the model and loss.
        losses: the rows.
        divide: what the summed loss is divided by.
        keep: for how many rows the graph may be kept; the others compute it for every product.
        differences: use central differences of the gradient alone.

    Attributes:
        method: how the last product was computed; None before the first.
    """

    def __init__(
        self, program: Program, losses: list[RowLoss], *, divide: int, keep: int, differences: bool = False
    ) -> None:
        self._program, self._losses, self._divide, self._keep = program, losses, divide, keep
        self._kept: dict[int, list[_Graph]] = {}
        # How far down the list of methods this model forces us; what fails for one row fails for all.
        self._level = len(HVP_METHODS) - 1 if differences else 0
        self.method: str | None = None

    def multiply(self, v: Tensor, where: Tensor) -> Tensor:
        """Hessians times vectors, ``(k, d) -> (k, d)``; vector i meets the Hessian at row ``where[i]``, ``(k,)``."""
        product = torch.empty_like(v)
        with preserved_random_state(v.device):
            for i, row in enumerate(where.tolist()):
                product[i] = self._one(row, v[i])
        return product / self._divide

    def _one(self, row: int, v: Tensor) -> Tensor:
        while self._level < len(HVP_METHODS) - 1:
            kernels: AbstractContextManager[None] = nullcontext() if self._level == 0 else plain_kernels()
            try:
                with kernels:
                    found = self._by_graph(row, v)
                self.method = HVP_METHODS[self._level]
                return found
            except InputError:
                raise
            except torch.OutOfMemoryError:
                if not self._kept:
                    raise
                self._kept.clear()
                self._keep = 0
            except (RuntimeError, NotImplementedError):  # a kernel without a second derivative
                self._kept.clear()
                self._level += 1
        self.method = HVP_METHODS[-1]
        loss = self._losses[row]
        return difference_product(loss.gradient, loss.row, v)

    def _by_graph(self, row: int, v: Tensor) -> Tensor:
        spec = self._program.spec
        vectors = tuple(spec.unflatten(v).values())
        product = torch.zeros_like(v)
        targets = tuple(spec.unflatten(product).values())
        keep = row in self._kept or len(self._kept) < self._keep
        fresh: list[_Graph] = []
        for graph in self._kept.get(row) or self._graphs(row):
            pairs = [(g, u) for g, u in zip(graph.slopes, vectors, strict=True) if g is not None]
            slopes, along = zip(*pairs, strict=True)
            parts = torch.autograd.grad(slopes, graph.leaves, along, retain_graph=keep, allow_unused=True)
            for target, part in zip(targets, parts, strict=True):
                if part is not None:
                    target.add_(part)
            if keep:
                fresh.append(graph)
        if keep:
            self._kept[row] = fresh
        return product

    def _graphs(self, row: int) -> Iterator[_Graph]:
        loss = self._losses[row]
        for batch in loss.batches():
            graph = _graph_of(self._program, loss.row, loss.buffers, batch)
            if graph is not None:
                yield graph


def _graph_of(program: Program, row: Tensor, buffers: Mapping[str, Tensor], batch: Any) -> _Graph | None:
    leaves = {name: view.detach().requires_grad_() for name, view in program.spec.unflatten(row).items()}
    ordered = tuple(leaves.values())
    with torch.enable_grad():
        value = program.loss_sum(leaves, buffers, batch)
        if not value.requires_grad:  # does not depend on the parameters
            return None
        slopes = torch.autograd.grad(value, list(ordered), create_graph=True, allow_unused=True)
    refuse_hidden(slopes)
    return _Graph(ordered, slopes)


def _held_bytes(build: Callable[[Any], object], loss: RowLoss, batch: Any) -> int:
    """Bytes that the graph over a batch holds besides the batch itself and the weights."""
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        graph = build(batch)
    del graph
    given: list[Tensor] = [loss.row]
    map_tensors(batch, lambda tensor: given.append(tensor) or tensor)  # type: ignore[func-returns-value]
    for tensor in given:
        held.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(held.values())


def graph_bytes(build: Callable[[Any], object], loss: RowLoss, source: Source, samples: int) -> int:
    """Bytes that a graph over many samples would hold, by graphs over two small batches.

    Args:
        build: makes the graph over a batch.
        loss: one row.
        source: where to take the small batches.
        samples: how many the forecast is for.
    """
    few, more = (min(size, source.samples) for size in _PROBES)
    low, high = (
        _held_bytes(build, loss, source.take(torch.arange(size, device=loss.row.device))) for size in (few, more)
    )
    # What does not grow with the batch, such as products of weights, is there once.
    each = (high - low) / (more - few) if more > few else float(high)
    return int(max(0.0, low - each * few) + each * samples)


def foretell_bytes(program: Program, loss: RowLoss, source: Source, samples: int) -> int:
    """Bytes that the graph of the gradient over many samples would hold, by two small batches.

    Args:
        program: the model and loss.
        loss: one row.
        source: where to take the small batches.
        samples: how many the forecast is for.

    Returns:
        A number of bytes; more than any machine has where the gradient has no graph.
    """
    try:
        return graph_bytes(lambda batch: _graph_of(program, loss.row, loss.buffers, batch), loss, source, samples)
    except (RuntimeError, NotImplementedError):  # a kernel without a second derivative
        return sys.maxsize
