"""Points and steps on products of spheres."""

from __future__ import annotations

import math

import pytest
import torch

from lossatlas.core.errors import InputError
from lossatlas.theory.annealing import Spheres

MANIFOLDS = [Spheres(2), Spheres(3), Spheres(3, 4), Spheres(7, 2)]


def lengths(x: torch.Tensor, spheres: Spheres) -> torch.Tensor:
    return spheres.vectors(x).norm(dim=-1)


@pytest.mark.parametrize("spheres", MANIFOLDS, ids=str)
def test_steps_stay_on_the_spheres_and_start_along_the_tangent(spheres: Spheres) -> None:
    x = spheres.uniform(50, 1)
    v = spheres.project(x, torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(2)))
    assert (spheres.vectors(x) * spheres.vectors(v)).sum(-1).abs().max() < 1e-14
    torch.testing.assert_close(spheres.project(x, v), v)
    for move in (spheres.geodesic, spheres.projected):
        torch.testing.assert_close(lengths(move(x, v), spheres), torch.ones(50, spheres.count).double())
        h = 1e-6
        torch.testing.assert_close((move(x, h * v) - move(x, -h * v)) / (2 * h), v, atol=1e-8, rtol=1e-6)
    # Third order apart: a step ten times smaller differs a thousand times less.
    apart = [(spheres.geodesic(x, h * v) - spheres.projected(x, h * v)).norm() for h in (1e-2, 1e-3)]
    assert 900 < float(apart[0] / apart[1]) < 1100


@pytest.mark.parametrize("spheres", MANIFOLDS, ids=str)
def test_geodesics_measure_angles_and_come_round(spheres: Spheres) -> None:
    x = spheres.uniform(20, 3)
    v = spheres.project(x, spheres.uniform(20, 4))
    v = spheres.retract(v)
    torch.testing.assert_close(spheres.geodesic(x, 2 * math.pi * v), x)
    cosines = (spheres.vectors(spheres.geodesic(x, 0.7 * v)) * spheres.vectors(x)).sum(-1)
    torch.testing.assert_close(cosines, torch.full_like(cosines, math.cos(0.7)))
    torch.testing.assert_close(spheres.geodesic(x, torch.zeros_like(x)), x)


def test_uniform_points_have_no_direction() -> None:
    spheres = Spheres(4, 3)
    x = spheres.vectors(spheres.uniform(20000, 5))
    assert x.mean(0).abs().max() * math.sqrt(20000 * 4) < 4.5
    second = torch.einsum("wni,wnj->nij", x, x) / 20000
    assert (second - torch.eye(4).double() / 4).abs().max() < 0.01
    torch.testing.assert_close(spheres.uniform(3, 5)[:1], spheres.uniform(1, 5))
    assert not torch.equal(spheres.uniform(3, 5), spheres.uniform(3, 6))


def test_arguments_are_not_written_to() -> None:
    spheres = Spheres(3, 2)
    x = spheres.uniform(4)
    v = torch.randn_like(x)
    kept = x.clone(), v.clone()
    spheres.project(x, v)
    spheres.geodesic(x, v)
    spheres.projected(x, v)
    spheres.retract(x)
    assert torch.equal(x, kept[0])
    assert torch.equal(v, kept[1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Spheres(1), "expected dim of spheres"),
        (lambda: Spheres(3, 0), "expected count of spheres"),
        (lambda: Spheres(True), "expected dim of spheres"),
        (lambda: Spheres(2).check(torch.ones(4, 2)), r"length 1.41421: divide"),
        (lambda: Spheres(2).check(torch.tensor([math.nan, 1.0])), "length nan"),
        (lambda: Spheres(2).check(torch.ones(4, 3)), r"shape \(\*b, 2\), got \(4, 3\)"),
        (lambda: Spheres(2).check(torch.ones(4, 2, dtype=torch.int64)), "floating tensor, got torch.int64"),
        (lambda: Spheres(2).check([1.0, 0.0]), "floating tensor, got list"),
        (lambda: Spheres(2).retract(torch.zeros(2)), "without a direction"),
        (lambda: Spheres(2).project(torch.ones(2), torch.ones(3, 2)), "one shape and dtype"),
        (lambda: Spheres(2).uniform(0), "walkers as an integer"),
    ],
)
def test_what_cannot_be_is_refused(call, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        call()
