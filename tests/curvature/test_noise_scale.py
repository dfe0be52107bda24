"""The gradient noise scale against the covariance of single gradients, and its interval against its promise."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from curved_networks import perceptron, points
from torch import nn

from lossatlas import landscape as landscapes
from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.curvature import gradient_noise
from lossatlas.landscape import NetworkLandscape


@pytest.fixture(scope="module")
def network():
    landscape, *_ = perceptron(6, samples=60)
    w = points(landscape, 1)[0]
    each = torch.stack([landscape.on(torch.tensor([i])).value_and_grad(w)[1] for i in range(60)])
    mean = each.mean(0)
    return landscape, w, float((each - mean).square().sum(1).mean()), float(mean.square().sum())


def test_signal_and_noise_are_without_bias(network):
    landscape, w, noise, signal = network
    found = gradient_noise(landscape, w, small=4, large=40, pairs=600)
    assert found.noise == pytest.approx(noise, rel=0.1)
    assert found.signal == pytest.approx(signal, rel=0.15)
    assert found.low < noise / signal < found.high
    assert found.scale == pytest.approx(found.noise / found.signal)


def test_the_interval_holds_the_truth_as_often_as_promised(network):
    landscape, w, noise, signal = network
    found = [gradient_noise(landscape, w, small=4, large=40, pairs=20, seed=seed) for seed in range(60)]
    inside = sum(each.low <= noise / signal <= each.high for each in found)
    assert inside >= 53


def test_no_gradient_has_no_scale():
    """At the least-squares solution |G|² is zero: no batch is large enough, and the interval says so."""
    g = generator("least squares")
    x, y = torch.randn(100, 3, generator=g).double(), torch.randn(100, 1, generator=g).double()
    net = nn.Linear(3, 1, bias=False).double()
    landscape = NetworkLandscape(net, nn.functional.mse_loss, (x, y))
    w = torch.linalg.lstsq(x, y).solution[:, 0]
    found = [gradient_noise(landscape, w, small=4, large=40, seed=seed) for seed in range(30)]
    assert sum(each.high == float("inf") for each in found) >= 25
    signal = torch.tensor([each.signal for each in found])
    assert abs(float(signal.mean())) < 3 * float(signal.std()) / 30**0.5
    assert all(each.noise > 0 for each in found)


def test_what_is_refused(network):
    landscape, w, *_ = network
    with pytest.raises(InputError, match="with data"):
        gradient_noise(landscapes.get("quadratic", dim=2), torch.zeros(2).double())
    ones = torch.ones(9, 1).double()
    summed = NetworkLandscape(
        nn.Linear(1, 1).double(), partial(nn.functional.mse_loss, reduction="sum"), (ones, ones), reduction="sum"
    )
    with pytest.raises(InputError, match="got a sum"):
        gradient_noise(summed, torch.ones(2).double(), small=2, large=4)
    with pytest.raises(InputError, match="small < large"):
        gradient_noise(landscape, w, small=8, large=8)
