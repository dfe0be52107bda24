"""Recurrent layers written out step by step, against the fused ones."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import sample_networks as nets
import torch
import torch.nn.functional as F
from sample_networks import RECURRENT
from torch import Tensor, nn

from lossatlas.core.randomness import generator, seeded
from lossatlas.landscape import NetworkLandscape, Numerics
from lossatlas.landscape.network.recurrent import UnrolledRecurrence

FORMS = list(itertools.product((1, 2), (True, False), (True, False), (True, False)))


def both(layer: nn.Module, *arguments: Any) -> tuple[list[Tensor], list[Tensor]]:
    """What the fused layer and the one written out return, flattened."""

    def flat(output: Any) -> list[Tensor]:
        first, state = output
        return [first, *(state if isinstance(state, tuple) else (state,))]

    fused = flat(layer(*arguments))
    with UnrolledRecurrence():
        return flat(layer(*arguments)), fused


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize(("layers", "bias", "batch_first", "bidirectional"), FORMS)
def test_equals_the_fused_layer(kind: str, layers: int, bias: bool, batch_first: bool, bidirectional: bool) -> None:
    make, options = RECURRENT[kind]
    with seeded("recurrent"):
        layer = make(3, 4, layers, bias=bias, batch_first=batch_first, bidirectional=bidirectional, **options).double()
    stream = generator("recurrent input")
    for shape in ((5, 6, 3), (7, 3)):  # a batch, and one sequence without a batch axis
        inputs = torch.randn(shape, generator=stream, dtype=torch.float64)
        ours, fused = both(layer, inputs)
        again, states = both(layer, inputs, tuple(fused[1:]) if len(fused) == 3 else fused[1])
        for a, b in zip([*ours, *again], [*fused, *states], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


def test_packed_sequences_are_left_to_pytorch() -> None:
    for layer in (nn.LSTM(3, 4), nn.GRU(3, 4)):
        packed = nn.utils.rnn.pack_padded_sequence(torch.ones(5, 2, 3), [5, 3])
        plain = layer(packed)[0].data
        with UnrolledRecurrence():
            assert torch.equal(layer(packed)[0].data, plain)


def test_dropout_between_layers_in_training_is_left_to_pytorch() -> None:
    layer = nn.LSTM(3, 4, 2, dropout=0.5)
    with seeded("dropout"):
        plain = layer(torch.ones(5, 2, 3))[0]
    with seeded("dropout"), UnrolledRecurrence():
        assert torch.equal(layer(torch.ones(5, 2, 3))[0], plain)


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("strategy", ["vmap", "fused"])
def test_rows_of_a_recurrent_network_run_together(kind: str, strategy: Any) -> None:
    stream = generator("reader")
    data = torch.randn(9, 6, 4, generator=stream), torch.randint(0, 3, (9,), generator=stream)
    with seeded("reader"):
        network = nets.Reader(kind)
    loop = NetworkLandscape(network, F.cross_entropy, data, dtype=torch.float64, numerics=Numerics())
    together = loop.with_numerics(Numerics(full=strategy, mini=strategy))
    x = 0.5 * torch.randn(4, loop.dim, generator=stream, dtype=torch.float64)
    own = torch.randint(0, 9, (4, 5), generator=stream)
    for a, b in ((loop, together), (loop.on(own), together.on(own))):
        for found, wanted in zip(b.value_and_grad(x), a.value_and_grad(x), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(b.metrics(x)["loss"], a.metrics(x)["loss"], rtol=1e-12, atol=0)
