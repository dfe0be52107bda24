"""The published method against its figures, and against autograd through the whole objective."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import lossatlas as la
from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.paths import FourierPathFinder, find, finders
from lossatlas.paths.curves.adam import Adam

NOTEBOOK: dict[str, Any] = {
    "method": "published",
    "coefficients": 15,
    "points": 101,
    "steps": 300,
    "learning_rate": 0.01,
    "noise": 1.0,
    "objective": "squared loss",
    "keep": "lowest total",
    "tolerance": 0,
    "saddle": False,
}


@pytest.mark.slow
@pytest.mark.parametrize("penalty", [10.0, 100.0, 1000.0])
def test_the_papers_heights_on_its_example(penalty: float) -> None:
    """Published .646, .640, .652; the straight line 1.102, the exact pass .624393347187."""
    toy = la.landscape.get("paper-toy")
    start, end = (x.expand(20, -1) for x in toy.ends)
    paths = FourierPathFinder(**NOTEBOOK, penalty=penalty).find_many(toy, start, end)
    heights = torch.tensor([path.sampled_height for path in paths])
    assert 0.630 <= float(heights.median()) <= 0.660
    assert float(heights.min()) >= 0.615
    assert float(heights.max()) <= 0.670
    assert len({round(float(h), 6) for h in heights}) == 20  # twenty different noises


def _by_autograd(
    landscape: Any, start: Tensor, end: Tensor, *, steps: int, points: int, count: int, penalty: float, q: int, f: int
) -> tuple[list[float], Tensor]:
    """The objective written out, differentiated by torch through the path, minimised by torch's own Adam."""
    b = torch.zeros(count, len(start), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([b], lr=0.02)
    t = torch.linspace(0, 1, points, dtype=torch.float64)[:, None]
    sines = torch.sin(math.pi * t * torch.arange(1, count + 1))
    totals = []
    for _ in range(steps):
        w = (1 - t) * start + t * end + sines @ b
        loss = landscape._energy(w)
        length = (w.diff(dim=0).square().sum(1) ** (q / 2)).sum()
        total = (loss**f).sum() + penalty * length
        totals.append(float(total.detach()))
        adam.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return totals, b.detach()


@pytest.mark.parametrize(("length", "q"), [("squared", 2), ("plain", 1)])
@pytest.mark.parametrize(("objective", "f"), [("loss", 1), ("squared loss", 2)])
def test_the_gradient_is_that_of_the_objective(length: Any, q: int, objective: Any, f: int) -> None:
    toy = la.landscape.get("paper-toy-50d")
    finder = FourierPathFinder(
        method="published",
        coefficients=4,
        points=17,
        steps=12,
        learning_rate=0.02,
        penalty=3.0,
        length=length,
        objective=objective,
        keep="last",
        tolerance=0,
        saddle=False,
    )
    path = finder.find(toy, *toy.ends)
    totals, b = _by_autograd(toy, *toy.ends, steps=12, points=17, count=4, penalty=3.0, q=q, f=f)
    assert path.curve is not None
    assert path.history is not None
    torch.testing.assert_close(path.curve.coefficients, b, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(path.history["objective"], torch.tensor(totals, dtype=torch.float64))


def test_adam_is_torchs_adam() -> None:
    draw = torch.Generator().manual_seed(0)
    leaf = torch.zeros(3, 2, 4, dtype=torch.float64, requires_grad=True)
    theirs, ours, x = torch.optim.Adam([leaf], lr=0.1), Adam(leaf.detach()), leaf.detach().clone()
    for _ in range(20):
        leaf.grad = torch.randn(3, 2, 4, dtype=torch.float64, generator=draw)
        x = x + 0.1 * ours.step(leaf.grad)
        theirs.step()
    torch.testing.assert_close(x, leaf.detach(), rtol=1e-12, atol=1e-12)


def test_the_kept_iterate_is_the_lowest_seen() -> None:
    """With a learning rate that overshoots, the last iterate is not the best one."""
    toy = la.landscape.get("paper-toy")
    options: dict[str, Any] = {**NOTEBOOK, "noise": 0.0, "steps": 40, "learning_rate": 0.5, "objective": "loss"}
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    sums = {}
    for keep in ("lowest loss", "last"):
        path = FourierPathFinder(**{**options, "keep": keep}).find(toy, *toy.ends)
        assert path.curve is not None
        sums[keep] = float(toy.value(path.curve.at(t)).sum())
    assert sums["lowest loss"] < sums["last"] - 1
    path = FourierPathFinder(**{**options, "keep": "lowest total", "penalty": 0.0}).find(toy, *toy.ends)
    assert path.curve is not None
    assert path.history is not None
    assert float(toy.value(path.curve.at(t)).sum()) == pytest.approx(float(path.history["objective"].min()), rel=1e-12)


def test_a_pair_does_not_notice_its_companions() -> None:
    toy = la.landscape.get("paper-toy")
    starts = torch.stack([toy.ends[0], toy.ends[1], toy.ends[0] + 0.1])
    ends = torch.stack([toy.ends[1], toy.ends[0], toy.ends[1]])
    finder = FourierPathFinder(**{**NOTEBOOK, "steps": 30})
    together = finder.find_many(toy, starts, ends)
    alone = finder.find_many(toy, starts[2:], ends[2:], numbers=[2])[0]
    torch.testing.assert_close(alone.loss, together[2].loss, rtol=1e-9, atol=1e-9)


def test_no_steps_one_coefficient_and_few_points() -> None:
    toy = la.landscape.get("paper-toy")
    line = find(toy, *toy.ends, method="fourier-published", steps=0)
    assert line.status == "iteration limit"
    assert line.stretch == pytest.approx(1)
    assert line.evaluations["gradients"] == 0
    for points in (2, 3):
        path = find(toy, *toy.ends, method="fourier-published", steps=4, points=points, coefficients=1)
        assert path.evaluations["gradients"] == 4 * points
        assert path.method == "fourier-published"
    assert find(toy, *toy.ends, method="fourier-published", steps=3).evaluations["gradients"] == 3 * 51


def test_a_loss_that_stops_being_finite() -> None:
    wall = la.landscape.from_function(
        lambda x: torch.where(x[1] < -0.05, torch.nan, 1 + x[1]) + (x[0] ** 2 - 1) ** 2, dim=2
    )
    ends = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    path = find(
        wall, *ends, method="fourier-published", steps=50, learning_rate=0.02, keep="last", coefficients=1, saddle=False
    )
    assert path.status == "not finite"
    assert path.curve is not None
    assert 0 < path.evaluations["gradients"] < 50 * 51
    assert bool(path.curve.coefficients.isfinite().all())
    assert float(path.loss[25]) < 2  # the wall pulls downwards: it moved before it broke


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"options of method='converged', got steps=3: leave it out"):
        FourierPathFinder(steps=3)
    with pytest.raises(InputError, match=r"options of method='published', got budget=10"):
        FourierPathFinder(method="published", budget=10)
    with pytest.raises(ConfigurationError, match="did you mean 'published'"):
        FourierPathFinder(method="publish")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="unknown length 'cubed'"):
        FourierPathFinder(method="published", length="cubed")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="learning_rate as a finite number above 0"):
        FourierPathFinder(method="published", learning_rate=0.0)
    with pytest.raises(InputError, match="noise as a finite number of at least 0"):
        FourierPathFinder(method="published", noise=-1.0)
    with pytest.raises(InputError, match="coefficients as an integer of at least 1"):
        FourierPathFinder(coefficients=0)
    assert {"fourier", "fourier-published", "bezier", "polychain"} <= set(finders)
