"""Residual networks for small images, with and without their skip connections."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from lossatlas.core.errors import InputError
from lossatlas.models.activations import activations
from lossatlas.models.convolution import HeConv2d, scaled_planes
from lossatlas.models.normalisation import map_normalisations

__all__ = ["ResNet", "Shortcut"]

Shortcut = Literal["A", "B"]
"""How a skip changes size: ``"A"`` subsamples and adds channels of zeros, ``"B"`` is a convolution 1x1."""

_STAGES = 3
_PLANES = 16


class ResNet(nn.Module):
    """ResNet for images of about 32x32: a convolution, 3 stages of n blocks, means over places, a dense layer.

    The stages have 16, 32 and 64 planes; the second and third halve the image. A block computes
    φ(N(W₂ φ(N(W₁ x))) + S x) with 3x3 convolutions W, normalisation N, activation φ and skip S; depth = 6 n + 2.
    On 3x32x32 with batch normalisation and shortcut A there are 269 722 parameters at depth 20 and 853 018 at 56.
    He et al. 2016 (arXiv 1512.03385), Section 4.2; without skips Li et al. 2018 (arXiv 1712.09913), Section 5.

    Args:
        depth: 6 n + 2: 8, 14, 20, ..., 56, ...
        skips: whether blocks add their input; without, the same layers form a plain network.
        shortcut: ``"A"`` as in the paper's experiments on CIFAR-10, without parameters; or ``"B"``.
        norm: ``"batch"``, ``"layer"``, ``"rms"`` or ``"none"``; with ``"none"`` convolutions have biases.
        width: the planes are multiplied by this and rounded.
        activation: after each normalisation.
        channels: of the images.
        classes: number of logits.

    Raises:
        InputError: a depth that is not 6 n + 2, another shortcut, or a width that is not positive.
        ConfigurationError: an unknown normalisation or activation.

    Example:
        >>> import torch
        >>> ResNet(depth=8, width=0.25, channels=1)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        *,
        depth: int = 20,
        skips: bool = True,
        shortcut: Shortcut = "A",
        norm: str = "batch",
        width: float = 1.0,
        activation: str = "relu",
        channels: int = 3,
        classes: int = 10,
    ) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            near = max(8, 6 * round((depth - 2) / 6) + 2)
            raise InputError(f"expected a depth of 6 n + 2 for a ResNet of three stages, got {depth}: take {near}")
        if shortcut not in ("A", "B"):
            raise InputError(f"expected shortcut 'A' or 'B', got '{shortcut}'")
        self.activation = activations[activation]
        planes = [scaled_planes(_PLANES * 2**stage, width) for stage in range(_STAGES)]
        self.conv = HeConv2d(channels, planes[0], 3, padding=1, bias=norm == "none")
        self.norm = map_normalisations[norm](planes[0])
        stages, inputs = [], planes[0]
        for number, outputs in enumerate(planes):
            blocks = []
            for block in range((depth - 2) // 6):
                stride = 2 if number > 0 and block == 0 else 1
                blocks.append(
                    _Block(inputs, outputs, stride, skips=skips, shortcut=shortcut, norm=norm, activation=activation)
                )
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, channels, H, W)`` to logits ``(N, classes)``."""
        maps = self.stages(self.activation(self.norm(self.conv(images))))
        logits: Tensor = self.fc(maps.mean((2, 3)))
        return logits


class _Block(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, stride: int, *, skips: bool, shortcut: Shortcut, norm: str, activation: str
    ) -> None:
        super().__init__()
        biased = norm == "none"
        self.activation = activations[activation]
        self.skips = skips
        self.stride = stride
        self.added = outputs - inputs
        self.conv1 = HeConv2d(inputs, outputs, 3, stride=stride, padding=1, bias=biased)
        self.norm1 = map_normalisations[norm](outputs)
        self.conv2 = HeConv2d(outputs, outputs, 3, padding=1, bias=biased)
        self.norm2 = map_normalisations[norm](outputs)
        changes = stride != 1 or inputs != outputs
        self.projection = (
            nn.Sequential(HeConv2d(inputs, outputs, 1, stride=stride, bias=biased), map_normalisations[norm](outputs))
            if skips and changes and shortcut == "B"
            else None
        )

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.norm2(self.conv2(self.activation(self.norm1(self.conv1(maps)))))
        return self.activation(inner + self._skip(maps) if self.skips else inner)

    def _skip(self, maps: Tensor) -> Tensor:
        if self.projection is not None:
            projected: Tensor = self.projection(maps)
            return projected
        if self.stride != 1:
            maps = maps[:, :, :: self.stride, :: self.stride]
        return F.pad(maps, (0, 0, 0, 0, 0, self.added)) if self.added else maps
