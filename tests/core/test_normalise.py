from __future__ import annotations

import pytest
import torch

from lossatlas.core.errors import InputError
from lossatlas.core.normalise import filter_normalised, layer_normalised
from lossatlas.core.params import ParamSpec
from lossatlas.core.randomness import generator

SPEC = ParamSpec(("conv", "scale", "linear", "bias"), ((3, 2, 3, 3), (3,), (2, 3), (2,)))


def test_each_point_has_its_own_directions_with_the_norms_of_its_filters() -> None:
    g = generator("normalise")
    w = torch.randn(SPEC.dim, generator=g, dtype=torch.float64)
    points, drawn = torch.stack([w, 3 * w]), torch.randn(4, SPEC.dim, generator=g, dtype=torch.float64)
    found = filter_normalised(drawn, points[:, None], SPEC)
    assert found.shape == (2, 4, SPEC.dim)
    named, weights = SPEC.unflatten(found), SPEC.unflatten(points)
    for name in ("conv", "linear"):
        own, wanted = named[name].flatten(3).norm(dim=-1), weights[name].flatten(2).norm(dim=-1)
        torch.testing.assert_close(own, wanted[:, None].expand_as(own), rtol=1e-9, atol=0)
    assert not any(named[name].any() for name in ("scale", "bias"))
    assert torch.equal(found[0, 1], filter_normalised(drawn[1], w, SPEC))
    layers = SPEC.unflatten(layer_normalised(drawn, w, SPEC))
    wanted = SPEC.unflatten(w)["conv"].norm().expand(4)
    torch.testing.assert_close(layers["conv"].flatten(1).norm(dim=-1), wanted, rtol=1e-12, atol=0)


def test_other_numbers_of_coordinates_are_refused() -> None:
    with pytest.raises(InputError, match=f"of {SPEC.dim} coordinates"):
        filter_normalised(torch.zeros(3), torch.zeros(SPEC.dim), SPEC)
    with pytest.raises(InputError, match="some length in 'conv'"):
        layer_normalised(torch.zeros(SPEC.dim), torch.ones(SPEC.dim), SPEC)
