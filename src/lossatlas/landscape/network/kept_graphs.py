"""ProductsAt: many products with a matrix of derivatives at the same weights, their graphs kept between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import steady
from lossatlas.landscape.network.hessian import plain_kernels
from lossatlas.landscape.network.program import Program

__all__ = ["ProductsAt", "RowLoss"]

GraphT = TypeVar("GraphT")


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


class ProductsAt(ABC, Generic[GraphT]):
    """Products with matrices at fixed rows.

    The first part of a product, up to a graph that can be differentiated again, does not depend on the vector. It is
    kept, which halves the cost of every product after the first. A method that a model does not allow gives way to the
    next one, for all rows; where memory runs out, graphs are given up first.

    Args:
        program: the model and loss.
        losses: the rows.
        divide: what the sum over samples is divided by.
        keep: for how many rows the graphs may be kept; the others compute them for every product.
        differences: use the last method, central differences, alone.

    Attributes:
        methods: what a product may be computed by, in the order they are tried; the second with plain kernels.
        method: how the last product was computed; None before the first.
    """

    methods: ClassVar[tuple[str, ...]]

    def __init__(
        self, program: Program, losses: list[RowLoss], *, divide: int, keep: int, differences: bool = False
    ) -> None:
        self._program, self._losses, self._divide, self._keep = program, losses, divide, keep
        self._kept: dict[int, list[GraphT]] = {}
        # How far down the list of methods this model forces us; what fails for one row fails for all.
        self._level = len(self.methods) - 1 if differences else 0
        self.method: str | None = None

    def multiply(self, v: Tensor, where: Tensor) -> Tensor:
        """Matrices times vectors, ``(k, d) -> (k, d)``; vector i meets the matrix at row ``where[i]``, ``(k,)``."""
        product = torch.empty_like(v)
        with steady(v.device):
            for i, row in enumerate(where.tolist()):
                product[i] = self._one(row, v[i])
        return product / self._divide

    @abstractmethod
    def _graphs(self, row: int) -> Iterator[GraphT]:
        """The graphs of a row, batch by batch."""

    @abstractmethod
    def _parts(self, graph: GraphT, vectors: tuple[Tensor, ...], *, keep: bool) -> Sequence[Tensor | None]:
        """What one graph adds to a product, parameter by parameter; it is used again if it is kept."""

    @abstractmethod
    def _by_differences(self, row: int, v: Tensor) -> Tensor:
        """The product by the last method."""

    @property
    def _last(self) -> bool:
        return self._level == len(self.methods) - 1

    def _one(self, row: int, v: Tensor) -> Tensor:
        while True:
            kernels: AbstractContextManager[None] = plain_kernels() if self._level == 1 else nullcontext()
            try:
                with kernels:
                    found = self._by_differences(row, v) if self._last else self._by_graphs(row, v)
                self.method = self.methods[self._level]
                return found
            except InputError:
                raise
            except torch.OutOfMemoryError:
                if not self._kept:
                    raise
                self._kept.clear()
                self._keep = 0
            except (RuntimeError, NotImplementedError):  # a kernel without a second derivative
                if self._last:
                    raise
                self._kept.clear()
                self._level += 1

    def _by_graphs(self, row: int, v: Tensor) -> Tensor:
        vectors = tuple(self._program.spec.unflatten(v).values())
        keep = row in self._kept or len(self._kept) < self._keep
        fresh: list[GraphT] = []

        def used() -> Iterator[Sequence[Tensor | None]]:
            for graph in self._kept.get(row) or self._graphs(row):
                yield self._parts(graph, vectors, keep=keep)
                if keep:
                    fresh.append(graph)

        product = self._total(v, used())
        if keep:
            self._kept[row] = fresh
        return product

    def _total(self, v: Tensor, added: Iterator[Sequence[Tensor | None]]) -> Tensor:
        """The sum of what graphs add, as one vector like v."""
        product = torch.zeros_like(v)
        targets = tuple(self._program.spec.unflatten(product).values())
        for parts in added:
            for target, part in zip(targets, parts, strict=True):
                if part is not None:
                    target.add_(part)
        return product
