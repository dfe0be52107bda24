"""Losses that differ from one call to the next, and the random operations that make them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lossatlas.core.errors import NonDeterministicLossError
from lossatlas.landscape.network.evaluator import Evaluator, Numerics, Slices
from lossatlas.landscape.network.sources import LoaderSource, TensorSource

__all__ = ["RandomCalls", "refuse_noise"]

# Samples on which a loss is tried.
_SOME = 256

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


def refuse_noise(evaluator: Evaluator, point: Tensor) -> None:
    """Evaluate twice, letting the random state move between, and refuse two different answers.

    Args:
        evaluator: of the loss.
        point: ``(d,)``.

    Raises:
        NonDeterministicLossError: the answers differ; the message names the random operations.
    """
    probe = copy.copy(evaluator)
    if isinstance(probe.source, TensorSource):
        some = torch.arange(min(probe.source.samples, _SOME), device=probe.device)
        probe.source = TensorSource(probe.source.take(some))
    probe = probe.with_numerics(Numerics())
    first, second = (_loss(probe, point) for _ in range(2))
    # Shuffled loaders change the order of summation, augmentation and dropout change the sum itself.
    tolerance = 200 * torch.finfo(probe.dtype).eps
    if first[1] != second[1] or abs(first[0] - second[0]) > tolerance * max(abs(first[0]), abs(second[0])):
        with RandomCalls() as calls:
            _loss(probe, point)
        found = f" (it calls {', '.join(calls.names)})" if calls.names else ""
        one, other = (total / samples for total, samples in (first, second))
        raise NonDeterministicLossError(
            f"expected the same loss twice for the same weights, got {one:.9g} and {other:.9g}{found}: turn off "
            f"{_usual_reasons(evaluator)}"
        )


def _usual_reasons(evaluator: Evaluator) -> str:
    reasons = "dropout that is active in eval mode, data augmentation and random sampling"
    if isinstance(evaluator.source, LoaderSource):
        reasons += (
            ", or make the loader with drop_last=False, so that every pass has the same samples, and shuffle=False"
        )
    return reasons


def _loss(evaluator: Evaluator, point: Tensor) -> tuple[float, int]:
    """Summed loss and number of samples."""
    total, _, samples = evaluator.sums(point[None], Slices(None, {}), gradient=False)
    return float(total), samples
