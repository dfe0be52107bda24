"""VGG-9 and the deep linear network."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from lossatlas import models
from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator, seeded


def test_vgg9_is_counted_by_hand() -> None:
    planes = [3, 64, 64, 128, 128, 256, 256, 256]
    convolutions = sum(9 * a * b + b for a, b in pairwise(planes))
    norms = 2 * (sum(planes[1:]) + 256)
    dense = 256 * 4 * 4 * 256 + 256 + 256 * 10 + 10
    assert sum(p.numel() for p in models.get("vgg9").parameters()) == convolutions + norms + dense == 2_789_706


def test_vgg9_is_the_formula() -> None:
    with seeded("vgg"):
        net = models.get("vgg9", norm="none", width=0.05, side=10).double()
    x = torch.randn(2, 3, 10, 10, generator=generator("x"), dtype=torch.float64)
    parameters = dict(net.named_parameters())
    maps = x
    for group, layers in enumerate((2, 2, 3)):
        for number in range(layers):
            name = f"groups.{group}.{number}.0"
            maps = F.relu(F.conv2d(maps, parameters[f"{name}.weight"], parameters[f"{name}.bias"], padding=1))
        maps = F.max_pool2d(maps, 2, ceil_mode=True)  # 10, 5, 3, 2
    hidden = F.relu(F.linear(maps.flatten(1), net.fc1.weight, net.fc1.bias))
    torch.testing.assert_close(net(x), F.linear(hidden, net.fc2.weight, net.fc2.bias), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("depth", "width"), [(1, 1), (2, 3), (4, 6), (5, 2)])
def test_deep_linear_is_balanced_and_one_product(depth: int, width: int) -> None:
    with seeded("linear", depth):
        net = models.get("deep-linear", depth=depth, width=width, inputs=5, outputs=4, scale=0.3).double()
    weights = net.weights()
    assert len(weights) == depth
    x = torch.randn(7, 5, generator=generator("x"), dtype=torch.float64)
    torch.testing.assert_close(net(x), x @ net.product().T)
    for before, after in pairwise(weights):
        torch.testing.assert_close(after.T @ after, before @ before.T, rtol=0, atol=1e-6)
    rank = min(5, 4, width) if depth > 1 else 4
    expected = torch.tensor([0.3] * rank + [0.0] * (4 - rank), dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.svdvals(net.product()), expected, rtol=0, atol=1e-6)


def test_gradient_flow_of_a_deep_linear_network_follows_saxe() -> None:
    """Whitened inputs, L = 2: each mode obeys s(t) = s* e^(2 s* t) / (e^(2 s* t) - 1 + s*/s0)."""
    with seeded("saxe"):
        net = models.get("deep-linear", depth=2, width=3, inputs=3, outputs=3, scale=0.01).double()
    # Aligned with the initial product, so that modes do not rotate: M = strengths along its singular directions.
    u, _, v = torch.linalg.svd(net.product().detach())
    strengths = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    target = u @ torch.diag(strengths) @ v
    step, steps = 1e-3, 2000
    for _ in range(steps):
        loss = 0.5 * (net.product() - target).square().sum()
        grads = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for weight, grad in zip(net.parameters(), grads, strict=True):
                weight.sub_(step * grad)
    found = torch.diagonal(u.T @ net.product().detach() @ v.T)
    grown = torch.exp(2 * strengths * step * steps)
    expected = strengths * grown / (grown - 1 + strengths / 0.01)
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=0)
    assert 0.3 < float(found[2]) < 0.4 < 2.9 < float(found[0])  # some learned, some not yet


def test_bad_sizes_are_refused() -> None:
    for options, words in (
        ({"depth": 0}, "depth of at least 1"),
        ({"width": 0}, "width of at least 1"),
        ({"outputs": -1}, "outputs of at least 1"),
        ({"scale": 0.0}, "positive scale"),
    ):
        with pytest.raises(InputError, match=words):
            models.get("deep-linear", **options)
