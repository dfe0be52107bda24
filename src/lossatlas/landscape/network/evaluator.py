"""The evaluator: the only code that knows about chunks, memory and strategies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.hardware import memory_budget
from lossatlas.landscape.contract import AffineRows, Rows, row_chunks, take_rows
from lossatlas.landscape.network.affine_input import Lines
from lossatlas.landscape.network.compiled import CompiledGradient
from lossatlas.landscape.network.program import Program
from lossatlas.landscape.network.sources import Batch, Source, TensorSource, batch_size
from lossatlas.landscape.network.strategies import METRIC_STRATEGIES, ROW_BY_ROW, STRATEGIES, StrategyName, Work

__all__ = ["Evaluator", "Numerics", "Slices"]


@dataclass(frozen=True)
class Numerics:
    """How rows are evaluated: everything that can change the last bits of a result.

    Args:
        full: strategy where all rows see the same data.
        mini: strategy where each row sees its own mini-batch.
        data_chunk: samples per chunk; None: the whole data set (or the loader's batches) at once.
        row_chunk: rows per batched program where all see the same data; None: as many as fit the memory that is free
            at each call.
        mini_row_chunk: the same where each row sees its own mini-batch.
        compiled: rows and samples of the gradients that are computed by a compiled program instead; None: none are.

    Raises:
        InputError: an unknown strategy, or a chunk below 1.

    Example:
        >>> Numerics(full="loop", data_chunk=512).to_json()
        {'full': 'loop', 'mini': 'loop', 'data_chunk': 512, 'row_chunk': None, 'mini_row_chunk': None}
    """

    full: StrategyName = "loop"
    mini: StrategyName = "loop"
    data_chunk: int | None = None
    row_chunk: int | None = None
    mini_row_chunk: int | None = None
    compiled: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in (self.full, self.mini):
            if name not in STRATEGIES:
                raise InputError(f"expected a strategy of {', '.join(get_args(StrategyName))}, got '{name}'")
        if self.compiled is not None:  # a list where it was read from JSON
            object.__setattr__(self, "compiled", tuple(self.compiled))
        for size in (self.data_chunk, self.row_chunk, self.mini_row_chunk, *(self.compiled or ())):
            if size is not None and size < 1:
                raise InputError(f"expected chunks of at least 1, got {size}")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object; a study stores it before its first step."""
        fields = asdict(self)
        if self.compiled is None:
            del fields["compiled"]  # results that were stored before there was such a thing keep their addresses
        else:
            fields["compiled"] = list(self.compiled)
        return fields


@dataclass(frozen=True)
class Slices:
    """What differs from row to row besides the parameters.

    Args:
        indices: ``(n, B)``, each row's own samples; None: all rows see all samples of the source.
        buffers: name to ``(n, *shape)``, each row's own buffers (refreshed normalisation statistics).
    """

    indices: Tensor | None
    buffers: Mapping[str, Tensor]

    def rows(self, where: slice) -> Slices:
        """The part belonging to some rows."""
        return Slices(
            None if self.indices is None else self.indices[where],
            {name: tensor[where] for name, tensor in self.buffers.items()},
        )


class Evaluator:
    """Sums of loss, gradient and metrics over the data for many rows.

    Args:
        program: the model and loss.
        source: the data.
        numerics: strategy and chunks.
        dtype: floating type of rows.
        device: where rows and data are.
        budget: bytes for temporaries; None: :func:`lossatlas.core.hardware.memory_budget`.
    """

    def __init__(
        self,
        program: Program,
        source: Source,
        *,
        numerics: Numerics,
        dtype: torch.dtype,
        device: torch.device,
        budget: int | None = None,
    ) -> None:
        self.program = program
        self.source = source
        self.numerics = numerics
        self.dtype = dtype
        self.device = device
        self.budget = budget
        self._saved_bytes: int | None = None
        self._compiled = CompiledGradient(program, *numerics.compiled) if numerics.compiled is not None else None

    def with_numerics(self, numerics: Numerics) -> Evaluator:
        """The same evaluator with other chunks or strategies."""
        return Evaluator(
            self.program,
            self.source,
            numerics=numerics,
            dtype=self.dtype,
            device=self.device,
            budget=self.budget,
        )

    @property
    def pass_chunk(self) -> int | None:
        """Samples per chunk of a pass over all data; None: all, or a loader's batches as they come."""
        if not self.program.needs_whole_batches:
            return self.numerics.data_chunk
        size = self.program.statistics_batch
        if size is None or not isinstance(self.source, TensorSource):
            return None
        # Batches of one size but for rounding: statistics over a short rest would be noise.
        samples = self.source.samples
        return math.ceil(samples / math.ceil(samples / size))

    def sums(self, x: Rows, slices: Slices, gradient: bool) -> tuple[Tensor, Tensor | None, int]:
        """Loss sums (and gradient sums) over the samples of each row.

        Args:
            x: ``(*b, d)``, n rows in all.
            slices: what differs from row to row.
            gradient: whether the gradient is wanted.

        Returns:
            Sums ``(n,)`` in float64, gradient sums ``(n, d)`` or None, and the number of samples.
        """
        n, d = x.shape[:-1].numel(), x.shape[-1]
        sums = torch.zeros(n, dtype=torch.float64, device=self.device)
        grads = torch.empty(n, d, dtype=self.dtype, device=self.device) if gradient else None
        per_row = slices.indices is not None
        name = self.numerics.mini if per_row else self.numerics.full
        indices, compiled = slices.indices, self._compiled_for(slices)
        if compiled is not None and indices is not None and grads is not None and isinstance(x, Tensor):
            compiled.add_to(sums, grads, x.reshape(n, d), lambda where: self.source.take(indices[where]))
            return sums, grads, compiled.samples
        count = 0
        on_plane = not (gradient or per_row)
        # One row's temporaries at a time, so rows that are there already need no limit.
        unlimited = name in ROW_BY_ROW and isinstance(x, Tensor)
        size = max(n, 1) if unlimited else min(self.row_chunk(name, gradient, slices), max(n, 1))
        # Batches outer, rows inner: one pass over the data whatever the number of rows, each chunk warm in the cache.
        for number, batch in enumerate(self._batches(per_row)):
            start = 0
            while start < n:
                where = slice(start, min(start + size, n))
                part = slices.rows(where)
                rows = take_rows(x, where)
                work = Work(
                    rows=rows,
                    buffers=self.program.buffers(),
                    row_buffers=part.buffers,
                    batch=batch if part.indices is None else self.source.take(part.indices),
                    per_row=per_row,
                    sums=sums[where],
                    gradients=None if grads is None else grads[where],
                    first=number == 0,
                    lines=Lines.of(x, where, rows) if on_plane and isinstance(x, AffineRows) else None,
                )
                try:
                    STRATEGIES[name](self.program, work)
                except (torch.OutOfMemoryError, RuntimeError) as error:
                    # Batched strategies deliver only after everything is computed, so a retry starts clean.
                    # Rows only: another cut through the data would change the order of the sums.
                    if not _out_of_memory(error) or name in ROW_BY_ROW or size == 1:
                        raise
                    size = max(1, size // 2)
                    continue
                start = where.stop
            count += batch_size(batch) if batch is not None else 0
        if slices.indices is not None:
            count = slices.indices.shape[-1]
        return sums, grads, count

    def gradient_sum(self, row: Tensor, slices: Slices) -> Tensor:
        """Gradient of the summed loss at one row, ``(d,) -> (d,)``."""
        grads = self.sums(row[None], slices, gradient=True)[1]
        if grads is None:  # gradient=True always makes them; this is for the type checker
            raise AssertionError
        return grads[0]

    def metrics(self, x: Rows, slices: Slices) -> dict[str, Tensor]:
        """Mean loss and metrics of each row, ``-> {name: (n,)}`` in float64."""
        n = x.shape[:-1].numel()
        totals: dict[str, Tensor] = {}
        count = 0
        # Metrics of the user's may be anything; those known here run in batched programs as the loss does.
        batched = slices.indices is None and self.numerics.full not in ROW_BY_ROW and self.program.plain_metrics
        on_plane = isinstance(x, AffineRows) and slices.indices is None
        size = self.row_chunk(self.numerics.full, False, slices) if batched or on_plane else 1
        measure = METRIC_STRATEGIES[self.numerics.full if batched else "loop"]
        with torch.no_grad():
            for batch in self._batches(slices.indices is not None):
                for where, rows in row_chunks(x, size):
                    part = slices.rows(where)
                    data = batch if part.indices is None else self.source.take(part.indices[0])
                    lines = Lines.of(x, where, rows) if on_plane and isinstance(x, AffineRows) else None
                    for name, total in measure(self.program, rows, part.buffers, data, lines).items():
                        totals.setdefault(name, torch.zeros(n, dtype=torch.float64, device=self.device))
                        totals[name][where] += total
                count += batch_size(batch) if batch is not None else 0
        if slices.indices is not None:
            count = slices.indices.shape[-1]
        if self.program.reduction == "sum" and "loss" in totals:
            totals["loss"] = totals["loss"] * count
        return {name: total / count for name, total in totals.items()}

    def row_chunk(self, name: StrategyName, gradient: bool, slices: Slices) -> int:
        """Rows per call of a strategy: as recorded, or what fits the memory budget."""
        fixed = self.numerics.row_chunk if slices.indices is None else self.numerics.mini_row_chunk
        if fixed is not None:
            # Free memory varies from call to call, and another cut through the rows may change the last bits.
            return fixed
        if name in ROW_BY_ROW:
            # Only lazily made rows are limited here.
            per_row = 2 * self.program.spec.dim * self.dtype.itemsize
        else:
            samples = slices.indices.shape[-1] if slices.indices is not None else self._chunk_samples()
            # Saved activations, as many again for what backward makes, and parameters with their gradients.
            per_row = 2 * samples * self.bytes_per_sample() + 4 * self.program.spec.dim * self.dtype.itemsize
        budget = self.budget if self.budget is not None else memory_budget(self.device)
        fits = max(1, budget // max(1, per_row if gradient or name in ROW_BY_ROW else per_row // 2))
        # Free memory of an accelerator is another in every process; a power of two is met again.
        return 1 << (fits.bit_length() - 1) if self.device.type == "cuda" else fits

    def bytes_per_sample(self) -> int:
        """Bytes that autograd keeps for one sample of one row, measured once on a small batch."""
        if self._saved_bytes is None:
            batch = next(iter(self.source.chunks(8)))
            count = batch_size(batch)
            kept: dict[tuple[int, torch.Size], int] = {}

            def pack(tensor: Tensor) -> Tensor:
                kept[tensor.data_ptr(), tensor.shape] = tensor.numel() * tensor.itemsize
                return tensor

            spec = self.program.spec
            state = dict(self.program.model.named_parameters())
            leaves = {name: state[name].detach().clone().requires_grad_() for name in spec.names}
            with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                self.program.loss_sum(leaves, self.program.buffers(), batch)
            own = {leaf.data_ptr() for leaf in leaves.values()}
            total = sum(size for (pointer, _), size in kept.items() if pointer not in own)
            self._saved_bytes = max(1, total // count)
        return self._saved_bytes

    def _compiled_for(self, slices: Slices) -> CompiledGradient | None:
        """The compiled program, where it is for mini-batches of this size."""
        if self._compiled is None or slices.indices is None or slices.buffers:
            return None
        return self._compiled if slices.indices.shape[-1] == self._compiled.samples else None

    def _chunk_samples(self) -> int:
        samples = self.source.samples
        return min(self.pass_chunk or samples, samples)

    def _batches(self, per_row: bool) -> Iterator[Batch | None]:
        if per_row:
            yield None  # gathered for each chunk of rows: all at once would be rows x batch x sample in memory
            return
        yield from self.source.chunks(self.pass_chunk)


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
