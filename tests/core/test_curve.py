"""Curves: exact ends, every family against its definition, lengths against dense points."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import BPoly

from lossatlas.core.curve import Curve, bases
from lossatlas.core.errors import ConfigurationError, InputError

FAMILIES = [name for name in bases if name != "linear"]


def curve(basis: str, count: int = 4, dim: int = 3, seed: int = 0, dtype: torch.dtype = torch.float64) -> Curve:
    draw = torch.Generator().manual_seed(seed)
    start, end, *rows = torch.randn(count + 2, dim, generator=draw, dtype=dtype)
    return Curve(basis, start, end, torch.stack(rows) if rows else start.new_empty(0, dim))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("basis", FAMILIES)
def test_both_ends_are_exact(basis, dtype):
    made = curve(basis, count=9, dtype=dtype)
    ends = made.at(torch.tensor([0.0, 1.0]))
    assert torch.equal(ends[0], made.start)
    assert torch.equal(ends[1], made.end)
    # A product of matrices may add 0 x large: the weights themselves must be 0 and 1.
    weights = made.weights(torch.tensor([0.0, 1.0], dtype=dtype))
    assert torch.equal(weights[:, :2], torch.eye(2, dtype=dtype))
    assert not weights[:, 2:].any()


def test_sines_follow_the_papers_formula():
    made, t = curve("fourier"), torch.rand(20, dtype=torch.float64)
    expected = (1 - t)[:, None] * made.start + t[:, None] * made.end
    for n, b in enumerate(made.coefficients, 1):
        expected = expected + torch.sin(n * math.pi * t)[:, None] * b
    torch.testing.assert_close(made.at(t), expected)


def test_bezier_curves_are_scipys():
    """Coefficients are offsets of the control points from the straight line's."""
    made, t = curve("bezier"), torch.rand(20, dtype=torch.float64)
    share = torch.linspace(0, 1, 6, dtype=torch.float64)[:, None]
    control = (1 - share) * made.start + share * made.end
    control[1:-1] += made.coefficients
    reference = BPoly(control.numpy()[:, None, :], [0, 1])(t.numpy())
    torch.testing.assert_close(made.at(t), torch.from_numpy(reference))


def test_a_chain_passes_through_its_images_in_straight_lines():
    images = torch.randn(7, 3, dtype=torch.float64)
    made = Curve.through(images)
    torch.testing.assert_close(made.at(torch.linspace(0, 1, 7, dtype=torch.float64)), images)
    torch.testing.assert_close(made.at(torch.tensor([0.25 / 6, 0.5 / 6]))[1], 0.5 * (images[0] + images[1]))
    length = (images[1:] - images[:-1]).norm(dim=1).sum()
    corners = torch.linspace(0, 1, 7, dtype=torch.float64)
    torch.testing.assert_close(made.arc_length(corners)[-1], length)


@given(basis=st.sampled_from(FAMILIES), count=st.integers(1, 8), dim=st.integers(1, 5), seed=st.integers(0, 99))
def test_arc_length_is_that_of_the_points(basis, count, dim, seed):
    made = curve(basis, count, dim, seed)
    t = torch.linspace(0, 1, 50, dtype=torch.float64)
    steps = made.at(t).diff(dim=0).norm(dim=1)
    torch.testing.assert_close(made.arc_length(t)[1:], steps.cumsum(0), rtol=1e-7, atol=1e-7)


@given(basis=st.sampled_from(FAMILIES), count=st.integers(1, 8), seed=st.integers(0, 99), points=st.integers(2, 40))
def test_uniform_steps_are_of_one_length(basis, count, seed, points):
    made = curve(basis, count, 3, seed)
    t = made.uniform(points)
    assert t[0] == 0
    assert t[-1] == 1
    assert bool((t.diff() > 0).all())
    # Between two values of t the length runs along the curve: it is measured on a much finer grid.
    fine = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    arc = made.arc_length(fine)
    along = arc[torch.searchsorted(fine, t.contiguous()).clamp(max=20_000)].diff()
    assert float(along.max()) < 1.5 * float(along.min()) + 1e-3 * float(arc[-1])


@given(basis=st.sampled_from(FAMILIES), count=st.integers(1, 8), seed=st.integers(0, 99))
def test_walking_backwards(basis, count, seed):
    made, t = curve(basis, count, 3, seed), torch.rand(9, dtype=torch.float64)
    torch.testing.assert_close(made.reversed().at(1 - t), made.at(t), rtol=1e-9, atol=1e-9)


def test_identical_ends_have_no_length():
    point = torch.ones(2, dtype=torch.float64)
    made = Curve.straight(point, point)
    assert made.distance == 0
    assert made.uniform(5).tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_stored_and_read_back():
    made = curve("bezier")
    again = Curve.from_tree(made.to_tree())
    assert torch.equal(again.at(torch.tensor([0.3])), made.at(torch.tensor([0.3])))


def test_refusals():
    zero = torch.zeros(2)
    with pytest.raises(ConfigurationError, match="did you mean 'bezier'"):
        Curve("beziér", zero, zero, torch.zeros(1, 2))
    with pytest.raises(InputError, match=r"coefficients \(K, d\)"):
        Curve("bezier", zero, zero, torch.zeros(1, 3))
    with pytest.raises(InputError, match="no coefficients for a straight line"):
        Curve("linear", zero, zero, torch.zeros(1, 2)).at(torch.tensor([0.5]))
    with pytest.raises(InputError, match="at least 2 images"):
        Curve.through(torch.zeros(1, 2))
