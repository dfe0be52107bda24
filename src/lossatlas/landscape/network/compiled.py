"""CompiledGradient: the gradients of many rows on small batches as one program of a fixed shape.

A mini-batch of 64 examples is over so soon that a step is mostly the time between its operations. Written down once as
a list of operations and compiled, neighbouring ones become one, and on an accelerator the whole list is one launch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from lossatlas.core.errors import InputError
from lossatlas.landscape.network.program import Program
from lossatlas.landscape.network.recurrent import unrolled_where_needed
from lossatlas.landscape.network.sources import Batch, map_tensors, tensors_of

__all__ = ["CompiledGradient"]

# Rows, then the tensors of the batch, to loss sums and one gradient per parameter.
_Run: TypeAlias = Callable[..., tuple[Tensor, dict[str, Tensor]]]


class CompiledGradient:
    """Loss sums and gradients of so many rows, each on so many samples of its own.

    Traced and compiled by PyTorch at the first call, which takes from seconds to a minute or two and, on a CPU, needs
    a C++ compiler; PyTorch keeps what it has compiled in a cache of its own.

    Args:
        program: the model and loss; one whose rows ``torch.func.vmap`` can run together.
        rows: R.
        samples: B.
    """

    def __init__(self, program: Program, rows: int, samples: int) -> None:
        self.rows = rows
        self.samples = samples
        self._program = program
        self._run: _Run | None = None

    def add_to(self, sums: Tensor, gradients: Tensor, rows: Tensor, take: Callable[[slice], Batch]) -> None:
        """Evaluate n rows, R at a time.

        Args:
            sums: ``(n,)``; the loss sums are added.
            gradients: ``(n, d)``; the gradients of the loss sums are written.
            rows: ``(n, d)``.
            take: the data of some rows, ``(k, B, ...)``.

        Raises:
            InputError: the network cannot be traced or compiled.
        """
        spec = self._program.spec
        for start in range(0, len(rows), self.rows):
            where = slice(start, min(start + self.rows, len(rows)))
            few, batch = rows[where].detach(), take(where)
            count = len(few)
            # A program has one shape. Rows do not see each other, so that others may stand in for those that are gone.
            values, found = self._call(self._filled(few), map_tensors(batch, self._filled))
            sums[where] += values[:count]
            # Copied at once: a captured program writes the results of its next call to the same memory.
            for name, target in spec.unflatten(gradients[where]).items():
                target.copy_(found[name][:count])

    def _filled(self, part: Tensor) -> Tensor:
        missing = self.rows - len(part)
        return torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) if missing else part

    def _call(self, rows: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        leaves = tuple(tensors_of(batch))
        if rows.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            if self._run is None:
                self._run, found = _compiled(self._traced(rows, batch), rows, *leaves)
                return found
            return self._run(rows, *leaves)

    def _traced(self, rows: Tensor, batch: Batch) -> torch.fx.GraphModule:
        """The operations of one call, in order."""
        program, spec = self._program, self._program.spec
        buffers = program.buffers()

        def run(rows: Tensor, *leaves: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            remaining: Iterator[Tensor] = iter(leaves)
            rebuilt = map_tensors(batch, lambda _: next(remaining))

            def one(row: dict[str, Tensor], data: Any) -> Tensor:
                return program.loss_sum(row, buffers, data)

            with unrolled_where_needed(program.model):
                gradients, values = vmap(grad_and_value(one))(spec.unflatten(rows), rebuilt)
            return values, gradients

        try:
            traced: torch.fx.GraphModule = make_fx(run)(rows, *tensors_of(batch))
        except (InputError, torch.OutOfMemoryError):
            raise
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            raise InputError(
                f"expected a network whose rows torch.func.vmap can run together, to compile it, got "
                f"'{_line(error)}': leave out compiled"
            ) from error
        return traced


def _compiled(graph: torch.fx.GraphModule, *arguments: Tensor) -> tuple[_Run, tuple[Tensor, dict[str, Tensor]]]:
    """The compiled program, and what it gave in its first call, in which PyTorch compiles."""
    mode = "reduce-overhead" if arguments[0].device.type == "cuda" else None  # captured as a CUDA graph
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PyTorch's compiler says of PyTorch's own modules
            run: _Run = torch.compile(graph, dynamic=False, mode=mode)
            return run, run(*arguments)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # PyTorch's own errors of compiling are of this type
        raise InputError(
            f"expected PyTorch to compile the network, got '{_line(error)}': install a C++ compiler, such as g++, or "
            "leave out compiled"
        ) from error


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
