"""Small networks that between them use every feature the evaluator must respect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossatlas import models
from lossatlas.core.randomness import generator, seeded
from lossatlas.landscape import NetworkLandscape, Numerics


class Normalised(nn.Module):
    """BatchNorm, dropout, a frozen layer and a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.inp = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        self.frozen = nn.Linear(8, 8)
        self.frozen.requires_grad_(False)
        self.out = nn.Linear(8, 8)
        self.tied = nn.Linear(8, 8)
        self.tied.weight = self.out.weight
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.norm(self.inp(x)))
        x = torch.tanh(self.frozen(self.drop(x)))
        return self.head(torch.tanh(self.tied(torch.tanh(self.out(x)))))


class Attention(nn.Module):
    """One attention head through scaled_dot_product_attention."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 12)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.head(F.scaled_dot_product_attention(q, k, v).mean(1))


RECURRENT: dict[str, tuple[type[nn.RNNBase], dict[str, Any]]] = {
    "lstm": (nn.LSTM, {}),
    "projected": (nn.LSTM, {"proj_size": 2}),
    "gru": (nn.GRU, {}),
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
}


class Reader(nn.Module):
    """A small recurrent classifier of sequences of four numbers."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        make, options = RECURRENT[kind]
        self.layer = make(4, 5, batch_first=True, **options)
        self.head = nn.Linear(options.get("proj_size", 5), 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layer(x)[0][:, -1])
        return logits


def images(n: int = 24) -> tuple[Tensor, Tensor]:
    g = generator("images", n)
    return torch.rand(n, 1, 28, 28, generator=g), torch.randint(0, 10, (n,), generator=g)


def vectors(n: int = 20) -> tuple[Tensor, Tensor]:
    g = generator("vectors", n)
    return torch.randn(n, 6, generator=g), torch.randint(0, 3, (n,), generator=g)


def tokens(n: int = 12) -> tuple[Tensor, Tensor]:
    g = generator("tokens", n)
    return torch.randn(n, 5, 4, generator=g), torch.randint(0, 3, (n,), generator=g)


def _paper(name: str) -> Callable[..., NetworkLandscape]:
    def make(**options: object) -> NetworkLandscape:
        with seeded(name):
            model = models.get(name)
        loss = F.mse_loss if name == "autoencoder" else F.cross_entropy
        forward = (lambda m, b: (m(b[0]), b[0].flatten(1))) if name == "autoencoder" else None
        return NetworkLandscape(model, loss, images(), forward=forward, **options)

    return make


def _own(module: type[nn.Module], data: Callable[[], tuple[Tensor, Tensor]]) -> Callable[..., NetworkLandscape]:
    def make(**options: object) -> NetworkLandscape:
        with seeded(module.__name__):
            model = module()
        return NetworkLandscape(model, F.cross_entropy, data(), **options)

    return make


PAPER = ("fcp", "lenet", "autoencoder", "lstm")


def _residual(**options: object) -> Callable[..., NetworkLandscape]:
    """A ResNet small enough for every strategy, smooth so that differences have a limit."""

    def make(**more: object) -> NetworkLandscape:
        with seeded("residual"):
            model = models.get("resnet20", depth=8, width=0.25, channels=1, activation="softplus", **options)
        inputs, targets = images(9)
        small = inputs[:, :, ::4, ::4], targets
        return NetworkLandscape(model, F.cross_entropy, small, **more)  # type: ignore[arg-type]

    return make


NETWORKS: dict[str, Callable[..., NetworkLandscape]] = {
    **{name: _paper(name) for name in PAPER},
    "normalised": _own(Normalised, vectors),
    "attention": _own(Attention, tokens),
    "resnet": _residual(),
    "resnet-rms": _residual(norm="rms", shortcut="B"),
}

PLAIN = Numerics()


def rows_of(landscape: NetworkLandscape, n: int, scale: float = 0.1) -> Tensor:
    """Random rows near the initial weights."""
    g = generator("rows", landscape.dim, n)
    noise = torch.randn(n, landscape.dim, generator=g, dtype=torch.float64)
    return (landscape._initial_point().double() + scale * noise).to(landscape.dtype)
