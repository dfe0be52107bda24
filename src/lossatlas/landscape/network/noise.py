"""Which random operations a network runs, for the message that refuses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["RandomCalls"]

_DROPPING = {
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout,
    torch.dropout, torch.feature_dropout, torch.alpha_dropout,
}  # fmt: skip
_DRAWING = {
    torch.rand, torch.randn, torch.randint, torch.randperm, torch.rand_like, torch.randn_like, torch.randint_like,
    torch.normal, torch.bernoulli, torch.multinomial, torch.poisson, F.gumbel_softmax, F.rrelu,
    Tensor.bernoulli, Tensor.bernoulli_, Tensor.normal_, Tensor.uniform_, Tensor.exponential_, Tensor.multinomial,
}  # fmt: skip


class RandomCalls(TorchFunctionMode):
    """Within this context the random operations that are called are written down.

    Attributes:
        names: of them, in the order of their first call.

    Example:
        >>> with RandomCalls() as calls:
        ...     _ = F.dropout(torch.randn(2), 0.5, training=True), F.dropout(torch.ones(2), 0.5, training=False)
        >>> calls.names
        ['randn', 'dropout']
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Note the function and run it."""
        kwargs = kwargs or {}
        active = args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train", True))
        if func in _DRAWING or (func in _DROPPING and active):
            name = str(getattr(func, "__name__", func)).rstrip("_")
            if name not in self.names:
                self.names.append(name)
        return func(*args, **kwargs)
