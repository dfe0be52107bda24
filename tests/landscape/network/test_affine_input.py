"""Rows on a plane give the losses of the same rows written out, whatever a network does with its data."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from sample_networks import NETWORKS, images, rows_of, vectors
from torch import Tensor, nn

from lossatlas.core.randomness import generator, seeded
from lossatlas.landscape import NetworkLandscape, Numerics
from lossatlas.landscape.contract import AffineRows
from lossatlas.landscape.network.affine_input import DataLayers, Lines


def plane(landscape: NetworkLandscape, points: int = 9, k: int = 2) -> AffineRows:
    g = generator("plane", landscape.dim)
    base = rows_of(landscape, 1)[0]
    directions = 0.1 * torch.randn(k, landscape.dim, generator=g, dtype=torch.float64).to(base)
    coefficients = torch.randn(points, k, generator=g, dtype=torch.float64).to(base)
    return AffineRows(base, coefficients, directions)


@pytest.fixture
def combined(monkeypatch) -> list[int]:
    """How many layers were combined from products, one entry for each call."""
    calls: list[int] = []
    single, every = Lines.find, Lines.find_all

    def find(self, tensor):
        found = single(self, tensor)
        calls.extend([1] if found is not None else [])
        return found

    def find_all(self, stacked):
        found = every(self, stacked)
        calls.extend([len(stacked)] if found is not None else [])
        return found

    monkeypatch.setattr("lossatlas.landscape.network.affine_input.FAN_IN", 0)
    monkeypatch.setattr(Lines, "find", find)
    monkeypatch.setattr(Lines, "find_all", find_all)
    return calls


@pytest.mark.parametrize("strategy", ["loop", "convnet", "vmap", "fused"])
@pytest.mark.parametrize("name", ["fcp", "lenet", "autoencoder", "normalised", "attention"])
def test_values_are_those_of_the_rows_written_out(name, strategy, combined):
    numerics = Numerics(full=strategy, data_chunk=10)
    landscape = NETWORKS[name](dtype=torch.float64, numerics=numerics)
    lazy = plane(landscape)
    found = landscape.value(lazy)
    used = bool(combined)
    dense = landscape.with_numerics(Numerics()).value(lazy.dense())
    assert torch.allclose(found, dense, rtol=1e-12, atol=0)
    assert used == (strategy != "vmap" and (strategy != "fused" or name not in ("lenet", "attention")))
    metrics, plain = landscape.metrics(lazy), landscape.with_numerics(Numerics()).metrics(lazy.dense())
    for figure, values in metrics.items():
        assert torch.allclose(values, plain[figure], rtol=1e-12)
    combined.clear()
    landscape.value(lazy.dense())
    landscape.value_and_grad(lazy)
    assert combined == []


def test_few_rows_are_not_worth_it(combined):
    landscape = NETWORKS["fcp"](numerics=Numerics())
    landscape.value(plane(landscape, points=5))
    assert combined == []
    landscape.value(plane(landscape, points=6))
    assert combined


@pytest.mark.parametrize(("name", "used"), [("fcp", True), ("lenet", False), ("normalised", False)])
@pytest.mark.parametrize("strategy", ["loop", "fused"])
def test_small_kernels_are_left_to_the_layer(name, used, strategy, combined, monkeypatch):
    monkeypatch.undo()
    calls = []
    part = Lines._part
    monkeypatch.setattr(Lines, "_part", lambda self, *given: (calls.append(1), part(self, *given))[1])
    landscape = NETWORKS[name](numerics=Numerics(full=strategy))
    landscape.value(plane(landscape))
    assert bool(calls) == used


def test_float32_keeps_its_digits():
    landscape = NETWORKS["fcp"](numerics=Numerics(full="fused"))
    lazy = plane(landscape)
    exact = landscape.to(dtype=torch.float64).value(lazy.dense().double())
    assert torch.allclose(landscape.value(lazy).double(), exact, rtol=1e-5)


class Odd(nn.Module):
    """Everything that must not be taken for a layer of the data, and some that may."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 6))
        self.other = nn.Parameter(torch.randn(3, 6))
        self.shift = nn.Parameter(torch.randn(3))
        self.inner = nn.Linear(3, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        masked = F.linear(x, self.weight * (self.weight > 0))  # not a part of the row
        turned = F.linear(x, self.weight.T)  # a part, but in another order
        plain = F.linear(x, self.other, 2 * self.shift)  # a bias that is not a part
        own = F.linear(x, self.other, self.shift)
        again = F.linear(own, self.inner.weight)  # not the data
        half = F.linear(x[: len(x) // 2], self.other).mean(0)  # a part of the data
        fixed = F.linear(x, torch.ones(3, 6, dtype=x.dtype))
        return plain + own + again + half + fixed + F.linear(masked.tanh() + turned.tanh(), self.other)


@pytest.mark.parametrize("strategy", ["loop", "fused"])
def test_what_only_looks_like_a_layer_of_the_data(strategy, combined):
    with seeded("odd"):
        net = Odd().double()
    x, y = vectors()
    landscape = NetworkLandscape(net, F.cross_entropy, (x.double(), y), numerics=Numerics(full=strategy))
    lazy = plane(landscape)
    expected = landscape.with_numerics(Numerics()).value(lazy.dense())
    assert torch.allclose(landscape.value(lazy), expected, rtol=1e-12)
    assert combined


def test_data_that_was_written_to_is_no_longer_known(monkeypatch):
    x = torch.randn(4, 3)
    rows = torch.randn(9, 6)
    lines = Lines(rows, torch.ones(9, 3), torch.randn(3, 6))
    assert not lines.pays(rows[2].reshape(2, 3))
    monkeypatch.setattr("lossatlas.landscape.network.affine_input.FAN_IN", 0)
    mode = DataLayers(lines, (x, torch.zeros(4)))
    weight = rows[2].reshape(2, 3)
    with torch.no_grad():
        assert mode._combined(F.linear, x, weight) is not None
        x += 1
        assert mode._combined(F.linear, x, weight) is None


def test_convolutions_with_every_option(combined):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 4, 3, stride=2, padding=1, dilation=2)
            self.second = nn.Conv2d(1, 4, 3, stride=2, padding=1, dilation=2, bias=False)
            self.line = nn.Conv1d(28, 2, 5)
            self.head = nn.Linear(4, 10)

        def forward(self, x: Tensor) -> Tensor:
            seen = (self.first(x) * self.second(x)).mean((2, 3))
            return self.head(seen) + self.line(x.squeeze(1)).mean((1, 2))[:, None]

    with seeded("conv options"):
        net = Net().double()
    x, y = images(8)
    landscape = NetworkLandscape(net, F.cross_entropy, (x.double(), y), numerics=Numerics())
    lazy = plane(landscape, k=3)
    found = landscape.value(lazy)
    # Weight and bias of the first, weight of the second, weight and bias of the third, for each of nine rows.
    assert len(combined) == 9 * 5
    assert torch.allclose(found, landscape.value(lazy.dense()), rtol=1e-12)
