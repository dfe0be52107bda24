"""VGG-9: a plain convolutional network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lossatlas.models.activations import activations
from lossatlas.models.convolution import HeConv2d, scaled_planes
from lossatlas.models.normalisation import map_normalisations, unit_normalisations

__all__ = ["VGG9"]

_LAYERS = ((64, 64), (128, 128), (256, 256, 256))
"""Planes of the convolutions before each pooling."""


class VGG9(nn.Module):
    """The first seven convolutions of VGG-16 and two dense layers.

    Convolutions 3x3 with 64, 64, 128, 128, 256, 256, 256 planes, the largest of 2x2 places after the second, fourth
    and seventh; a dense layer of 256 units and one of the classes. Each layer but the last has biases and is followed
    by normalisation and activation. 2 789 706 parameters on 3x32x32 with batch normalisation.
    Li et al. 2018 (arXiv 1712.09913), Section 3.

    Args:
        norm: ``"batch"``, ``"layer"``, ``"rms"`` or ``"none"``.
        width: planes and units are multiplied by this and rounded.
        activation: after each normalisation.
        channels: of the images.
        classes: number of logits.
        side: of the images, in pixels.

    Raises:
        InputError: a width that is not positive.
        ConfigurationError: an unknown normalisation or activation.

    Example:
        >>> import torch
        >>> VGG9(width=0.1, channels=1, side=28)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        *,
        norm: str = "batch",
        width: float = 1.0,
        activation: str = "relu",
        channels: int = 3,
        classes: int = 10,
        side: int = 32,
    ) -> None:
        super().__init__()
        self.activation = activations[activation]
        self.groups = nn.ModuleList()
        inputs = channels
        for planes in _LAYERS:
            layers = nn.ModuleList()
            for outputs in (scaled_planes(each, width) for each in planes):
                conv = HeConv2d(inputs, outputs, 3, padding=1)
                layers.append(nn.Sequential(conv, map_normalisations[norm](outputs)))
                inputs = outputs
            self.groups.append(layers)
            side = -(-side // 2)
        units = scaled_planes(256, width)
        self.fc1 = nn.Linear(inputs * side * side, units)
        self.norm = unit_normalisations[norm](units)
        self.fc2 = nn.Linear(units, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, channels, side, side)`` to logits ``(N, classes)``."""
        maps = images
        for layers in self.groups:
            for layer in layers:  # type: ignore[attr-defined]
                maps = self.activation(layer(maps))
            maps = F.max_pool2d(maps, 2, ceil_mode=True)
        hidden = self.activation(self.norm(self.fc1(maps.flatten(1))))
        logits: Tensor = self.fc2(hidden)
        return logits
