"""Deep linear network: a product of matrices."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossatlas.core.errors import InputError

__all__ = ["DeepLinear"]


class DeepLinear(nn.Module):
    """f(x) = W_L ... W_2 W_1 x, without biases.

    The function is linear, the loss of its weights is not: it has saddles wherever the product loses rank.
    Initial weights are balanced, W_{l+1}ᵀ W_{l+1} = W_l W_lᵀ, and all singular values of the product are the same:
    W_l = s^(1/L) Q_l Q_{l-1}ᵀ with random orthonormal columns Q. Gradient flow keeps them balanced, and each mode of
    the product then obeys its own equation. Saxe, McClelland & Ganguli 2014 (arXiv 1312.6120); Arora, Cohen & Hazan
    2018 (arXiv 1802.06509), Definition 1.

    Args:
        depth: number of matrices L.
        width: size of the hidden layers.
        inputs: entries of a sample, which is flattened.
        outputs: entries of the result.
        scale: the singular values s of the initial product; small ones start near the saddle at zero.

    Raises:
        InputError: a size below 1, or a scale that is not positive.

    Example:
        >>> net = DeepLinear(depth=3, width=5, inputs=4, outputs=2, scale=0.1)
        >>> product = net.product()
        >>> product.shape, torch.linalg.svdvals(product).detach()
        (torch.Size([2, 4]), tensor([0.1000, 0.1000]))
    """

    def __init__(
        self, *, depth: int = 3, width: int = 50, inputs: int = 784, outputs: int = 10, scale: float = 0.1
    ) -> None:
        super().__init__()
        for name, size in (("depth", depth), ("width", width), ("inputs", inputs), ("outputs", outputs)):
            if size < 1:
                raise InputError(f"expected {name} of at least 1, got {size}")
        if not 0 < scale < float("inf"):
            raise InputError(f"expected a positive scale, got {scale}")
        self.scale = scale
        sizes = [inputs, *[width] * (depth - 1), outputs]
        # On this module rather than on layers: balanced weights are drawn together.
        for number, (before, after) in enumerate(pairwise(sizes), 1):
            self.register_parameter(f"weight{number}", nn.Parameter(torch.empty(after, before)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new balanced weights."""
        weights = self.weights()
        sizes = [weights[0].shape[1], *(weight.shape[0] for weight in weights)]
        rank, each = min(sizes), self.scale ** (1 / len(weights))
        frames = [torch.linalg.qr(torch.randn(size, rank))[0] for size in sizes]
        with torch.no_grad():
            for weight, (before, after) in zip(weights, pairwise(frames), strict=True):
                weight.copy_(each * after @ before.T)

    def weights(self) -> tuple[nn.Parameter, ...]:
        """The matrices W_1, ..., W_L."""
        return tuple(self.parameters())

    def product(self) -> Tensor:
        """The linear map W_L ... W_1, ``-> (outputs, inputs)``."""
        first, *others = self.weights()
        product: Tensor = first
        for weight in others:
            product = weight @ product
        return product

    def forward(self, samples: Tensor) -> Tensor:
        """Map samples ``(N, ...)`` of that many entries to ``(N, outputs)``."""
        hidden = samples.flatten(1)
        for weight in self.weights():
            hidden = F.linear(hidden, weight)
        return hidden
