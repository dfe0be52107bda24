"""Training runs whose fault is known: the lecture's three scenarios, others, and healthy ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossatlas.core.randomness import generator, seeded
from lossatlas.core.trajectory import Trajectory
from lossatlas.landscape import NetworkLandscape, Numerics
from lossatlas.training import TrajectoryRecorder

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Run:
    """A trained network, the loss it was trained on, the same on test data, and how it got there."""

    landscape: NetworkLandscape
    test: NetworkLandscape
    net: nn.Module
    history: Trajectory

    @property
    def w(self) -> Tensor:
        return self.landscape.flatten(self.net)


def rings(samples: int, seed: int = 0, noise: float = 0.1, flipped: float = 0.0) -> Data:
    """Points inside and outside of a circle, with some labels flipped."""
    g = generator("rings", seed)
    x = torch.randn(samples, 2, generator=g, dtype=torch.float64)
    y = (x.square().sum(1) > 1.4).long()
    wrong = torch.rand(samples, generator=g) < flipped
    return x + noise * torch.randn(samples, 2, generator=g, dtype=torch.float64), torch.where(wrong, 1 - y, y)


def train(
    net: nn.Module,
    data: Data,
    test: Data,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer],
    steps: int,
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    batch: int | None = None,
) -> Run:
    """A plain loop with a recorder in it."""
    net = net.double()
    chosen, recorder = optimizer(net), TrajectoryRecorder(snapshots=50)
    g = generator("mini-batches")
    for _ in range(steps):
        part = slice(None) if batch is None else torch.randint(0, len(data[0]), (batch,), generator=g)
        chosen.zero_grad()
        loss = loss_of(net(data[0][part]), data[1][part])
        loss.backward()
        recorder.record(net, loss=loss, optimizer=chosen)
        chosen.step()
    recorder.record(net)
    landscapes = [NetworkLandscape(net, loss_of, each, numerics=Numerics()) for each in (data, test)]
    return Run(*landscapes, net, recorder.trajectory())


def sgd(rate: float, momentum: float = 0.0) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda net: torch.optim.SGD(net.parameters(), lr=rate, momentum=momentum)


def adam(rate: float) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda net: torch.optim.Adam(net.parameters(), lr=rate)


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.Tanh, seed: int = 0) -> nn.Sequential:
    with seeded("scenario", seed):
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), activation()]
        return nn.Sequential(*layers[:-1])


# ------------------------------------------------------------------ the lecture's three
def scenario_a() -> Run:
    """The training loss oscillates wildly but does not decrease: inputs of unequal size, and steps too large."""
    x, y = rings(200)
    scaled = torch.stack([30 * x[:, 0], 0.3 * x[:, 1]], 1)
    return train(mlp(2, 16, 2), (scaled, y), (scaled, y), sgd(0.5), 300)


def scenario_b_saddle() -> Run:
    """The training loss flatlines at a high value: all units equal, and nothing to tell them apart."""
    net = mlp(2, 16, 2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    return train(net, rings(200), rings(200, 1), sgd(0.3), 300)


def scenario_b_plateau() -> Run:
    """The training loss flatlines at a high value: a deep network of saturating units."""
    net = mlp(2, *[16] * 7, 2, activation=nn.Sigmoid)
    return train(net, rings(200), rings(200, 1), sgd(0.3), 300)


def scenario_c(seed: int = 0) -> Run:
    """The training loss is very low but the test loss is high: few examples, some of them wrong, and a wide network."""
    net = mlp(2, 64, 64, 2, activation=nn.ReLU, seed=seed)
    return train(net, rings(40, 0, 0.3, 0.2), rings(400, 1, 0.3, 0.2), adam(1e-2), 600)


# ------------------------------------------------------------------ others
def exploding() -> Run:
    """A recurrent map of 30 steps that is taught to grow slowly, with momentum: it runs into the cliff."""

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([0.9]))

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(30):
                x = self.w * x
            return x

    x = torch.linspace(0.5, 1.0, 20, dtype=torch.float64)[:, None]
    return train(Recurrent(), (x, 3.0 * x), (x, 3.0 * x), sgd(3e-4, 0.9), 200, F.mse_loss)


# ------------------------------------------------------------------ healthy
def healthy_network(seed: int = 0) -> Run:
    return train(mlp(2, 16, 2, seed=seed), rings(300, 2, 0.02), rings(300, 3, 0.02), sgd(0.5, 0.9), 300)


def healthy_batches() -> Run:
    return train(mlp(2, 16, 2), rings(300, 2, 0.02), rings(300, 3, 0.02), sgd(0.3), 600, batch=32)


def healthy_adam() -> Run:
    return train(mlp(2, 24, 24, 2, activation=nn.ReLU), rings(300, 2, 0.02), rings(300, 3, 0.02), adam(3e-3), 300)


def healthy_halfway() -> Run:
    return train(mlp(2, 16, 2), rings(300, 2, 0.02), rings(300, 3, 0.02), sgd(0.5, 0.9), 40)
