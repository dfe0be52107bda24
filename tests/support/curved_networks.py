"""Small networks with their dense Hessians from an independent route, and operators around given matrices."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.functional import hessian
from torch.func import functional_call

from lossatlas.core.randomness import generator, seeded
from lossatlas.curvature import CurvatureOperator
from lossatlas.landscape import NetworkLandscape, Numerics


class MatrixOperator(CurvatureOperator):
    """Matrices written down, ``(n, d, d)``."""

    def __init__(self, matrices: Tensor) -> None:
        super().__init__(matrices.shape[-1], (len(matrices),), torch.float64, torch.device("cpu"))
        self.matrices = matrices
        self.calls: list[Tensor] = []

    method = "given"
    data = "no data"

    def _multiply(self, v: Tensor, where: Tensor) -> Tensor:
        self.calls.append(where)
        return torch.stack([self.matrices[row] @ u for u, row in zip(v, where.tolist(), strict=True)])


def symmetric(eigenvalues: Tensor, seed: int = 0) -> Tensor:
    """A random symmetric matrix with these eigenvalues, ``(d,) -> (d, d)``."""
    dim = len(eigenvalues)
    gaussian = torch.randn(dim, dim, dtype=torch.float64, generator=generator(seed, "symmetric", dim))
    q = torch.linalg.qr(gaussian)[0]
    return (q * eigenvalues) @ q.T


class Perceptron(nn.Module):
    """Inputs - hidden - hidden - classes with biases."""

    def __init__(self, inputs: int, hidden: int, classes: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), activation(), nn.Linear(hidden, hidden), activation(), nn.Linear(hidden, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def perceptron(
    hidden: int = 8, activation: type[nn.Module] = nn.Tanh, samples: int = 40, dtype: torch.dtype = torch.float64
) -> tuple[NetworkLandscape, nn.Module, tuple[Tensor, Tensor]]:
    """A landscape, its network and its data; 163 parameters by default, 1 903 with 38 hidden units."""
    g = generator("perceptron", samples)
    inputs = torch.randn(samples, 7, generator=g, dtype=torch.float64).to(dtype)
    targets = torch.randint(0, 3, (samples,), generator=g)
    with seeded("perceptron", hidden):
        network = Perceptron(7, hidden, 3, activation).to(dtype)
    return (
        NetworkLandscape(network, F.cross_entropy, (inputs, targets), numerics=Numerics()),
        network,
        (inputs, targets),
    )


def points(landscape: NetworkLandscape, count: int, scale: float = 0.2) -> Tensor:
    """Points around the initial weights, ``(count, d)``."""
    g = generator("curved points", landscape.dim)
    noise = torch.randn(count, landscape.dim, generator=g, dtype=torch.float64)
    return (landscape._initial_point().double() + scale * noise).to(landscape.dtype)


def dense_hessian(network: nn.Module, landscape: NetworkLandscape, data: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
    """The loss as a plain function of the flat weights, differentiated twice in float64, ``(d,) -> (d, d)``."""
    inputs, targets = data
    double = inputs.double()

    def loss(flat: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(network, landscape.spec.unflatten(flat), (double,)), targets)

    return hessian(loss, x.double(), vectorize=True)
