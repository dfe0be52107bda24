"""HessianAt: many Hessian products at the same weights, with the graph of the gradient kept between them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lossatlas.landscape.network.hessian import HVP_METHODS, difference_product, refuse_hidden
from lossatlas.landscape.network.kept_graphs import ProductsAt, RowLoss
from lossatlas.landscape.network.program import Program
from lossatlas.landscape.network.sources import Source, map_tensors

__all__ = ["HessianAt", "foretell_bytes", "graph_bytes"]

# Samples of the two batches from which the memory of all is foretold.
_PROBES = (8, 16)


@dataclass(frozen=True)
class _Graph:
    """The gradient over one batch, as a function autograd can differentiate again."""

    leaves: tuple[Tensor, ...]
    slopes: tuple[Tensor | None, ...]


class HessianAt(ProductsAt[_Graph]):
    """Hessians at fixed rows; see :class:`ProductsAt`."""

    methods: ClassVar[tuple[str, ...]] = HVP_METHODS

    def _graphs(self, row: int) -> Iterator[_Graph]:
        loss = self._losses[row]
        for batch in loss.batches():
            graph = _graph_of(self._program, loss.row, loss.buffers, batch)
            if graph is not None:
                yield graph

    def _parts(self, graph: _Graph, vectors: tuple[Tensor, ...], *, keep: bool) -> Sequence[Tensor | None]:
        pairs = [(g, u) for g, u in zip(graph.slopes, vectors, strict=True) if g is not None]
        slopes, along = zip(*pairs, strict=True)
        return torch.autograd.grad(slopes, graph.leaves, along, retain_graph=keep, allow_unused=True)

    def _by_differences(self, row: int, v: Tensor) -> Tensor:
        loss = self._losses[row]
        return difference_product(loss.gradient, loss.row, v)


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
