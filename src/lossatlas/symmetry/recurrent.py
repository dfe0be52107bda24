"""Recurrent layers: their hidden units are rows of every gate and columns of the recurrent weight."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.symmetry.labels import Labels, Vector, spread
from lossatlas.symmetry.tracer import Call, Tracer, tensors_in

__all__ = ["recurrent"]


def recurrent(tracer: Tracer, call: Call) -> None:
    """Follow ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN``: any number of layers, one or both directions.

    A gate is a block of h rows of weight_ih, weight_hh and both biases; all gates of a unit move together. Zero
    initial states have no order; others are refused.
    """
    if not isinstance(call.args[2], list):
        tracer.refuse(call, "packed sequences are not followed")
    inputs, initial, weights = call.args[:3]
    layers, both = int(call.args[4]), bool(call.args[7])
    if any(bool(tensor.any()) for tensor in tensors_in(initial)):
        tracer.refuse(call, "initial states other than zero hold the units in their order")
    directions = 2 if both else 1
    each = len(weights) // (layers * directions)
    hidden = weights[1].shape[1]
    blocks = weights[1].shape[0] // hidden
    if each not in (2, 4) or weights[0].shape[0] != blocks * hidden:
        tracer.refuse(call, "projections of the hidden state are not followed")
    vector = tracer.along(inputs, -1)
    states: list[Vector] = []
    for layer in range(layers):
        level: list[Vector] = []
        for direction in range(directions):
            start = (layer * directions + direction) * each
            own: list[Tensor] = weights[start : start + each]
            tracer.assign(own[0], 1, vector)
            level.append(tracer.recurrent_units(own, blocks))
        states.extend(level)
        vector = Vector(torch.cat([v.units for v in level]), torch.cat([v.places for v in level]))
    output, *last = list(tensors_in(call.out))
    tracer.label(output, spread(vector, -1, output.shape))
    for final in last:  # (layers * directions, [batch,] h)
        parts = [spread(v, -1, final.shape[1:]) for v in states]
        tracer.label(final, Labels(torch.stack([p.units for p in parts]), torch.stack([p.places for p in parts])))
