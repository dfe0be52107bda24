"""Modes of families of curves: the sines, and the known frequencies of polygonal chains."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline

from lossatlas.core.curve import Curve
from lossatlas.core.errors import InputError
from lossatlas.paths.curves.bundle import Bundle
from lossatlas.paths.curves.modes import Modes
from lossatlas.paths.curves.tops import highest
from lossatlas.paths.finder import Ends

FAMILIES = ["fourier", "bezier", "polychain"]


def test_sines_are_their_own_modes() -> None:
    modes = Modes.of("fourier", 12)
    torch.testing.assert_close(modes.transform, torch.eye(12, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(modes.frequencies, torch.arange(1.0, 13.0, dtype=torch.float64), rtol=1e-4, atol=0)
    assert not modes.kinked


def test_frequencies_of_a_chain_are_those_of_linear_finite_elements() -> None:
    """ω² = 6 (1 - cos θ) / (h² (2 + cos θ)), θ = nπh, for hat functions of width h."""
    modes = Modes.of("polychain", 9)
    h = 0.1
    theta = torch.arange(1, 10, dtype=torch.float64) * math.pi * h
    exact = (6 * (1 - theta.cos()) / (2 + theta.cos())).sqrt() / h / math.pi
    torch.testing.assert_close(modes.frequencies, exact, rtol=2e-3, atol=0)
    assert modes.kinked


def test_bezier_modes_tend_to_sines() -> None:
    modes = Modes.of("bezier", 14)
    assert not modes.kinked
    t = torch.linspace(0, 1, 301, dtype=torch.float64)
    sines = torch.sin(math.pi * t[:, None] * torch.arange(1, 4))
    torch.testing.assert_close(modes.at(t)[:, :3], sines, atol=1e-3, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
@given(count=st.integers(1, 16))
@settings(max_examples=8, deadline=None)
def test_modes_are_orthogonal_and_ordered(family: str, count: int) -> None:
    modes = Modes.of(family, count)
    t = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    psi = modes.at(t)
    gram = psi.T @ psi / len(t)
    torch.testing.assert_close(gram, torch.eye(count, dtype=torch.float64) / 2, atol=2e-3, rtol=0)
    assert bool((modes.frequencies.diff() > 0).all())
    assert bool((modes.at(torch.tensor([0.0, 1.0], dtype=torch.float64)) == 0).all())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bundle_is_its_curves(family: str) -> None:
    draw = torch.Generator().manual_seed(1)
    modes = Modes.of(family, 5)
    start, end = torch.randn(2, 3, 4, dtype=torch.float64, generator=draw).unbind()
    b = torch.randn(3, 5, 4, dtype=torch.float64, generator=draw)
    bundle = Bundle(start, end, b, modes)
    t = torch.rand(3, 7, dtype=torch.float64, generator=draw)
    rows, _ = bundle.at(t)
    for i in range(3):
        curve = bundle.curve(i)
        torch.testing.assert_close(rows[i], curve.at(t[i]))
        even = bundle.even(torch.linspace(0, 1, 30, dtype=torch.float64).expand(3, -1))[i]
        arc = curve.arc_length(torch.linspace(0, 1, 5001, dtype=torch.float64))
        reached = arc[(even * 5000).round().long()]
        expected = torch.linspace(0, 1, 30, dtype=torch.float64) * arc[-1]
        torch.testing.assert_close(reached, expected, atol=0.02 * float(arc[-1]), rtol=0)
    h = 1e-4
    inner = t * 0.8 + 0.1
    slopes = (bundle.at(inner + h)[0] - bundle.at(inner - h)[0]) / (2 * h)
    if family != "polychain":
        torch.testing.assert_close(bundle.slopes(inner), slopes, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_first_guesses_are_followed(family: str) -> None:
    """A guess that the family contains comes back; for chains exactly, for the others as its polyline allows."""
    draw = torch.Generator().manual_seed(2)
    curve = Curve(family, torch.zeros(3), torch.ones(3), torch.randn(3, 3, generator=draw)).to(dtype=torch.float64)
    images = curve.at(torch.linspace(0, 1, 5 if family == "polychain" else 201, dtype=torch.float64))
    bundle = Bundle.between(Ends(curve.start[None], curve.end[None], images[None], (0,)), Modes.of(family, 3))
    torch.testing.assert_close(bundle.curve(0).coefficients, curve.coefficients, atol=2e-3, rtol=0)


def test_functions_that_are_not_independent_are_refused() -> None:
    with pytest.raises(InputError, match="use fewer coefficients"):
        Modes.of("bezier", 60)


@example(place=0.5078125, height=0.0, bend=1.0)
@given(place=st.floats(0.15, 0.85), height=st.floats(-3, 3), bend=st.floats(0.5, 9))
@example(place=0.5078125, height=0.0, bend=1.0)  # so near a sample that its other neighbour seems as high
@settings(max_examples=30, deadline=None)
def test_the_top_of_a_parabola_is_exact(place: float, height: float, bend: float) -> None:
    # Place .5078125: just beyond a sample, whose other side is as high there.
    t = torch.tensor([[0.0, 0.1, 0.4, 0.5, 0.95, 1.0]], dtype=torch.float64)
    found, value = highest(t, height - bend * (t - place) ** 2, -2 * bend * (t - place))
    assert float(found) == pytest.approx(place, abs=1e-7)
    assert float(value) == pytest.approx(height, abs=1e-10)


@given(
    heights=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    slopes=st.lists(st.floats(-20, 20), min_size=4, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_the_top_is_that_of_scipys_hermite_spline(heights: list[float], slopes: list[float]) -> None:
    t = [0.0, 0.3, 0.4, 1.0]
    rows = [torch.tensor([x], dtype=torch.float64) for x in (t, heights, slopes)]
    place, value = highest(*rows)
    spline = CubicHermiteSpline(t, heights, slopes)
    assert float(value) == pytest.approx(float(spline(float(place))), abs=1e-9)
    dense = spline(torch.linspace(0, 1, 4001, dtype=torch.float64).numpy())
    assert dense.max() <= float(value) + 1e-9
