"""ResNets: published sizes, the formula of a block, initial weights, normalisations."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossatlas import models
from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.core.randomness import generator, seeded
from lossatlas.models.convolution import HeConv2d

NORMS = ["batch", "layer", "rms", "none"]


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def by_hand(depth: int, planes: int, channels: int, norm: str, shortcut: str) -> int:
    """Parameters counted layer by layer, as one would with a pencil."""
    each = {"batch": 2, "layer": 2, "rms": 1, "none": 1}[norm]  # for each channel: gain and shift, gain, or bias
    total, inputs = channels * 9 * planes + each * planes, planes
    for outputs in (planes, 2 * planes, 4 * planes):
        for _ in range((depth - 2) // 6):
            total += 9 * inputs * outputs + 9 * outputs**2 + 2 * each * outputs
            if inputs != outputs and shortcut == "B":
                total += inputs * outputs + each * outputs
            inputs = outputs
    return total + 10 * inputs + 10


@pytest.mark.parametrize(("name", "published"), [("resnet20", 269_722), ("resnet56", 853_018)])
def test_parameter_counts_are_the_published_ones(name: str, published: int) -> None:
    """0.27 and 0.85 million in Table 6 of He et al. 2016."""
    assert count(models.get(name)) == published
    assert count(models.get(name, skips=False)) == published
    extra = 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert count(models.get(name, shortcut="B")) == published + extra
    assert count(models.get(name, shortcut="B", skips=False)) == published


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_every_option_is_counted(norm: str, shortcut: str) -> None:
    model = models.get("resnet20", depth=14, norm=norm, shortcut=shortcut, width=0.5, channels=1)
    assert count(model) == by_hand(14, 8, 1, norm, shortcut)


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_forward_is_the_formula(skips: bool, shortcut: str) -> None:
    """Against the equations written out with the functions of torch, block by block."""
    with seeded("formula"):
        net = models.get("resnet20", depth=14, skips=skips, shortcut=shortcut, width=0.25, norm="none").double()
    x = torch.randn(2, 3, 12, 12, generator=generator("x"), dtype=torch.float64)

    def conv(layer: HeConv2d, maps: Tensor, stride: int, padding: int = 1) -> Tensor:
        return F.conv2d(maps, layer.weight, layer.bias, stride=stride, padding=padding)

    maps = F.relu(conv(net.conv, x, 1))
    for stage in range(3):
        for number in range(2):
            block = net.stages[stage][number]
            stride = 2 if stage and not number else 1
            inner = conv(block.conv2, F.relu(conv(block.conv1, maps, stride)), 1)
            if skips:
                if stride == 1:
                    skip = maps
                elif shortcut == "B":
                    skip = conv(block.projection[0], maps, 2, padding=0)
                else:
                    skip = torch.cat([maps[:, :, ::2, ::2], torch.zeros_like(maps[:, :, ::2, ::2])], 1)
                inner = inner + skip
            maps = F.relu(inner)
    expected = maps.mean((2, 3)) @ net.fc.weight.T + net.fc.bias
    torch.testing.assert_close(net(x), expected, rtol=1e-12, atol=1e-12)


def test_normalisations_are_what_they_say() -> None:
    x = 3 + 2 * torch.randn(8, 4, 5, 5, generator=generator("maps"), dtype=torch.float64)

    def first(norm: str) -> Tensor:
        net = models.get("resnet20", depth=8, norm=norm, width=0.25, channels=4).double().train()
        return net.norm(x)

    for axes, norm in (((0, 2, 3), "batch"), ((1, 2, 3), "layer")):
        maps = first(norm)
        torch.testing.assert_close(maps.mean(axes), torch.zeros_like(maps.mean(axes)), rtol=0, atol=1e-12)
        torch.testing.assert_close(maps.var(axes, correction=0), torch.ones_like(maps.mean(axes)), rtol=1e-4, atol=0)
    scaled = first("rms")
    torch.testing.assert_close(scaled * x.square().mean((1, 2, 3), keepdim=True).sqrt(), x, rtol=1e-4, atol=0)
    assert first("none") is x
    gained = models.get("resnet20", depth=8, norm="rms", width=0.25, channels=4).double().norm
    with torch.no_grad():
        gained.weight.copy_(torch.tensor([1.0, 2.0, 0.0, -1.0]))
    torch.testing.assert_close(gained(x), scaled * gained.weight[:, None, None])


@pytest.mark.parametrize("norm", NORMS)
def test_signals_survive_depth_without_skips(norm: str) -> None:
    """He's initial weights keep the size of the signal through 55 layers; torch's own lose it."""
    with seeded("depth"):
        net = models.get("resnet56", skips=False, norm=norm, width=0.5).train()
    x = torch.randn(16, 3, 16, 16, generator=generator("pictures"))
    assert 0.01 < float(net(x).detach().std()) < 10
    if norm == "none":
        with seeded("depth"):
            for layer in net.modules():
                if isinstance(layer, HeConv2d):
                    nn.Conv2d.reset_parameters(layer)
        lost = (net(x) - net.fc.bias).detach()
        assert float((lost - lost.mean(0)).std()) < 1e-6


def test_redrawn_weights_are_he_et_als_too() -> None:
    net = models.get("resnet20", norm="none")
    for layer in net.modules():
        if isinstance(layer, HeConv2d):
            layer.reset_parameters()
    weight = net.stages[2][1].conv1.weight
    assert float(weight.detach().std()) == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.02)
    assert float(weight.detach().mean()) == pytest.approx(0, abs=5 * math.sqrt(2 / (64 * 9) / weight.numel()))
    assert float(net.conv.bias.detach().abs().max()) == 0


def test_width_multiplies_the_planes() -> None:
    assert models.get("resnet20", width=2).fc.in_features == 128
    assert models.get("resnet20", width=0.01).fc.in_features == 1
    ratio = count(models.get("resnet20", width=4)) / count(models.get("resnet20"))
    assert 15 < ratio < 16


def test_digits_and_other_sizes_fit() -> None:
    assert models.get("resnet20", channels=1)(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert models.get("resnet20", classes=7, channels=2)(torch.rand(2, 2, 9, 11)).shape == (2, 7)
    assert models.get("vgg9", channels=2, classes=4, side=9, width=0.1)(torch.rand(3, 2, 9, 9)).shape == (3, 4)


def test_bad_options_get_one_sentence() -> None:
    with pytest.raises(InputError, match=r"depth of 6 n \+ 2 .* got 18: take 20"):
        models.get("resnet20", depth=18)
    with pytest.raises(InputError, match="take 8"):
        models.get("resnet20", depth=2)
    with pytest.raises(InputError, match="shortcut 'A' or 'B', got 'C'"):
        models.get("resnet20", shortcut="C")
    with pytest.raises(InputError, match="positive width multiplier, got 0"):
        models.get("resnet20", width=0)
    with pytest.raises(ConfigurationError, match="unknown normalisation 'bach': did you mean 'batch'"):
        models.get("resnet20", norm="bach")
    with pytest.raises(ConfigurationError, match="model 'resnet20' has no option 'skip': did you mean 'skips'"):
        models.get("resnet20", skip=False)
