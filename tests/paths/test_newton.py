"""Quasi-Newton steps of bands against dense linear algebra, and what they save."""

from __future__ import annotations

import pytest
import torch
from clusters import aluminium_hop
from torch import Tensor

import lossatlas as la
from lossatlas.paths import NEBPathFinder, StringPathFinder
from lossatlas.paths.chains.secants import Model, Secants

_DIM = 5


def _random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _hessian() -> Tensor:
    square = _random(_DIM, _DIM, seed=0)
    return square + square.T


def _taught(hessian: Tensor, directions: Tensor) -> tuple[Model, Tensor]:
    """The model of two images that have seen steps, ``(k, d)``, one image at a time."""
    images = _random(1, 4, _DIM, seed=1)
    x = images[:, 1:-1]
    secants = Secants(images)
    assert secants.model(x, torch.ones(1)) is None
    for step in directions:
        steps = torch.stack([0.01 * step, torch.zeros_like(step)])[None]
        secants.add(x, steps, steps @ hessian)
    model = secants.model(x, torch.full((1,), 10.0))
    assert model is not None
    return model, x


def test_a_quadratic_is_known_after_as_many_steps_as_dimensions() -> None:
    hessian = _hessian()
    model, _ = _taught(hessian, torch.eye(_DIM, dtype=torch.float64))
    steps = _random(1, 2, _DIM, seed=2)
    # Image 1 has never moved: it knows what image 0 has seen.
    torch.testing.assert_close(model.times(steps, torch.full((1, 2), 7.0)), steps @ hessian)
    torch.testing.assert_close(model.outside(steps), torch.zeros_like(steps), atol=1e-12, rtol=0)


@pytest.mark.parametrize("seen", [1, 3, _DIM])
@pytest.mark.parametrize("projected", [True, False])
def test_newton_steps_are_those_of_dense_matrices(seen: int, projected: bool) -> None:
    hessian = _hessian()
    model, _ = _taught(hessian, torch.eye(_DIM, dtype=torch.float64)[:seen])
    tangents = torch.nn.functional.normalize(_random(1, 2, _DIM, seed=3), dim=-1) * projected
    force = _random(1, 2, _DIM, seed=4)
    force = force - (force * tangents).sum(-1, keepdim=True) * tangents
    outside = 9.0
    steps = model.newton(force, torch.full((1, 2), outside, dtype=torch.float64), tangents)
    dense = torch.full((_DIM,), outside, dtype=torch.float64).diag()
    dense[:seen, :seen] = hessian[:seen, :seen]
    for i in range(2):
        tau = tangents[0, i]
        across = torch.eye(_DIM, dtype=torch.float64) - torch.outer(tau, tau)
        # Along the tangent the curvature is that outside, so that the matrix can be inverted.
        values, modes = torch.linalg.eigh(across @ dense @ across + outside * torch.outer(tau, tau))
        by_hand = modes @ ((modes.T @ force[0, i]) / values.abs().clamp(min=0.2 * outside))
        torch.testing.assert_close(steps[0, i], by_hand, atol=1e-9, rtol=1e-6)


def test_secants_from_far_away_or_of_no_length_are_not_used() -> None:
    images = torch.zeros(1, 4, _DIM, dtype=torch.float64)
    secants = Secants(images)
    steps = torch.eye(_DIM, dtype=torch.float64)[None, :2] * 0.1
    secants.add(images[:, 1:-1] + 5, steps, steps)
    secants.add(images[:, 1:-1], 0 * steps, 0 * steps)
    model = secants.model(images[:, 1:-1], torch.ones(1))
    assert model is not None
    assert not bool(model.basis.any())


def test_images_at_rest_cost_nothing_and_the_pass_is_the_same() -> None:
    landscape = la.landscape.get("muller-brown")
    known = landscape.passes[0]
    alone = NEBPathFinder(saddle=False).find(landscape, known.start.x, known.end.x)
    together = NEBPathFinder(newton=False, saddle=False).find(landscape, known.start.x, known.end.x)
    string = StringPathFinder(saddle=False).find(landscape, known.start.x, known.end.x)
    assert alone.converged
    assert together.converged
    assert alone.evaluations["gradients"] < min(together.evaluations["gradients"], string.evaluations["gradients"])
    assert alone.height == pytest.approx(together.height, abs=1e-2)


@pytest.mark.parametrize(("adatom", "images", "calls"), [("Au", 3, 35), ("Au", 5, 62), ("Al", 3, 26), ("Al", 5, 52)])
def test_an_atom_hops_in_no_more_force_calls_than_with_the_best_optimizer_known(
    adatom: str, images: int, calls: int
) -> None:
    barriers = {"Au": 0.374464, "Al": 0.236374}
    lengths = {"Au": 1.075, "Al": 1.047}  # in distances of the ends
    start, end = aluminium_hop(adatom)
    landscape = la.landscape.from_atoms(start)
    a, b = landscape.rows([start, end])
    # ASE's NEBOptimizer needed this many calls to 0.01 eV/Å, with its two ends; see validation/atoms_neb.py.
    tolerance = 0.01 * lengths[adatom] * float((b - a).norm()) / barriers[adatom]
    path = NEBPathFinder(points=images + 2, force_tolerance=tolerance, saddle=False, tolerance=0).find(landscape, a, b)
    assert path.converged
    assert path.evaluations["gradients"] + 2 <= calls
    assert path.forward_barrier == pytest.approx(barriers[adatom], abs=1e-3)
