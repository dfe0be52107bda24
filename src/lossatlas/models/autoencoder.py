"""The paper's autoencoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossatlas.models.activations import activations

__all__ = ["Autoencoder"]


class Autoencoder(nn.Module):
    """784-32-32 encoder and 32-32-784 decoder without biases, 52 224 parameters.

    The activation follows all layers but the last, whose outputs pass through a sigmoid.
    Yu & Morozov 2026 (arXiv 2602.21276), Methods II.1.

    Args:
        activation: softplus in both paper and notebooks.

    Example:
        >>> Autoencoder()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 784])
    """

    def __init__(self, activation: str = "softplus") -> None:
        super().__init__()
        self.activation = activations[activation]
        self.encoder1 = nn.Linear(784, 32, bias=False)
        self.encoder2 = nn.Linear(32, 32, bias=False)
        self.decoder1 = nn.Linear(32, 32, bias=False)
        self.decoder2 = nn.Linear(32, 784, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 1, 28, 28)`` to their reconstructions ``(N, 784)`` in (0, 1)."""
        code = self.activation(self.encoder2(self.activation(self.encoder1(images.flatten(1)))))
        return torch.sigmoid(self.decoder2(self.activation(self.decoder1(code))))
