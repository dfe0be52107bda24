"""LSTM on permuted pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["PixelLSTM"]


class PixelLSTM(nn.Module):
    """LSTM reading the permuted image as 28 steps of 28 pixels, 15 456 parameters.

    All 784 pixels pass through one fixed random permutation, a registered buffer; hidden size 48, both bias vectors
    of ``nn.LSTM``; the last hidden state goes to 10 logits without bias.
    Yu & Morozov 2026 (arXiv 2602.21276), Methods II.1; Le, Jaitly & Hinton 2015 for the permuted task.

    Args:
        hidden: size of the hidden state.
        permutation_seed: seed of ``torch.randperm(784)``; 1234 in the notebooks.

    Example:
        >>> PixelLSTM()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    permutation: Tensor

    def __init__(self, hidden: int = 48, permutation_seed: int = 1234) -> None:
        super().__init__()
        permutation = torch.randperm(784, generator=torch.Generator().manual_seed(permutation_seed))
        self.register_buffer("permutation", permutation)
        self.lstm = nn.LSTM(28, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, 10, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 1, 28, 28)`` to logits ``(N, 10)``."""
        steps = images.flatten(1)[:, self.permutation].reshape(-1, 28, 28)
        states, _ = self.lstm(steps)
        logits: Tensor = self.fc(states[:, -1])
        return logits
