"""The paper's architectures: parameter counts, initialisation, permutation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lossatlas import models
from lossatlas.core.errors import ConfigurationError
from lossatlas.core.randomness import seeded

PARAMETERS = {"fcp": 42_200, "lenet": 61_706, "autoencoder": 52_224, "lstm": 15_456}
OTHERS = {"resnet8", "resnet20", "resnet56", "vgg9", "deep-linear"}  # counted in test_resnet.py and test_others.py


def test_every_model_is_counted() -> None:
    assert set(PARAMETERS) | OTHERS == set(models.models)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_are_the_papers(name: str) -> None:
    assert sum(p.numel() for p in models.get(name).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_initial_weights_are_torchs_defaults(name: str) -> None:
    """Drawn in the order of the layers, so a plain torch model with the same layers gets the same bits."""
    with seeded(0, name):
        ours = models.get(name)
    with seeded(0, name):
        for layer in ours.children():
            if isinstance(layer, nn.Linear):
                twin: nn.Module = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
            elif isinstance(layer, nn.Conv2d):
                twin = nn.Conv2d(layer.in_channels, layer.out_channels, 5, padding=layer.padding)
            else:
                twin = nn.LSTM(28, 48, batch_first=True)
            for a, b in zip(layer.parameters(), twin.parameters(), strict=True):
                assert torch.equal(a, b)


def test_fcp_is_the_formula() -> None:
    net, x = models.get("fcp"), torch.rand(3, 1, 28, 28)
    w1, w2, w3 = net.parameters()
    expected = F.softplus(F.softplus(x.reshape(3, 784) @ w1.T) @ w2.T) @ w3.T
    assert torch.allclose(net(x), expected, atol=1e-6)


def test_autoencoder_is_the_formula() -> None:
    net, x = models.get("autoencoder"), torch.rand(3, 1, 28, 28)
    hidden = x.reshape(3, 784)
    *inner, last = net.parameters()
    for w in inner:
        hidden = F.softplus(hidden @ w.T)
    assert torch.allclose(net(x), torch.sigmoid(hidden @ last.T), atol=1e-6)


def test_lstm_reads_the_published_permutation() -> None:
    net = models.get("lstm")
    expected = torch.randperm(784, generator=torch.Generator().manual_seed(1234))
    assert torch.equal(dict(net.named_buffers())["permutation"], expected)
    x = torch.rand(2, 1, 28, 28)
    states, _ = net.lstm(x.reshape(2, 784)[:, expected].reshape(2, 28, 28))
    assert torch.allclose(net(x), states[:, -1] @ net.fc.weight.T)


def test_lenet_applies_the_activation_before_pooling() -> None:
    net, x = models.get("lenet"), torch.rand(2, 1, 28, 28)
    maps = F.avg_pool2d(F.softplus(F.conv2d(x, net.conv1.weight, net.conv1.bias, padding=2)), 2)
    maps = F.avg_pool2d(F.softplus(F.conv2d(maps, net.conv2.weight, net.conv2.bias)), 2)
    hidden = F.softplus(net.fc2(F.softplus(net.fc1(maps.flatten(1)))))
    assert torch.allclose(net(x), net.fc3(hidden), atol=1e-6)


@pytest.mark.parametrize("activation", models.activations)
def test_activation_is_selectable(activation: str) -> None:
    net, f = models.get("fcp", activation=activation), models.activations[activation]
    x = torch.randn(2, 1, 28, 28)
    assert torch.allclose(net(x), net.fc3(f(net.fc2(f(net.fc1(x.flatten(1)))))))


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'lenet'"):
        models.get("lennet")
    with pytest.raises(ConfigurationError, match="did you mean 'relu'"):
        models.get("fcp", activation="relus")
    with pytest.raises(ConfigurationError, match="model 'fcp' has no option 'widht'"):
        models.get("fcp", widht=3)
