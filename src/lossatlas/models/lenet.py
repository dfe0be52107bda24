"""LeNet-5 as the paper uses it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lossatlas.models.activations import activations

__all__ = ["LeNet"]


class LeNet(nn.Module):
    """Two convolutions with average pooling and three dense layers, 61 706 parameters.

    conv 1→6 (5x5, padding 2), pool 2, conv 6→16 (5x5), pool 2, 400-120-84-10; the activation comes before the
    pooling. LeCun et al. 1998; Yu & Morozov 2026 (arXiv 2602.21276), Methods II.1.

    Args:
        activation: ``"softplus"`` as in the notebooks, ``"relu"`` as in the text.

    Example:
        >>> import torch
        >>> LeNet()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, activation: str = "softplus") -> None:
        super().__init__()
        self.activation = activations[activation]
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 1, 28, 28)`` to logits ``(N, 10)``."""
        maps = F.avg_pool2d(self.activation(self.conv1(images)), 2)
        maps = F.avg_pool2d(self.activation(self.conv2(maps)), 2)
        hidden = self.activation(self.fc1(maps.flatten(1)))
        logits: Tensor = self.fc3(self.activation(self.fc2(hidden)))
        return logits
