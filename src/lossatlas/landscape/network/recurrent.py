"""Recurrent layers written out step by step, so that ``torch.func.vmap`` can run them for many rows at once.

PyTorch's fused LSTM, GRU and Elman layers have no batched form: without this, replicas of a recurrent network could
only be evaluated one after another. On a CPU that is usually the faster way, for the fused layers are well written; on
an accelerator the steps of all rows share their launches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["UnrolledRecurrence", "unrolled_where_needed"]

_State: TypeAlias = tuple[Tensor, ...]


@dataclass(frozen=True)
class _Weights:
    """Of one layer in one direction: input and hidden, their biases, and the projection of an LSTM's output."""

    ih: Tensor
    hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None
    hr: Tensor | None

    def hidden(self, h: Tensor) -> Tensor:
        return F.linear(h, self.hh, self.b_hh)


# One step: what the inputs add to the gates, the state and the weights, ``-> state``; its first part is the output.
_Cell: TypeAlias = Callable[[Tensor, _State, _Weights], _State]


def _lstm(from_input: Tensor, state: _State, weights: _Weights) -> _State:
    h, c = state
    i, f, g, o = (from_input + weights.hidden(h)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return (h if weights.hr is None else F.linear(h, weights.hr)), c


def _gru(from_input: Tensor, state: _State, weights: _Weights) -> _State:
    (h,) = state
    x_reset, x_update, x_new = from_input.chunk(3, -1)
    h_reset, h_update, h_new = weights.hidden(h).chunk(3, -1)
    new = (x_new + (x_reset + h_reset).sigmoid() * h_new).tanh()
    return (torch.lerp(new, h, (x_update + h_update).sigmoid()),)


def _tanh(from_input: Tensor, state: _State, weights: _Weights) -> _State:
    return ((from_input + weights.hidden(state[0])).tanh(),)


def _relu(from_input: Tensor, state: _State, weights: _Weights) -> _State:
    return ((from_input + weights.hidden(state[0])).relu(),)


_CELLS: Mapping[Callable[..., Any], _Cell] = {
    torch.lstm: _lstm,
    torch.gru: _gru,
    torch.rnn_tanh: _tanh,
    torch.rnn_relu: _relu,
}


def _cut(flat: Sequence[Tensor], parts: int, bias: bool) -> Iterator[_Weights]:
    """The weights of so many layers and directions from their flat list."""
    each = len(flat) // parts
    projected = each > (4 if bias else 2)
    for start in range(0, len(flat), each):
        ih, hh, *rest = flat[start : start + each]
        b_ih, b_hh = rest[:2] if bias else (None, None)
        yield _Weights(ih, hh, b_ih, b_hh, rest[-1] if projected else None)


def _run(cell: _Cell, steps: Tensor, state: _State, weights: _Weights, backwards: bool) -> tuple[Tensor, _State]:
    """One layer in one direction, ``(t, *n, i) -> (t, *n, h)``."""
    # Inputs are known beforehand: all their products are one.
    from_input = F.linear(steps, weights.ih, weights.b_ih).unbind(0)
    outputs: list[Tensor] = []
    for part in reversed(from_input) if backwards else from_input:
        state = cell(part, state, weights)
        outputs.append(state[0])
    return torch.stack(outputs[::-1] if backwards else outputs), state


def _unrolled(
    cell: _Cell, steps: Tensor, start: _State, weights: Sequence[_Weights], directions: int
) -> tuple[Tensor, ...]:
    """Outputs, ``(t, *n, i) -> (t, *n, h)``, and the last state of every layer and direction."""
    last: list[_State] = []
    for layer in range(len(weights) // directions):
        found = []
        for direction in range(directions):
            number = layer * directions + direction
            own = tuple(part[number] for part in start)
            output, state = _run(cell, steps, own, weights[number], backwards=direction == 1)
            found.append(output)
            last.append(state)
        steps = torch.cat(found, -1) if directions == 2 else found[0]
    return steps, *(torch.stack(parts) for parts in zip(*last, strict=True))


class UnrolledRecurrence(TorchFunctionMode):
    """Within this context ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN`` are computed step by step from plain operations.

    Packed sequences, and dropout between layers in training, are left to PyTorch.

    Example:
        >>> layer = torch.nn.GRU(3, 2)
        >>> with UnrolledRecurrence():
        ...     layer(torch.zeros(5, 4, 3))[0].shape
        torch.Size([5, 4, 2])
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace the fused layers; every other function runs unchanged."""
        cell = _CELLS.get(func)
        # Packed sequences have their batch sizes in the second place, which moves all other arguments by one.
        if cell is None or kwargs or not isinstance(args[3], bool):
            return func(*args, **(kwargs or {}))
        inputs, start, flat, bias, layers, dropout, training, bidirectional, batch_first = args
        if training and dropout:
            return func(*args)
        states = (start,) if isinstance(start, Tensor) else tuple(start)
        directions = 2 if bidirectional else 1
        weights = list(_cut(flat, layers * directions, bias))
        turned = batch_first and inputs.ndim == 3
        outputs, *last = _unrolled(cell, inputs.transpose(0, 1) if turned else inputs, states, weights, directions)
        return (outputs.transpose(0, 1) if turned else outputs), *last


def unrolled_where_needed(model: nn.Module) -> AbstractContextManager[object]:
    """:class:`UnrolledRecurrence` for a model with recurrent layers; for others nothing, which costs nothing."""
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    return UnrolledRecurrence() if recurrent else nullcontext()
