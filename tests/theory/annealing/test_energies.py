"""Energies on spheres: gradients, optima, and the same energies as landscapes of free vectors."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import random_rotation
from lossatlas.landscape import Landscape
from lossatlas.theory.annealing import (
    CircleToy,
    InfoNCE,
    LinearEnergy,
    NormalisedLandscape,
    NTXent,
    Spheres,
    descend,
)
from lossatlas.theory.annealing.energies import SphereEnergy

ENERGIES = [
    LinearEnergy(torch.tensor([0.5, -1.0, 2.0])),
    CircleToy(0.7, 0.4),
    InfoNCE(4, 3, 0.3),
    InfoNCE(4, 3, 0.3, aligned=False),
    InfoNCE(4, 3, 0.3, aligned=False, symmetric=True),
    NTXent(3, 4, 0.4),
]


@pytest.mark.parametrize("energy", ENERGIES, ids=lambda e: f"{e.name}-{e.dim}")
def test_closed_gradients_are_those_of_autograd(energy: SphereEnergy) -> None:
    x = energy.spheres.uniform(6, 1).requires_grad_()
    (expected,) = torch.autograd.grad(energy._energy(x).sum(), x)
    values, slopes = energy.value_and_grad(x.detach())
    torch.testing.assert_close(values, energy.value(x.detach()))
    torch.testing.assert_close(slopes, expected)
    assert isinstance(energy, Landscape)
    single = energy.to(dtype=torch.float32).value(x.detach().float())
    torch.testing.assert_close(single.double(), values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("energy", ENERGIES, ids=lambda e: f"{e.name}-{e.dim}")
def test_normalised_landscapes_forget_lengths(energy: SphereEnergy) -> None:
    free = NormalisedLandscape(energy, energy.spheres)
    scale = torch.linspace(0.5, 3.0, 6).double()[:, None]
    on = energy.spheres.uniform(6, 2)
    x = (scale * on).requires_grad_()
    torch.testing.assert_close(free.value(x.detach()), energy.value(on))
    unit = energy.spheres.vectors(x)
    (expected,) = torch.autograd.grad(energy._energy((unit / unit.norm(dim=-1, keepdim=True)).flatten(1)).sum(), x)
    torch.testing.assert_close(free.value_and_grad(x.detach())[1], expected)
    v = torch.ones_like(on)
    h = 1e-5
    rows = x.detach()
    slope = (free.value_and_grad(rows + h * v)[1] - free.value_and_grad(rows - h * v)[1]) / (2 * h)
    torch.testing.assert_close(free.hvp(rows, v), slope, atol=1e-6, rtol=1e-5)


def test_losses_are_the_cross_entropies_of_the_literature() -> None:
    x = Spheres(3, 8).uniform(1, 3)
    z = x.view(8, 3)
    nce = F.cross_entropy(z[:4] @ z[4:].T / 0.3, torch.arange(4))
    torch.testing.assert_close(InfoNCE(4, 3, 0.3, aligned=False).value(x)[0], nce)
    back = F.cross_entropy(z[4:] @ z[:4].T / 0.3, torch.arange(4))
    torch.testing.assert_close(InfoNCE(4, 3, 0.3, aligned=False, symmetric=True).value(x)[0], (nce + back) / 2)
    logits = (z @ z.T / 0.3).fill_diagonal_(-torch.inf)
    torch.testing.assert_close(NTXent(4, 3, 0.3).value(x)[0], F.cross_entropy(logits, torch.arange(8).roll(4)))


def test_contrastive_losses_do_not_see_rotations() -> None:
    turn = random_rotation(3, 1)
    for loss in (InfoNCE(4, 3), NTXent(2, 3)):
        x = loss.spheres.uniform(5, 4)
        turned = (loss.spheres.vectors(x) @ turn.T).flatten(1)
        torch.testing.assert_close(loss.value(turned), loss.value(x))


@pytest.mark.parametrize(("pairs", "dim"), [(3, 2), (4, 3), (5, 4)])
@pytest.mark.parametrize("kind", ["aligned", "free", "symmetric", "NT-Xent"])
def test_the_minimum_is_a_simplex(pairs: int, dim: int, kind: str) -> None:
    if kind == "NT-Xent":
        loss: InfoNCE | NTXent = NTXent(pairs, dim, 0.5)
        expected = math.log(1 + 2 * (pairs - 1) * math.exp(-pairs / ((pairs - 1) * 0.5)))
    else:
        loss = InfoNCE(pairs, dim, 0.5, aligned=kind == "aligned", symmetric=kind == "symmetric")
        expected = math.log(1 + (pairs - 1) * math.exp(-pairs / ((pairs - 1) * 0.5)))
    found = descend(loss, loss.spheres, loss.spheres.uniform(16, 5), tolerance=1e-7)
    assert abs(float(found.energies.min()) - expected) < 1e-8
    assert found.energies.min() > expected - 1e-12
    assert loss.optimum == pytest.approx(expected, rel=1e-14)
    best = loss.spheres.vectors(found.points[found.energies.argmin()])[:pairs]
    cosines = best @ best.T
    torch.testing.assert_close(cosines[0, 1:], torch.full((pairs - 1,), -1 / (pairs - 1)).double(), atol=1e-4, rtol=0)


def test_no_simplex_without_room() -> None:
    assert InfoNCE(5, 3).optimum is None
    assert InfoNCE(4, 3).at_temperature(0.1).optimum == pytest.approx(math.log1p(3 * math.exp(-40 / 3)))


def test_descent_reports_what_did_not_converge() -> None:
    toy = CircleToy()
    start = Spheres(2).uniform(10, 1)
    kept = start.clone()
    short = descend(toy, toy.spheres, start, most=1)
    assert short.iterations == 1
    assert not bool(short.converged.all())
    assert torch.equal(start, kept)
    long = descend(toy, toy.spheres, start)
    assert bool(long.converged.all())
    deep = toy.in_global_basin(start)
    torch.testing.assert_close(long.energies, torch.where(deep, -1.25, -0.75).double(), atol=1e-9, rtol=0)


def _cubic(x: Tensor) -> Tensor:
    return x[0] ** 3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LinearEnergy(torch.ones(1)), "finite vector"),
        (lambda: LinearEnergy(torch.tensor([1.0, math.inf])), "finite vector"),
        (lambda: LinearEnergy(torch.ones(2)).mean_alignment(-1.0), "beta"),
        (lambda: CircleToy(1.0, 5.0), "0 < b < 4a"),
        (lambda: CircleToy(-1.0, 0.1), "0 < b < 4a"),
        (lambda: InfoNCE(1, 3), "pairs"),
        (lambda: InfoNCE(3, 1), "dim of spheres"),
        (lambda: InfoNCE(3, 2, 0.0), "temperature"),
        (lambda: NTXent(3, 2, -1.0), "temperature"),
        (lambda: InfoNCE(3, 2).at_temperature(math.inf), "temperature"),
        (lambda: NormalisedLandscape(InfoNCE(3, 2), Spheres(3)), "3 x 2 = 6|1 x 3 = 3"),
        (lambda: NormalisedLandscape(3.0, Spheres(3)), "a landscape or a function"),
        (lambda: NormalisedLandscape(CircleToy(), Spheres(2)).value(torch.zeros(1, 2).double()), "without a direction"),
        (lambda: descend(_cubic, Spheres(2), torch.ones(3, 2).double()), "unit spheres"),
        (lambda: descend(_cubic, Spheres(2), Spheres(2).uniform(1)[0]), r"shape \(walkers, 2\)"),
        (lambda: descend(_cubic, Spheres(2), Spheres(2).uniform(1), tolerance=0.0), "tolerance"),
        (lambda: descend(_cubic, Spheres(2), Spheres(2).uniform(1), most=0), "most"),
    ],
)
def test_what_cannot_be_is_refused(call, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        call()
