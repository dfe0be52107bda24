"""Convolutions over few channels and average pooling on a CPU: the same numbers from faster kernels.

The libraries behind PyTorch spread the channels of a map over the lanes of a register, which a grey image leaves
nearly empty when the gradient of the weights is summed. Read as matrix products between rows of the inputs and rows of
the output's gradient, the same sum is twice as fast and, being taken sample by sample, ten times more precise. Average
pooling is written there without vector instructions; sums of rows and one small product have them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input
from torch.overrides import TorchFunctionMode

__all__ = ["ConvnetKernels", "has_convolutions"]

_Pair: TypeAlias = tuple[int, int]
# Stride, padding, dilation.
_Geometry: TypeAlias = tuple[_Pair, _Pair, _Pair]

# Samples whose unrolled rows are in memory at a time: they should stay in the cache.
_SAMPLES = 128
# From here on the channels fill the registers.
_CHANNELS = 4


def _weight_gradient(inputs: Tensor, grad: Tensor, weight: Tensor, geometry: _Geometry) -> Tensor:
    """``g[o,i,u,v] = Σ_n,y,x grad[n,o,y,x] inputs[n,i,y+u,x+v]`` for stride 1, ``-> (o, i, kh, kw)``."""
    _, (top, left), (down, across) = geometry
    out, channels, height, width = weight.shape
    high, wide = grad.shape[2:]
    padded = F.pad(inputs, (left, left, top, top))
    samples, step, row, column = padded.stride()
    # Unrolled along x alone; the shifts along y are views of the same memory.
    shape = (len(inputs), channels, width, padded.shape[2], wide)
    rows = padded.as_strided(shape, (samples, step, across * column, row, column)).flatten(1, 2)
    flat = grad.flatten(2)
    found = [torch.bmm(flat, rows[:, :, down * u : down * u + high].flatten(2).mT).sum(0) for u in range(height)]
    return torch.stack(found, 1).reshape(out, height, channels, width).transpose(1, 2)


class _Convolution(torch.autograd.Function):
    """``F.conv2d`` of stride 1 and one group, with the weight gradient above."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry) -> Tensor:
        """Convolve, ``(n, i, h, w), (o, i, kh, kw) -> (n, o, h', w')``."""
        ctx.save_for_backward(inputs, weight)
        ctx.geometry = geometry
        return F.conv2d(inputs, weight, bias, *geometry)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of inputs, weight and bias."""
        inputs, weight = ctx.saved_tensors
        (grad,) = grads
        by_input = by_weight = by_bias = None
        if ctx.needs_input_grad[0]:
            by_input = conv2d_input(inputs.shape, weight, grad, *ctx.geometry)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[1]:
            by_weight = torch.zeros_like(weight)
            for start in range(0, len(inputs), _SAMPLES):
                few = slice(start, start + _SAMPLES)
                by_weight += _weight_gradient(inputs[few], grad[few], weight, ctx.geometry)
        if ctx.needs_input_grad[2]:
            by_bias = grad.sum((0, 2, 3))
        return by_input, by_weight, by_bias, None


def _averaging(width: int, window: int, like: Tensor) -> Tensor:
    """Matrix that averages neighbours, ``-> (width, width / window)``."""
    means = like.new_full((window, 1), 1 / window)
    return torch.kron(torch.eye(width // window, dtype=like.dtype, device=like.device), means)


class _AveragePool(torch.autograd.Function):
    """Means over windows that tile the map."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, window: _Pair) -> Tensor:
        """Average, ``(*n, h, w) -> (*n, h / window[0], w / window[1])``."""
        high, wide = window
        ctx.window = window
        matrix = _averaging(inputs.shape[-1], wide, inputs)
        ctx.save_for_backward(matrix)
        rows = inputs[..., ::high, :]
        for offset in range(1, high):
            rows = rows + inputs[..., offset::high, :]
        return rows @ matrix.div(high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Hand every window's gradient to its entries."""
        (matrix,) = ctx.saved_tensors
        high, _ = ctx.window
        rows = grads[0] @ matrix.T.div(high)
        return rows.unsqueeze(-2).expand(*rows.shape[:-1], high, rows.shape[-1]).flatten(-3, -2), None


def _pair(value: Any) -> _Pair:
    if isinstance(value, int):
        return value, value
    both = tuple(value)
    return both[0], both[-1]


def _given(names: str, defaults: Mapping[str, Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> list[Any]:
    found = {**defaults, **dict(zip(names.split(), args, strict=False)), **options}
    return [found[name] for name in names.split()]


def _conv2d(*args: Any, **options: Any) -> Tensor:
    names = "input weight bias stride padding dilation groups"
    defaults = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    inputs, weight, bias, stride, padding, dilation, groups = _given(names, defaults, args, options)
    few = inputs.ndim == 4 and inputs.shape[1] < _CHANNELS
    if not few or groups != 1 or _pair(stride) != (1, 1) or isinstance(padding, str):
        return F.conv2d(*args, **options)
    geometry = (_pair(stride), _pair(padding), _pair(dilation))
    output: Tensor = _Convolution.apply(inputs, weight, bias, geometry)  # type: ignore[no-untyped-call]
    return output


def _avg_pool2d(*args: Any, **options: Any) -> Tensor:
    names = "input kernel_size stride padding ceil_mode count_include_pad divisor_override"
    defaults = {"stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True, "divisor_override": None}
    inputs, kernel, stride, padding, _, _, divisor = _given(names, defaults, args, options)
    window = _pair(kernel)
    tiles = all(size % step == 0 for size, step in zip(inputs.shape[-2:], window, strict=True))
    plain = stride is None or stride == [] or _pair(stride) == window
    if not (tiles and plain and divisor is None and _pair(padding) == (0, 0)):
        return F.avg_pool2d(*args, **options)
    output: Tensor = _AveragePool.apply(inputs, window)  # type: ignore[no-untyped-call]
    return output


_KERNELS: Mapping[Callable[..., Any], Callable[..., Tensor]] = {F.conv2d: _conv2d, F.avg_pool2d: _avg_pool2d}


class ConvnetKernels(TorchFunctionMode):
    """Within this context ``F.conv2d`` and ``F.avg_pool2d`` are computed by the kernels above, once differentiable.

    Convolutions over four channels or more, with strides or groups, of single images or with padding given as a word,
    and windows that do not tile the map are left to PyTorch.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace the two functions; every other runs unchanged."""
        kernel: Callable[..., Any] = _KERNELS.get(func, func)
        return kernel(*args, **(kwargs or {}))


def has_convolutions(model: nn.Module) -> bool:
    """Whether a model has two-dimensional convolutions."""
    return any(isinstance(module, nn.Conv2d) for module in model.modules())
