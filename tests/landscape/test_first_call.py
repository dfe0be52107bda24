"""What a user's model or loss raises is told in one sentence, with what is usually meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lossatlas.core.errors import InputError, NonDeterministicLossError
from lossatlas.landscape import NetworkLandscape

X, Y = torch.randn(8, 3), torch.arange(8) % 2


class Several(nn.Module):
    """Returns more than its output, as transformers do."""

    def __init__(self, wrap: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 2)
        self.wrap = wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(self.inner(x))


@pytest.mark.parametrize(
    ("model", "data", "told"),
    [
        (Several(lambda out: (out, out)), (X, Y), "forward="),
        (Several(lambda out: {"logits": out}), (X, Y), "forward="),
        (nn.Linear(3, 2), ((10 * X).long(), Y), r"inputs\.float\(\)"),
        (nn.Linear(3, 2), (X, Y + 1), "below the number of the network's outputs"),
        (nn.Linear(3, 2), (X, Y.float()), r"targets\.long\(\)"),
        (nn.Linear(4, 2), (X, Y), "try both on one batch"),
        (nn.Linear(3, 2), X, "forward="),
        (nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)), (X, Y), "try both on one batch"),
    ],
    ids=["tuple", "dict", "whole-inputs", "labels", "float-labels", "shapes", "no-target", "normalised"],
)
def test_first_calls(model: nn.Module, data: object, told: str) -> None:
    landscape = NetworkLandscape(model, F.cross_entropy, data)
    w = landscape.flatten(model)
    for call in (landscape.value, landscape.value_and_grad, landscape.metrics, lambda _: landscape.tune()):
        with pytest.raises(InputError, match="expected a model and a loss that can be computed on the data") as caught:
            call(w)
        assert caught.match(told)
        assert "\n" not in str(caught.value)
    if landscape.keeps_statistics:
        with pytest.raises(InputError, match=told):
            landscape.refresh(w)


def test_dicts_need_forward() -> None:
    """Unpacked as a pair, a dict of two tensors would give its keys."""
    net, data = nn.Linear(3, 2), {"x": X, "y": Y}
    for given in (data, DataLoader([{"x": x, "y": y} for x, y in zip(X, Y, strict=True)], batch_size=4)):
        landscape = NetworkLandscape(net, F.cross_entropy, given)
        with pytest.raises(InputError, match=r"expected forward= with batches that are dicts, got a dict of 'x', 'y'"):
            landscape.value(landscape.flatten(net))
    named = NetworkLandscape(net, F.cross_entropy, data, forward=lambda model, batch: (model(batch["x"]), batch["y"]))
    assert bool(named.value(named.flatten(net)).isfinite())


def test_a_loader_that_drops_other_samples_at_each_pass() -> None:
    shuffled = torch.Generator().manual_seed(0)
    loader = DataLoader(TensorDataset(X, Y), batch_size=5, shuffle=True, drop_last=True, generator=shuffled)
    landscape = NetworkLandscape(net := nn.Linear(3, 2), F.cross_entropy, loader)
    with pytest.raises(NonDeterministicLossError, match="drop_last=False, so that every pass has the same samples"):
        landscape.value(landscape.flatten(net))


def test_a_loss_by_name() -> None:
    with pytest.raises(InputError, match=r"expected a loss function, such as .*, got str 'cross_entropy'"):
        NetworkLandscape(nn.Linear(3, 2), "cross_entropy", (X, Y))  # type: ignore[arg-type]
