"""FCP: the paper's fully connected perceptron."""

from __future__ import annotations

from torch import Tensor, nn

from lossatlas.models.activations import activations

__all__ = ["FCP"]


class FCP(nn.Module):
    """784-50-50-10 perceptron without biases, 42 200 parameters.

    Yu & Morozov 2026 (arXiv 2602.21276), Methods II.1.

    Args:
        activation: after both hidden layers; ``"softplus"`` as in the notebooks, ``"relu"`` as in the text.
        hidden: width of the two hidden layers.

    Example:
        >>> import torch
        >>> FCP()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, activation: str = "softplus", hidden: int = 50) -> None:
        super().__init__()
        self.activation = activations[activation]
        self.fc1 = nn.Linear(784, hidden, bias=False)
        self.fc2 = nn.Linear(hidden, hidden, bias=False)
        self.fc3 = nn.Linear(hidden, 10, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 1, 28, 28)`` to logits ``(N, 10)``."""
        hidden = self.activation(self.fc1(images.flatten(1)))
        logits: Tensor = self.fc3(self.activation(self.fc2(hidden)))
        return logits
