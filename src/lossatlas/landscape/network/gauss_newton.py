"""GaussNewtonAt: products with Gauss-Newton and empirical Fisher matrices at fixed weights, with graphs kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.landscape.network.hessian import refuse_hidden
from lossatlas.landscape.network.hessian_at import graph_bytes
from lossatlas.landscape.network.kept_graphs import ProductsAt, RowLoss
from lossatlas.landscape.network.program import Program
from lossatlas.landscape.network.sources import Source, batch_size

__all__ = ["JACOBIAN_METHODS", "GaussNewtonAt", "Middle", "foretell_output_bytes"]

JACOBIAN_METHODS = (
    "Jacobian by reverse over reverse",
    "Jacobian by reverse over reverse, plain kernels",
    "Jacobian by central differences of the outputs",
)
"""How J v was computed: tried in this order; each is exact but the last. Jᵀ u is always a backward pass."""

Middle: TypeAlias = Literal["loss", "gradients"]
"""What stands between Jᵀ and J: the Hessian of the loss by the outputs, or the outer products of its gradients."""


@dataclass(frozen=True)
class _OutputGraph:
    """Outputs over one batch as functions of the weights, and the loss as a function of the outputs."""

    leaves: tuple[Tensor, ...]
    output: Tensor
    target: Any
    cotangent: Tensor
    """Stands for u in Jᵀ u, which is linear in it: its derivative by u along v is J v."""
    pulled: tuple[Tensor | None, ...]
    """Jᵀ u; empty where J v comes from differences."""
    inner: Tensor
    """The outputs again, as leaves of a graph of the loss alone."""
    slope: Tensor
    """∂ loss / ∂ output, differentiable."""


class GaussNewtonAt(ProductsAt[_OutputGraph]):
    """G = (1/N) Σ_n J_nᵀ M_n J_n at fixed rows, with J_n the Jacobian of the outputs of sample n by the weights.

    ``middle="loss"``: M_n is the Hessian of the loss by the outputs: the generalised Gauss-Newton matrix.
    ``middle="gradients"``: M_n = s_n s_nᵀ with s_n the gradient of the loss by the outputs of sample n: the empirical
    Fisher matrix (1/N) Σ_n g_n g_nᵀ of the samples' own gradients g_n. Both see the network through J alone, so no
    second derivative of the network enters.

    Args:
        program: the model and loss.
        losses: the rows.
        middle: which of the two.
        divide: what the sum over samples is divided by.
        keep: for how many rows the graphs may be kept; the others compute them for every product.
        differences: take J v from central differences of the outputs.

    Schraudolph 2002, *Fast curvature matrix-vector products for second-order gradient descent*.
    """

    methods: ClassVar[tuple[str, ...]] = JACOBIAN_METHODS

    def __init__(
        self,
        program: Program,
        losses: list[RowLoss],
        middle: Middle,
        *,
        divide: int,
        keep: int,
        differences: bool = False,
    ) -> None:
        super().__init__(program, losses, divide=divide, keep=keep, differences=differences)
        self._middle = middle

    def _graphs(self, row: int) -> Iterator[_OutputGraph]:
        loss = self._losses[row]
        for batch in loss.batches():
            yield _graph_of(self._program, loss, batch, self._middle, not self._last)

    def _parts(self, graph: _OutputGraph, vectors: tuple[Tensor, ...], *, keep: bool) -> Sequence[Tensor | None]:
        return self._pull(graph, self._push(graph, vectors))

    def _by_differences(self, row: int, v: Tensor) -> Tensor:
        pushed = self._differences(row, v)
        return self._total(v, (self._pull(graph, next(pushed)) for graph in self._graphs(row)))

    def _pull(self, graph: _OutputGraph, push: Tensor) -> Sequence[Tensor | None]:
        """Jᵀ M times J v."""
        return torch.autograd.grad(
            graph.output, graph.leaves, self._between(graph, push), retain_graph=True, allow_unused=True
        )

    def _push(self, graph: _OutputGraph, vectors: tuple[Tensor, ...]) -> Tensor:
        """J v, by differentiating Jᵀ u, which is linear in u."""
        pairs = [(g, u) for g, u in zip(graph.pulled, vectors, strict=True) if g is not None]
        pulled, along = zip(*pairs, strict=True)
        (found,) = torch.autograd.grad(pulled, graph.cotangent, along, retain_graph=True)
        return found

    def _between(self, graph: _OutputGraph, push: Tensor) -> Tensor:
        """M J v, in the shape of the outputs."""
        if self._middle == "gradients":
            slope = graph.slope.detach()
            along = (slope * push).flatten(1).sum(1) if slope.ndim > 1 else slope * push
            return slope * along.reshape(-1, *(1 for _ in slope.shape[1:]))
        if not graph.slope.requires_grad:  # linear in the outputs
            return torch.zeros_like(push)
        (found,) = torch.autograd.grad(graph.slope, graph.inner, push, retain_graph=True, allow_unused=True)
        return torch.zeros_like(push) if found is None else found

    def _differences(self, row: int, v: Tensor) -> Iterator[Tensor]:
        """(f(x + hv) - f(x - hv)) / 2h with h = ε^(1/3) (1 + |x|) / |v|, batch by batch."""
        loss, length = self._losses[row], float(torch.linalg.vector_norm(v))
        h = torch.finfo(v.dtype).eps ** (1 / 3) * (1 + float(torch.linalg.vector_norm(loss.row))) / (length or 1.0)
        for batch in loss.batches():
            ahead, behind = (
                output_of(self._program, self._program.spec.unflatten(at), loss, batch)[0]
                for at in (loss.row + h * v, loss.row - h * v)
            )
            yield (ahead - behind) / (2 * h)


def output_of(program: Program, params: Any, loss: RowLoss, batch: Any) -> tuple[Tensor, Any]:
    """Output and target of one batch, the output checked.

    Raises:
        InputError: outputs that are not one tensor.
    """
    output, target = program.split(params, loss.buffers, batch)
    if not isinstance(output, Tensor):
        raise InputError(
            f"expected outputs as one tensor for a Gauss-Newton or Fisher matrix, got {type(output).__name__}: "
            "return one from forward(model, batch), or use the Hessian"
        )
    return output, target


def _graph_of(program: Program, loss: RowLoss, batch: Any, middle: Middle, jacobian: bool) -> _OutputGraph:
    leaves = {name: view.detach().requires_grad_() for name, view in program.spec.unflatten(loss.row).items()}
    ordered = tuple(leaves.values())
    with torch.enable_grad():
        output, target = output_of(program, leaves, loss, batch)
        count = batch_size(batch)
        if middle == "gradients" and (output.ndim == 0 or len(output) != count):
            raise InputError(
                f"expected one output for each of {count} samples on the first axis, got shape {tuple(output.shape)}: "
                "the empirical Fisher matrix is made of the gradients of single samples"
            )
        if not output.requires_grad:
            raise InputError("expected outputs that depend on the parameters, got some that do not")
        cotangent = torch.zeros_like(output, requires_grad=True)
        pulled: tuple[Tensor | None, ...] = ()
        if jacobian:
            pulled = torch.autograd.grad(output, ordered, cotangent, create_graph=True, allow_unused=True)
            refuse_hidden(pulled)
        inner = output.detach().requires_grad_()
        value = program.loss_of_output(inner, target, count)
        if value.requires_grad:
            (slope,) = torch.autograd.grad(value, inner, create_graph=True)
        else:
            slope = torch.zeros_like(inner)
    return _OutputGraph(ordered, output, target, cotangent, pulled, inner, slope)


def foretell_output_bytes(program: Program, loss: RowLoss, source: Source, samples: int, middle: Middle) -> int:
    """Bytes that the graphs over many samples would hold, by two small batches; as ``foretell_bytes``."""
    build: Callable[[Any], object] = lambda batch: _graph_of(program, loss, batch, middle, jacobian=True)  # noqa: E731
    try:
        return graph_bytes(build, loss, source, samples)
    except InputError:
        raise
    except (RuntimeError, NotImplementedError):  # a kernel without a second derivative
        return sys.maxsize
