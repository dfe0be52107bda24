"""Landscapes that the contract suite examines: a new one joins with one line in CASES."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
from clusters import hollow, lj7
from sample_networks import NETWORKS, PLAIN, rows_of
from torch import Tensor

from lossatlas.core.randomness import generator
from lossatlas.landscape import Landscape, from_atoms, from_function, get
from lossatlas.theory.committee import Committee, CommitteeOverlaps
from lossatlas.theory.linear import DeepLinearLoss, LinearTask

FLOAT64 = torch.float64


class Case(NamedTuple):
    """One landscape under contract: its name, how to make it in float64 on the CPU, and 5 or more points."""

    id: str
    factory: Callable[[], Landscape]
    points: Tensor
    tolerance: float = 1e-9  # of gradients and products: loose where the landscape itself takes differences


def draw(dim: int, low: float = -1.0, high: float = 1.0) -> Tensor:
    """Points uniformly in a box, ``(6, dim)``."""
    return low + (high - low) * torch.rand(6, dim, dtype=FLOAT64, generator=generator("contract points", dim))


def network_points(name: str) -> Tensor:
    """Points near a network's initial weights, ``(6, d)``."""
    return rows_of(NETWORKS[name](dtype=FLOAT64, numerics=PLAIN), 6)


def torch_chain(x: Tensor) -> Tensor:
    return torch.sin(x[..., 0]) * x[..., 1].exp() + (x[..., 1:] * x[..., :-1] ** 2).sum(-1)


def torch_branch(x: Tensor) -> Tensor:
    # Looks at its value, which vmap refuses: exercises the loop.
    return torch_chain(x) if float(x.detach().sum()) > 0 else 2 * torch_chain(x)


def torch_greedy(x: Tensor) -> Tensor:
    x *= 2.0
    return torch_chain(x)


def numpy_chain(x: np.ndarray) -> np.ndarray:
    return np.sin(x[..., 0]) * np.exp(x[..., 1]) + (x[..., 1:] * x[..., :-1] ** 2).sum(-1)


def numpy_chain_grad(x: np.ndarray) -> np.ndarray:
    grad = np.zeros_like(x)
    grad[..., 0] = np.cos(x[..., 0]) * np.exp(x[..., 1])
    grad[..., 1] = np.sin(x[..., 0]) * np.exp(x[..., 1])
    grad[..., 1:] += x[..., :-1] ** 2
    grad[..., :-1] += 2 * x[..., 1:] * x[..., :-1]
    return grad


def lennard_jones_points() -> Tensor:
    """Points about the lowest minimum of seven Lennard-Jones atoms, ``(6, 21)``."""
    atoms = lj7(0)
    return from_atoms(atoms).rows([atoms]) + 0.05 * draw(21)


def surface_points() -> Tensor:
    """Points about an atom above Al(100), ``(6, 15)``."""
    atoms = hollow()
    return from_atoms(atoms).rows([atoms]) + 0.05 * draw(15)


COMMITTEE = Committee(torch.tensor([[1.0, 0.2, 0.0], [-0.3, 0.8, 0.5]], dtype=FLOAT64), 3)


def overlap_points() -> Tensor:
    """Overlaps of random students, ``(6, 12)``."""
    over = CommitteeOverlaps(COMMITTEE.teacher @ COMMITTEE.teacher.T, 3)
    return over.pack(*COMMITTEE.overlaps(torch.eye(3, dtype=FLOAT64).flatten() + 0.2 * draw(9)))


CASES: list[Case] = [
    Case("paper-toy", lambda: get("paper-toy"), draw(2)),
    Case("muller-brown", lambda: get("muller-brown"), draw(2, -0.8, 0.9)),
    Case("quadratic", lambda: get("quadratic", dim=7, condition=1e3, center=[0.3] * 7), draw(7)),
    Case("rosenbrock", lambda: get("rosenbrock", dim=5), draw(5)),
    Case("phi4-ring", lambda: get("phi4-ring"), draw(10)),
    Case("phi4-ring, two sites", lambda: get("phi4-ring", sites=2, coupling=0.1), draw(2)),
    Case("paper-toy-50d", lambda: get("paper-toy-50d"), draw(50, -0.4, 0.4)),
    Case("muller-brown-50d", lambda: get("muller-brown-50d"), draw(50, -0.3, 0.3)),
    Case("torch function", lambda: from_function(torch_chain, 4), draw(4)),
    Case("torch function, batched", lambda: from_function(torch_chain, 4, batched=True), draw(4)),
    Case("torch function, looped", lambda: from_function(torch_branch, 4), draw(4)),
    Case("torch function that writes to its argument", lambda: from_function(torch_greedy, 4), draw(4)),
    Case("numpy function", lambda: from_function(numpy_chain, 4), draw(4), 1e-5),
    Case("numpy function with gradient", lambda: from_function(numpy_chain, 4, numpy_chain_grad), draw(4), 1e-7),
    Case(
        "numpy function, batched",
        lambda: from_function(numpy_chain, 4, numpy_chain_grad, batched=True),
        draw(4),
        1e-7,
    ),
    Case("atoms: Lennard-Jones", lambda: from_atoms(lj7(0)), lennard_jones_points(), 1e-6),
    Case("atoms: surface", lambda: from_atoms(hollow()), surface_points(), 1e-6),
    Case("deep linear", lambda: DeepLinearLoss(LinearTask(torch.diag(torch.tensor([2.0, 1.0])), width=3)), draw(12)),
    Case("committee", lambda: Committee(COMMITTEE.teacher, 3), draw(9)),
    Case("committee of erf", lambda: Committee(COMMITTEE.teacher, 3, activation="erf"), draw(9)),
    Case("committee overlaps", lambda: CommitteeOverlaps(COMMITTEE.teacher @ COMMITTEE.teacher.T, 3), overlap_points()),
    *(
        Case(f"network: {name}", partial(NETWORKS[name], dtype=FLOAT64, numerics=PLAIN), network_points(name))
        for name in ("normalised", "attention")
    ),
]


@pytest.fixture(params=CASES, ids=lambda case: case.id)
def case(request: pytest.FixtureRequest) -> Case:
    """Each landscape in turn."""
    chosen: Case = request.param
    return chosen


@pytest.fixture
def cases() -> list[Case]:
    """All landscapes under contract."""
    return CASES
