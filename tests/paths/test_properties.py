"""No path is lower than the pass, whatever finds it; and what hides between two samples is found."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from path_finders import accepts, small
from torch import Tensor

import lossatlas as la
from lossatlas.landscape.analytic import Energy
from lossatlas.paths import finders
from lossatlas.paths.chains.spacing import resample
from lossatlas.paths.refine import refine_height

_ORACLES: dict[str, Energy] = {
    name: la.landscape.get(name) for name in ("paper-toy", "muller-brown", "paper-toy-50d", "muller-brown-50d")
} | {f"ring {g}": la.landscape.get("phi4-ring", coupling=g) for g in (2.0, 6.0)}
# Settings that some finders have; the others are drawn without them.
_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "climb": st.booleans(),
        "climb_from": st.floats(0.01, 100),
        "step_error": st.floats(1e-3, 10),
        "spring": st.floats(0, 100),
        "project": st.booleans(),
        "starts": st.integers(1, 3),
        "amplitude": st.floats(0.01, 2),
        "cycles": st.integers(0, 3),
    },
)
# `auto` searches with these, at their defaults.
_SEARCHERS = [name for name in finders if name != "auto"]


def wild_guess(start: Tensor, end: Tensor, inner: int, size: float, seed: int) -> Tensor:
    """A first guess with ``inner`` random corners."""
    t = torch.linspace(0, 1, inner + 2, dtype=start.dtype)[:, None]
    line = (1 - t) * start + t * end
    noise = torch.randn(inner, len(start), generator=torch.Generator().manual_seed(seed), dtype=start.dtype)
    line[1:-1] += size * float((end - start).norm()) / math.sqrt(len(start)) * noise
    line[0], line[-1] = start, end
    return line


@pytest.mark.parametrize("name", _SEARCHERS)
@settings(max_examples=25)
@given(
    oracle=st.sampled_from(list(_ORACLES)),
    which=st.integers(0, 2),
    turned=st.booleans(),
    points=st.integers(2, 14),
    limit=st.integers(0, 12),
    seed=st.integers(0, 2**31),
    inner=st.integers(0, 8),
    size=st.floats(0, 1),
    extra=_SETTINGS,
)
def test_no_path_is_below_the_pass(
    name: str,
    oracle: str,
    which: int,
    turned: bool,
    points: int,
    limit: int,
    seed: int,
    inner: int,
    size: float,
    extra: dict[str, Any],
) -> None:
    landscape = _ORACLES[oracle]
    known = landscape.passes[which % len(landscape.passes)]
    start, end = (known.end.x, known.start.x) if turned else (known.start.x, known.end.x)
    guess = wild_guess(start, end, inner, size, seed)
    chosen = {option: value for option, value in extra.items() if accepts(name, option)}
    finder = small(name, limit, points=points, seed=seed % 1000, **chosen)
    path = finder.find(landscape, start, end, initial=None if name == "linear" else guess)
    assert path.refined_height is not None
    assert path.refined_height >= known.value - 1e-9
    assert path.refined_height >= path.sampled_height


@pytest.mark.parametrize("name", _SEARCHERS)
@settings(max_examples=10)
@given(at=st.floats(0.1, 0.9), width=st.floats(0.01, 0.1), seed=st.integers(0, 1000))
def test_a_spike_between_two_samples_is_found(name: str, at: float, width: float, seed: int) -> None:
    # A wall across the whole plane: every path meets it, and no gradient leads around it.
    wall = la.landscape.from_function(
        lambda x: 0.1 * (x[1] - torch.sin(3 * x[0])) ** 2 + torch.exp(-(((x[0] - at) / width) ** 2)), dim=2
    )
    start, end = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    path = small(name, 4, points=4, seed=seed).find(wall, start, end)
    assert path.height >= 1 - 1e-9


@settings(max_examples=100)
@given(
    at=st.floats(0.01, 0.99),
    width=st.floats(0.005, 0.5),
    others=st.lists(st.tuples(st.floats(0, 1), st.floats(0.05, 0.5), st.floats(0, 0.9)), max_size=4),
    samples=st.integers(101, 300),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-100, 100),
)
def test_the_refined_height_is_that_of_a_fine_grid(
    at: float, width: float, others: list[tuple[float, float, float]], samples: int, scale: float, shift: float
) -> None:
    def f(t: Tensor) -> Tensor:
        bumps = torch.exp(-(((t - at) / width) ** 2))
        for place, wide, high in others:
            bumps = bumps + high * torch.exp(-(((t - place) / wide) ** 2))
        return scale * bumps + shift

    found = refine_height(f, torch.linspace(0, 1, samples, dtype=torch.float64))
    fine = float(f(torch.linspace(0, 1, 200_001, dtype=torch.float64)).max())
    assert found.converged
    assert found.value >= fine - 1e-9 * scale - 1e-13 * abs(shift)
    assert found.value == pytest.approx(float(f(torch.tensor([found.t], dtype=torch.float64))[0]), rel=1e-12)


@settings(max_examples=50)
@given(inner=st.integers(1, 10), count=st.integers(2, 20), seed=st.integers(0, 1000))
def test_resampled_images_lie_on_the_chain_at_equal_steps(inner: int, count: int, seed: int) -> None:
    chain = wild_guess(torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64), inner, 0.5, seed)[None]
    moved = resample(chain, count)[0]
    corners = chain[0]
    segments = corners.diff(dim=0)
    lengths = segments.norm(dim=1)
    offsets = moved[:, None] - corners[None, :-1]
    along = ((offsets * segments).sum(-1) / lengths**2).clamp(0, 1)
    gaps = (offsets - along[..., None] * segments).norm(dim=-1)
    nearest = gaps.min(dim=1)
    assert float(nearest.values.max()) < 1e-9
    arcs = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    # Every image is at its place in arc length, on one of the segments it touches.
    wanted = torch.linspace(0, 1, count, dtype=torch.float64) * arcs[-1]
    places = arcs[:-1] + along * lengths
    off = torch.where(gaps < 1e-9, (places - wanted[:, None]).abs(), torch.inf).min(dim=1).values
    assert float(off.max()) < 1e-6
