"""Hessian-vector products of a network's loss, with the method that worked by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lossatlas.core.errors import InputError
from lossatlas.landscape.network.program import Program

__all__ = [
    "HVP_METHODS",
    "NoSecondDerivativeError",
    "difference_product",
    "hessian_vector_sum",
    "plain_kernels",
    "refuse_hidden",
]

HVP_METHODS = (
    "reverse over reverse",
    "reverse over reverse, plain kernels",
    "central differences of the gradient",
)
"""Tried in this order; each is exact but the last."""


# What autograd puts behind a function that can be differentiated once.
_ONCE_DIFFERENTIABLE = "torch::autograd::Error"


class NoSecondDerivativeError(RuntimeError):
    """The graph of the gradient does not lead back to the parameters."""


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Kernels written in differentiable pieces: math attention, no fused recurrent cells."""
    onednn, cudnn = torch.backends.mkldnn, torch.backends.cudnn
    # set_flags, not flags(): the latter also touches TF32 settings and warns where there is no such hardware.
    onednn_before, cudnn_before = onednn.set_flags(False)[0], cudnn.enabled  # type: ignore[no-untyped-call]
    cudnn.enabled = False
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        onednn.set_flags(onednn_before)  # type: ignore[no-untyped-call]
        cudnn.enabled = cudnn_before


def refuse_hidden(slopes: Sequence[Tensor | None]) -> None:
    """Refuse gradients of which autograd would silently leave a part of the second derivative out.

    A gradient that no longer depends on anything is that of a loss linear in its parameter, or has gone through a
    custom function that hides its derivative: autograd answers zero to both, differences tell them apart. A function
    marked as once differentiable raises only where its node is reached, and another way round it is not missed.

    Raises:
        NoSecondDerivativeError: there are such.
    """
    given = [slope for slope in slopes if slope is not None]
    if not given or not all(slope.requires_grad for slope in given):
        raise NoSecondDerivativeError
    stack = [slope.grad_fn for slope in given if slope.grad_fn is not None]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if node.name() == _ONCE_DIFFERENTIABLE:
            raise NoSecondDerivativeError
        for behind, _ in node.next_functions:
            if behind is not None and behind not in seen:
                seen.add(behind)
                stack.append(behind)


def _double_backward(program: Program, row: Tensor, v: Tensor, buffers: Mapping[str, Tensor], batch: Any) -> Tensor:
    spec = program.spec
    leaves = {name: view.detach().requires_grad_() for name, view in spec.unflatten(row).items()}
    product = torch.zeros_like(row)
    with torch.enable_grad():
        loss = program.loss_sum(leaves, buffers, batch)
        if not loss.requires_grad:  # does not depend on the parameters
            return product
        first = torch.autograd.grad(loss, list(leaves.values()), create_graph=True, allow_unused=True)
        refuse_hidden(first)
        pairs = [(g, u) for g, u in zip(first, spec.unflatten(v).values(), strict=True) if g is not None]
        along = sum(((g * u).sum() for g, u in pairs), start=torch.zeros((), dtype=row.dtype, device=row.device))
        second = torch.autograd.grad(along, list(leaves.values()), allow_unused=True)
    for target, part in zip(spec.unflatten(product).values(), second, strict=True):
        if part is not None:
            target.copy_(part)
    return product


def hessian_vector_sum(
    program: Program,
    row: Tensor,
    v: Tensor,
    *,
    buffers: Mapping[str, Tensor],
    batches: Callable[[], Iterable[Any]],
    gradient: Callable[[Tensor], Tensor],
) -> tuple[Tensor, str]:
    """Hessian of the summed loss times a vector for one row.

    Reverse over reverse; where a kernel has no second derivative, again with plain kernels; last, central differences
    (∇L(x + hv) - ∇L(x - hv)) / 2h with h = ε^(1/3) (1 + |x|) / |v|.

    Args:
        program: model and loss.
        row: ``(d,)``.
        v: ``(d,)``.
        buffers: the row's buffers.
        batches: returns the data, once per pass.
        gradient: gradient of the summed loss at a row ``(d,)``.

    Returns:
        ``(d,)`` and the name of the method, one of ``HVP_METHODS``.
    """

    def total() -> Tensor:
        return sum(
            (_double_backward(program, row, v, buffers, batch) for batch in batches()), start=torch.zeros_like(row)
        )

    try:
        return total(), HVP_METHODS[0]
    except InputError:
        raise
    except (RuntimeError, NotImplementedError):
        pass  # a kernel without a second derivative: the next method says whether it helped
    try:
        with plain_kernels():
            return total(), HVP_METHODS[1]
    except (RuntimeError, NotImplementedError):
        return difference_product(gradient, row, v), HVP_METHODS[2]


def difference_product(gradient: Callable[[Tensor], Tensor], row: Tensor, v: Tensor) -> Tensor:
    """Hessian times a vector, (∇L(x + hv) - ∇L(x - hv)) / 2h with h = ε^(1/3) (1 + |x|) / |v|, ``(d,), (d,) -> (d,)``.

    Args:
        gradient: ``(d,) -> (d,)``.
        row: ``(d,)``.
        v: ``(d,)``.
    """
    length = float(torch.linalg.vector_norm(v))
    if length == 0:
        return torch.zeros_like(row)
    h = torch.finfo(row.dtype).eps ** (1 / 3) * (1 + float(torch.linalg.vector_norm(row))) / length
    product: Tensor = (gradient(row + h * v) - gradient(row - h * v)) / (2 * h)
    return product
