"""Convolutions and average pooling of the ``convnet`` strategy are torch's own, in value and gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lossatlas.landscape.network.convnet_kernels import _SAMPLES, ConvnetKernels


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _compare(function: Any, *leaves: Tensor) -> bool:
    """Whether the kernels took the call; values and gradients must be torch's either way."""
    results = []
    for ours in (False, True):
        copies = [leaf.clone().requires_grad_() for leaf in leaves]
        if ours:
            with ConvnetKernels():
                output = function(*copies)
        else:
            output = function(*copies)
        weights = _draw(*output.shape, seed=7)
        results.append((output, torch.autograd.grad((output * weights).sum(), copies)))
    (theirs, expected), (output, gradients) = results
    torch.testing.assert_close(output, theirs, rtol=1e-13, atol=1e-13)
    for gradient, exact in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, exact, rtol=1e-12, atol=1e-11)
    return type(output.grad_fn).__name__ in ("_ConvolutionBackward", "_AveragePoolBackward")


@pytest.mark.parametrize("samples", [1, 5, _SAMPLES + 3])
@pytest.mark.parametrize("padding", [0, 2, (1, 3)])
@pytest.mark.parametrize("dilation", [1, (2, 1)])
@pytest.mark.parametrize(("channels", "kernel"), [(1, (5, 5)), (3, (2, 4)), (2, (1, 1))])
def test_convolutions_over_few_channels(samples: int, padding: Any, dilation: Any, channels: int, kernel: Any) -> None:
    images, weight, bias = _draw(samples, channels, 9, 11), _draw(4, channels, *kernel, seed=1), _draw(4, seed=2)
    assert _compare(lambda x, w, b: F.conv2d(x, w, b, padding=padding, dilation=dilation), images, weight, bias)
    assert _compare(lambda x, w: F.conv2d(x, w, None, 1, padding, dilation), images, weight)


def test_images_that_are_not_contiguous() -> None:
    weight = _draw(4, 2, 3, 3, seed=1)
    assert _compare(lambda x, w: F.conv2d(x.transpose(2, 3), w), _draw(5, 2, 9, 8), weight)
    assert _compare(lambda x, w: F.conv2d(x[:, :, ::2], w, padding=1), _draw(5, 2, 12, 8), weight)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4, 4, 3, 3), {}),  # as many channels as a register holds
        ((4, 2, 3, 3), {"stride": 2}),
        ((4, 1, 3, 3), {"groups": 2}),
        ((4, 2, 3, 3), {"padding": "same"}),
    ],
)
def test_other_convolutions_are_left_to_torch(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    channels = shape[1] * options.get("groups", 1)
    assert not _compare(lambda x, w: F.conv2d(x, w, **options), _draw(3, channels, 8, 8), _draw(*shape, seed=1))


def test_a_single_image_is_left_to_torch() -> None:
    assert not _compare(F.conv2d, _draw(1, 8, 8), _draw(3, 1, 3, 3, seed=1))


@pytest.mark.parametrize(("size", "window"), [((8, 6), 2), ((9, 4), (3, 2)), ((4, 5), (1, 5)), ((3, 3), 1)])
@pytest.mark.parametrize("stride", ["left out", "the same"])
def test_windows_that_tile_the_map(size: tuple[int, int], window: Any, stride: str) -> None:
    options = {} if stride == "left out" else {"stride": window}
    assert _compare(lambda x: F.avg_pool2d(x, window, **options), _draw(3, 2, *size))


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((8, 7), {"kernel_size": 2}),
        ((8, 8), {"kernel_size": 2, "stride": 1}),
        ((8, 8), {"kernel_size": 2, "padding": 1}),
        ((8, 8), {"kernel_size": 2, "divisor_override": 3}),
    ],
)
def test_other_windows_are_left_to_torch(size: tuple[int, int], options: dict[str, Any]) -> None:
    assert not _compare(lambda x: F.avg_pool2d(x, **options), _draw(3, 2, *size))


def test_everything_else_runs_unchanged() -> None:
    x = _draw(3, 2, 8, 8)
    with ConvnetKernels():
        assert torch.equal(F.max_pool2d(x, 2), F.max_pool2d(x, kernel_size=2))
        assert torch.equal(x.relu(), F.relu(x))
