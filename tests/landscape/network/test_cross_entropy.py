"""Cross-entropy with the classes on the slow axis is torch's own, in value, gradient and Hessian-vector product."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import grad, vmap

from lossatlas.landscape.network.cross_entropy import CLASSES, cross_entropy, faster


def _logits(n: int, classes: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(n * classes)
    logits = 5 * torch.randn(n, classes, generator=stream, dtype=dtype)
    return logits, torch.randint(0, classes, (n,), generator=stream)


@pytest.mark.parametrize("classes", [1, 2, 10, CLASSES, CLASSES + 1])
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 2e-6), (torch.float64, 1e-14)])
def test_value_gradient_and_curvature_are_those_of_torch(classes: int, dtype: torch.dtype, rounding: float) -> None:
    logits, target = _logits(17, classes, dtype)
    v = torch.randn(17, classes, generator=torch.Generator().manual_seed(1), dtype=dtype)

    def derivatives(loss: Any) -> list[Tensor]:
        x = logits.clone().requires_grad_()
        value = loss(x, target)
        (slope,) = torch.autograd.grad(value, x, create_graph=True)
        (bent,) = torch.autograd.grad((slope * v).sum(), x)
        return [value.detach(), slope.detach(), bent]

    for ours, theirs in zip(derivatives(cross_entropy), derivatives(F.cross_entropy), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=rounding, atol=rounding)


def test_ignored_samples_stay_ignored() -> None:
    logits, target = _logits(9, 4)
    target[::2] = -100
    assert cross_entropy(logits, target).item() == pytest.approx(F.cross_entropy(logits, target).item(), rel=1e-14)


def test_rows_see_themselves_alone() -> None:
    logits, target = _logits(30, 5)
    rows = logits.reshape(3, 10, 5)

    def loss(row: Tensor, classes: Tensor) -> Tensor:
        return cross_entropy(row, classes)

    found = vmap(grad(loss))(rows, target.reshape(3, 10))
    for k in range(3):
        torch.testing.assert_close(found[k], grad(F.cross_entropy)(rows[k], target.reshape(3, 10)[k]))


def test_other_shapes_are_handed_on() -> None:
    logits, _ = _logits(6, 3)
    shares = logits.softmax(1)
    torch.testing.assert_close(cross_entropy(logits, shares), F.cross_entropy(logits, shares), rtol=0, atol=0)
    images, classes = logits.reshape(2, 3, 3), torch.tensor([[0, 1, 2], [2, 1, 0]])
    torch.testing.assert_close(cross_entropy(images, classes), F.cross_entropy(images, classes), rtol=0, atol=0)


def test_only_the_plain_loss_is_replaced() -> None:
    assert faster(F.cross_entropy) is cross_entropy
    assert faster(nn.CrossEntropyLoss()) is cross_entropy
    for other in (
        F.mse_loss,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.CrossEntropyLoss(weight=torch.ones(3)),
        nn.CrossEntropyLoss(ignore_index=0),
        nn.CrossEntropyLoss(reduction="sum"),
    ):
        assert faster(other) is other
