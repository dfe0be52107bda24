"""Compiled gradients: the numbers of the loop, for any number of rows, and what cannot be compiled."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sample_networks import Reader
from torch import Tensor, nn

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator, seeded
from lossatlas.landscape import NetworkLandscape, Numerics
from lossatlas.landscape.network.compiled import CompiledGradient

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs a C++ compiler")

ROWS, SAMPLES = 4, 6


class Dense(nn.Module):
    """Two layers, one parameter that the loss does not see, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)
        self.unused = nn.Parameter(torch.ones(2))
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Classify ``(n, t, 4)``."""
        logits: Tensor = self.second(torch.tanh(self.first(x.mean(1)) * self.scale))
        return logits


def landscape(network: nn.Module, **options: Any) -> NetworkLandscape:
    stream = generator("compiled")
    data = torch.randn(20, 3, 4, generator=stream), torch.randint(0, 3, (20,), generator=stream)
    return NetworkLandscape(network, F.cross_entropy, data, numerics=Numerics(), **options)


@pytest.mark.parametrize("network", ["dense", "lstm"])
def test_equals_the_loop_whatever_the_number_of_rows(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with seeded("compiled"):
        plain = landscape(Dense() if network == "dense" else Reader(network), dtype=torch.float64)
    compiled = plain.with_numerics(Numerics(compiled=(ROWS, SAMPLES)))
    ran = []
    real = CompiledGradient.add_to
    monkeypatch.setattr(CompiledGradient, "add_to", lambda *given: (ran.append(len(given[3])), real(*given)))
    stream = generator("compiled rows")
    # As many as it was made for, fewer, more than fit at once.
    for rows in (ROWS, 1, 7):
        x = torch.randn(rows, plain.dim, generator=stream, dtype=torch.float64)
        own = torch.randint(0, 20, (rows, SAMPLES), generator=stream)
        value, gradient = compiled.on(own).value_and_grad(x)
        wanted_value, wanted_gradient = plain.on(own).value_and_grad(x)
        torch.testing.assert_close(value, wanted_value, rtol=1e-12, atol=0)
        torch.testing.assert_close(gradient, wanted_gradient, rtol=1e-11, atol=1e-14)
        assert torch.equal(compiled.on(own).value_and_grad(x)[1], gradient)
    assert ran == [ROWS, ROWS, 1, 1, 7, 7]


def test_batches_of_another_size_and_values_alone_are_computed_as_before() -> None:
    plain = landscape(Dense())
    compiled = plain.with_numerics(Numerics(compiled=(ROWS, SAMPLES)))
    x = torch.randn(ROWS, plain.dim, generator=generator("other"))
    short = torch.arange(ROWS * 2).reshape(ROWS, 2)
    full = torch.arange(ROWS * SAMPLES).reshape(ROWS, SAMPLES) % 20
    assert torch.equal(compiled.on(short).value_and_grad(x)[1], plain.on(short).value_and_grad(x)[1])
    assert torch.equal(compiled.on(full).value(x), plain.on(full).value(x))
    assert torch.equal(compiled.value_and_grad(x)[1], plain.value_and_grad(x)[1])


def test_a_network_that_cannot_be_batched_is_refused() -> None:
    class Branching(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            flat = x.mean(1)
            return super().forward(flat if float(flat.sum()) > 0 else -flat)

    x = torch.zeros(ROWS, 15)
    own = torch.zeros(ROWS, SAMPLES, dtype=torch.int64)
    compiled = landscape(Branching(4, 3)).with_numerics(Numerics(compiled=(ROWS, SAMPLES)))
    with pytest.raises(InputError, match=r"expected a network whose rows .*: leave out compiled"):
        compiled.on(own).value_and_grad(x)


def test_what_the_compiler_refuses_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        def run(*_: Tensor) -> Any:
            raise RuntimeError("no working C++ compiler found\nand much more")

        return run

    monkeypatch.setattr(torch, "compile", refuse)
    compiled = landscape(Dense()).with_numerics(Numerics(compiled=(ROWS, SAMPLES)))
    own = torch.zeros(ROWS, SAMPLES, dtype=torch.int64)
    with pytest.raises(InputError, match=r"got 'no working C\+\+ compiler found': install a C\+\+ compiler"):
        compiled.on(own).value_and_grad(torch.zeros(ROWS, compiled.dim))


def test_numerics_of_stored_results_keep_their_form() -> None:
    assert "compiled" not in Numerics().to_json()
    numerics = Numerics(compiled=(2, 3))
    assert Numerics(**numerics.to_json()) == numerics
    with pytest.raises(InputError, match="expected chunks of at least 1, got 0"):
        Numerics(compiled=(0, 3))
