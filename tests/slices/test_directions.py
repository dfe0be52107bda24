"""Directions have the lengths they promise, and surfaces along them the invariances that follow."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from curved_networks import perceptron
from sample_networks import NETWORKS
from torch import nn

from lossatlas import landscape as landscapes
from lossatlas import slices
from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.core.randomness import generator, seeded
from lossatlas.landscape import NetworkLandscape, Numerics


def convolutional(dtype: torch.dtype = torch.float64) -> NetworkLandscape:
    """Convolution and BatchNorm twice, with eps that hides nothing."""
    g = generator("conv slices")
    x = torch.randn(12, 1, 6, 6, generator=g, dtype=torch.float64).to(dtype)
    y = torch.randint(0, 3, (12,), generator=g)
    with seeded("conv slices"):
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4, eps=1e-12),
            nn.Tanh(),
            nn.Conv2d(4, 5, 3),
            nn.BatchNorm2d(5, eps=1e-12),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(80, 3),
        ).to(dtype)
    return NetworkLandscape(net, F.cross_entropy, (x, y), mode="batch-statistics", numerics=Numerics())


@pytest.mark.parametrize("name", ["lenet", "lstm", "normalised"])
def test_every_filter_is_as_long_as_that_of_the_weights(name):
    landscape = NETWORKS[name]()
    w = landscape._initial_point()
    drawn = slices.filter_directions(w, landscape.spec, count=3, seed=4)
    weights = landscape.spec.unflatten(w.double())
    for parameter, parts in landscape.spec.unflatten(drawn.double()).items():
        if parts.ndim <= 2:  # one axis and the row of directions
            assert not parts.any(), parameter
            continue
        got = parts.flatten(2).norm(dim=2)
        wanted = weights[parameter].flatten(1).norm(dim=1).expand_as(got)
        assert torch.allclose(got, wanted, rtol=1e-6, atol=0), parameter
    assert torch.equal(drawn[:1], slices.filter_directions(w, landscape.spec, count=1, seed=4))
    assert not torch.equal(drawn, slices.filter_directions(w, landscape.spec, count=3, seed=5))


def test_the_formula_of_li_et_al_to_the_digit():
    landscape, *_ = perceptron()
    w = landscape._initial_point()
    raw = slices.gaussian_directions(landscape.dim, 2, seed=1)
    found = landscape.spec.unflatten(slices.filter_normalised(raw, w, landscape.spec))
    weights, drawn = landscape.spec.unflatten(w), landscape.spec.unflatten(raw)
    for name, part in drawn.items():
        expected = torch.zeros_like(part)
        if part.ndim > 2:
            for k in range(2):
                for i in range(part.shape[1]):
                    d = part[k, i]
                    expected[k, i] = d * weights[name][i].norm() / (d.norm() + 1e-10)
        assert torch.allclose(found[name], expected, rtol=1e-14, atol=0)


def test_layers_are_as_long_as_those_of_the_weights():
    landscape, *_ = perceptron()
    w = landscape._initial_point()
    found = landscape.spec.unflatten(slices.layer_directions(w, landscape.spec, count=2))
    for name, weights in landscape.spec.unflatten(w).items():
        own = found[name].flatten(1).norm(dim=1)
        wanted = weights.norm().expand(2) if weights.ndim > 1 else torch.zeros(2, dtype=w.dtype)
        assert torch.allclose(own, wanted, rtol=1e-12), name
    # Not the same as filters: within a layer lengths differ.
    filters = landscape.spec.unflatten(slices.filter_directions(w, landscape.spec, count=2))
    assert not torch.allclose(found["layers.0.weight"].norm(dim=2), filters["layers.0.weight"].norm(dim=2), rtol=1e-2)


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_rescaling_a_filter_before_batch_statistics_changes_nothing_on_a_filter_normalised_surface(factor):
    landscape = convolutional()
    w = landscape._initial_point()
    named = {name: tensor.clone() for name, tensor in landscape.spec.unflatten(w).items()}
    named["0.weight"][1] *= factor
    named["3.weight"][2] *= factor
    twin = landscape.spec.flatten(named)
    assert not torch.allclose(w, twin)
    here, there = (slices.surface(landscape, x, points=7, seed=2) for x in (w, twin))
    assert torch.allclose(here.values, there.values, rtol=0, atol=1e-9)
    assert float(here.values.max() - here.values.min()) > 0.1
    # What a direction that follows nothing shows moves visibly.
    raw = slices.gaussian_directions(landscape.dim, 2, seed=2)
    here, there = (slices.surface(landscape, x, raw, points=7, span=1.0) for x in (w, twin))
    assert float((here.values - there.values).abs().max()) > 1e-2


def test_random_directions_are_as_long_as_the_weights():
    w = torch.randn(50, generator=generator("w"), dtype=torch.float64)
    found = slices.random_directions(w, count=3, seed=1)
    assert torch.allclose(found.norm(dim=1), w.norm().expand(3), rtol=1e-12)
    assert torch.allclose(slices.random_directions(torch.zeros(5)).norm(dim=1), torch.ones(2))


def test_eigenvectors_stay_what_they_are():
    q = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=generator("q")))[0]
    w = torch.randn(6, dtype=torch.float64, generator=generator("w6"))
    found = slices.eigenvector_directions(3 * q[:2], w)
    assert torch.allclose(found.abs(), q[:2].abs(), atol=1e-12)
    assert bool((found.gather(1, found.abs().argmax(1, keepdim=True)) > 0).all())


def test_wrong_directions_are_refused():
    landscape, *_ = perceptron()
    w = landscape._initial_point()
    with pytest.raises(InputError, match=r"directions of shape \(k, 163\)"):
        slices.surface(landscape, w, torch.zeros(2, 100, dtype=w.dtype))
    with pytest.raises(InputError, match=r"directions of shape \(k, 163\), one row each, got \(163,\)"):
        slices.surface(landscape, w, torch.ones(163, dtype=w.dtype))
    with pytest.raises(InputError, match="one to 3 directions, got 4"):
        slices.surface(landscape, w, torch.randn(4, 163, dtype=w.dtype))
    with pytest.raises(InputError, match="one to 3 directions, got 0"):
        slices.surface(landscape, w, count=0)
    with pytest.raises(InputError, match="of some length"):
        slices.surface(landscape, torch.zeros_like(w))
    same = torch.ones(2, 163, dtype=w.dtype)
    with pytest.raises(InputError, match="independent"):
        slices.surface(landscape, w, same)
    with pytest.raises(InputError, match="finite weights and directions"):
        slices.surface(landscape, w, same.index_fill(0, torch.tensor([0]), torch.nan))
    with pytest.raises(ConfigurationError, match="did you mean 'filter'"):
        slices.surface(landscape, w, "fliter")
    with pytest.raises(InputError, match="make a surface for each"):
        slices.surface(landscape, torch.stack([w, w]))
    with pytest.raises(InputError, match="rows of 163 coordinates"):
        slices.surface(landscape, w[:-1])
    toy = landscapes.get("paper-toy")
    with pytest.raises(InputError, match="use 'random' or 'coordinates'"):
        slices.surface(toy, toy.ends[0])
    with pytest.raises(InputError, match="eigenvectors as rows"):
        slices.eigenvector_directions(w, w)
    with pytest.raises(InputError, match="combinations of others"):
        slices.eigenvector_directions(same, w)
    with pytest.raises(InputError, match="search has not converged"):
        slices.eigenvector_directions(torch.full((1, 163), torch.nan), w)


def test_lines_and_planes_through_points():
    a, b, c = torch.randn(3, 9, dtype=torch.float64, generator=generator("abc"))
    line = slices.line_between(a, b)
    assert torch.allclose(line.rows(torch.tensor([[0.0], [1.0], [0.5]])).dense(), torch.stack([a, b, (a + b) / 2]))
    plane = slices.plane_through(a, b, c, labels=("p", "q", "r"))
    assert torch.allclose(plane.directions @ plane.directions.T, torch.eye(2, dtype=torch.float64), atol=1e-14)
    places = torch.tensor(list(plane.details["points"].values()), dtype=torch.float64)
    assert torch.allclose(plane.rows(places).dense(), torch.stack([a, b, c]), atol=1e-13)
    seen = plane.project(torch.stack([a, b, c]))
    assert torch.allclose(seen.coordinates, places, atol=1e-13)
    assert float(seen.residuals.max()) < 1e-13
    for (low, high), own in zip(plane.window, places.T, strict=True):
        assert low < float(own.min())
        assert high > float(own.max())
    with pytest.raises(InputError, match="not on one line"):
        slices.plane_through(a, b, (a + b) / 2)
    with pytest.raises(InputError, match="not on one line"):
        slices.plane_through(a, a, b)
    with pytest.raises(InputError, match="one twice"):
        slices.line_between(a, a.clone())
    with pytest.raises(InputError, match="points of one length"):
        slices.line_between(a, b[:-1])


def test_projection_is_the_nearest_point_of_a_skew_plane():
    g = generator("skew")
    plane = slices.Plane(torch.randn(7, generator=g), torch.randn(3, 7, generator=g))
    x = torch.randn(4, 2, 7, generator=g, dtype=torch.float64)
    seen = plane.project(x)
    near = plane.origin.double() + seen.coordinates @ plane.directions.double()
    assert seen.coordinates.shape == (4, 2, 3)
    assert torch.allclose(
        (x - near) @ plane.directions.double().T, torch.zeros(4, 2, 3, dtype=torch.float64), atol=1e-12
    )
    assert torch.allclose((x - near).norm(dim=-1), seen.residuals)
    assert torch.allclose((x - plane.origin.double()).norm(dim=-1), seen.distances)
    assert bool((seen.outside <= 1).all())
    assert torch.equal(plane.project(plane.origin).outside, torch.tensor(0.0, dtype=torch.float64))
