"""Roughness is zero for what is convex, grows with what is not, and does not see scales."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import ConvexHull
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.slices import Plane, Surface, convex_envelope, roughness


def surface(z: Tensor) -> Surface:
    axes = tuple(torch.linspace(-1, 1, n, dtype=torch.float64) for n in z.shape)
    return Surface(Plane(torch.zeros(3), torch.eye(3)[: z.ndim]), axes, z.double())


def grid(n: int = 21) -> tuple[Tensor, Tensor]:
    x = torch.linspace(-1, 1, n, dtype=torch.float64)
    return torch.meshgrid(x, x, indexing="ij")


X, Y = grid()
CONVEX = {
    "bowl": X**2 + 3 * Y**2 + X * Y,
    "cone": (X**2 + Y**2).sqrt(),
    "tilted plane": 2 * X - Y,
    "valley": (X - Y) ** 2,
    "flat": torch.ones(21, 21),
    "steep": (4 * X).exp() + (-6 * Y).exp(),
}


@pytest.mark.parametrize("name", CONVEX)
def test_convex_surfaces_are_smooth(name):
    found = roughness(surface(CONVEX[name]))
    assert found.mean < 1e-9
    assert found.minima.tolist() == [1]
    assert roughness(surface(CONVEX[name][:, 3])).mean < 1e-9


def test_the_envelope_is_the_lower_hull():
    """Against another route: linear interpolation over the hull's lower triangles."""
    z = torch.sin(5 * X) * torch.cos(4 * Y) + X**2
    found = convex_envelope(surface(z))
    points = np.stack([X.flatten(), Y.flatten(), z.flatten()], axis=1)
    hull = ConvexHull(points)
    lower = np.unique(hull.simplices[hull.equations[:, 2] < -1e-9])
    expected = np.min([LinearNDInterpolator(points[lower, :2], points[lower, 2])(points[:, :2]), points[:, 2]], axis=0)
    # Delaunay triangles of the same points are not those of the hull: never below the envelope.
    assert bool((found.flatten().numpy() <= expected + 1e-9).all())
    assert torch.allclose(found.flatten()[lower], z.flatten()[lower], atol=1e-9)
    assert bool((found <= z + 1e-12).all())
    for k in range(21):
        for line in (found[k], found[:, k], found.diagonal()):
            assert bool((line.diff(n=2) >= -1e-9).all())


def test_the_envelope_of_a_line_is_the_lower_chain():
    z = torch.tensor([1.0, 0.0, 3.0, 4.0, 0.0, 0.5])
    assert convex_envelope(surface(z)).tolist() == pytest.approx([1.0, 0.0, 0.0, 0.0, 0.0, 0.5])


def test_roughness_of_a_line_by_hand():
    z = torch.tensor([1.0, 0.0, 3.0, 4.0, 0.0, 0.5])
    gap = torch.tensor([0.0, 0.0, 3.0, 4.0, 0.0, 0.0])
    expected = float(gap.square().mean().sqrt() / z.std(correction=0))
    found = roughness(surface(z))
    assert found.mean == pytest.approx(expected)
    assert found.minima.tolist() == [2]


def test_more_ripple_is_rougher_and_scales_do_not_matter():
    bowl = X**2 + Y**2
    ripple = torch.sin(9 * X) * torch.sin(7 * Y)
    found = [roughness(surface(bowl + size * ripple)).mean for size in (0.0, 0.05, 0.2, 0.8)]
    assert found == sorted(found)
    assert found[-1] > 10 * found[1] > 0
    rough = surface(bowl + 0.2 * ripple)
    scaled = surface(1e-6 * (bowl + 0.2 * ripple) + 3e-5)
    assert roughness(scaled).mean == pytest.approx(roughness(rough).mean, rel=1e-6)
    sheared = Surface(rough.plane, (5 * rough.axes[0] + 2, rough.axes[1]), rough.values)
    assert roughness(sheared).mean == pytest.approx(roughness(rough).mean, rel=1e-9)


def test_minima_on_terraces_and_plateaus():
    z = torch.ones(7, 7)
    z[1, 1] = z[1, 2] = 0.0  # one flat minimum
    z[5, 5] = 0.5
    assert roughness(surface(z)).minima.tolist() == [2]
    terrace = torch.tensor([3.0, 2.0, 2.0, 1.0, 1.0, 2.0, 0.0])
    assert roughness(surface(terrace)).minima.tolist() == [2]
    diagonal = torch.tensor([[1.0, 2, 2], [2, 0, 2], [2, 2, 2]])
    assert roughness(surface(diagonal)).minima.tolist() == [1]


def test_the_spread_is_that_over_planes():
    surfaces = [surface(X**2 + Y**2 + size * torch.sin(9 * X)) for size in (0.1, 0.2, 0.4)]
    found = roughness(surfaces)
    values = [roughness(each).mean for each in surfaces]
    assert found.values.tolist() == values
    assert found.mean == pytest.approx(np.mean(values))
    assert found.spread == pytest.approx(np.std(values, ddof=1))
    half = 4.302652729911275 * found.spread / math.sqrt(3)  # Student's t, 2 degrees of freedom, 97.5 %
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    alone = roughness(surfaces[0])
    assert math.isnan(alone.spread)
    assert math.isnan(alone.low)


def test_what_is_not_finite_is_left_out_and_counted():
    z = X**2 + Y**2
    holed = z.clone()
    holed[3:6, 4] = torch.nan
    holed[10, 10] = torch.inf
    found = roughness(surface(holed))
    assert found.nonfinite.tolist() == [4]
    assert found.mean < 1e-9
    assert bool(convex_envelope(surface(holed))[3:6, 4].isnan().all())


def test_logarithms():
    z = (3 * (X**2 + Y**2)).exp()
    log = roughness(surface(z), log=True)
    assert log.mean < 1e-9
    with pytest.raises(InputError, match="positive values"):
        roughness(surface(z - 2), log=True)


def test_surfaces_that_cannot_be():
    with pytest.raises(InputError, match="at least one surface"):
        roughness([])
    with pytest.raises(InputError, match="three finite points"):
        roughness(surface(torch.full((4, 4), torch.nan)))
    with pytest.raises(InputError, match="one or two directions"):
        roughness(surface(torch.zeros(3, 3, 3)))
