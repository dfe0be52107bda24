"""Several starts, ways round what is not finite, and kinks: against passes known in closed form."""

from __future__ import annotations

import math
import re

import pytest
import torch
from path_finders import Counting, small
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

import lossatlas as la
from lossatlas.core.errors import InputError
from lossatlas.landscape import Landscape, NetworkLandscape, from_function
from lossatlas.paths import AutoPathFinder, find, finders
from lossatlas.paths.search import Ends
from lossatlas.paths.starts import bow, bows, finite_start

FLOAT64 = torch.float64
SEARCHERS = [name for name in finders if name != "linear"]


def two_gaps(
    side: float = 1.0, angle: float = 0.0, length: float = 1.0, loss: float = 1.0, dim: int = 2
) -> tuple[Landscape, Tensor, float, float]:
    """A wall with a high gap on the straight way and a low one beside it; the ends, the low pass, the high pass.

    Every way crosses x = 0, where by symmetry the saddles are: the lowest is the lowest point of E(0, y).
    """

    def crest(y: Tensor) -> Tensor:
        return 1.05 + 0.02 * y**2 - 0.2 * torch.exp(-((y / 0.25) ** 2)) - 0.6 * torch.exp(-(((y - side) / 0.25) ** 2))

    def plain(x: Tensor) -> Tensor:
        wall = torch.exp(-((x[0] / 0.3) ** 2))
        return wall * (crest(x[1]) - 0.05 - 0.02 * x[1] ** 2) + 0.05 * (x[0] ** 2 - 1) ** 2 + 0.02 * x[1] ** 2

    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], dtype=FLOAT64)

    def there(x: Tensor) -> Tensor:
        inner = turn.to(x) @ x[:2] / length
        return loss * (plain(inner) + 2 * (x[2:] / length).square().sum())

    ends = torch.zeros(2, dim, dtype=FLOAT64)
    ends[:, :2] = length * torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=FLOAT64) @ turn
    low, high = (
        loss * float(minimize_scalar(lambda y: float(crest(torch.tensor(y))), bounds=where, method="bounded").fun)
        for where in (sorted((0.5 * side, 1.5 * side)), (-0.3, 0.3))
    )
    return from_function(there, dim=dim), ends, low, high


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"side": -1.0},
        {"angle": 0.7, "length": 1e3, "loss": 1e-4},
        {"angle": 2.0, "loss": 1e5},
        {"side": -1.0, "dim": 3},
    ],
    ids=str,
)
def test_several_starts_find_the_lower_pass(change: dict[str, float]) -> None:
    # In three dimensions a bow seldom points at the gap.
    starts = 13 if "dim" in change else None
    count = starts or 5
    landscape, ends, low, high = two_gaps(**change)  # type: ignore[arg-type]
    alone = AutoPathFinder(starts=1, saddle=False).find(landscape, *ends)
    assert alone.converged
    assert alone.height == pytest.approx(high, rel=1e-3)
    assert "starts" not in alone.message
    path = find(landscape, *ends, starts=starts, saddle=False)
    assert path.converged
    assert path.height == pytest.approx(low, rel=1e-3)
    assert path.height >= low * (1 - 1e-9)
    told = re.search(r"the lowest of (\d+) starts, which crossed at (\d+) different places", path.message)
    assert told is not None
    assert int(told[1]) == count
    assert 2 <= int(told[2]) <= count
    assert "(a lower pass may exist)" in path.message
    assert path.evaluations["gradients"] <= 880


def test_all_gradients_of_all_starts_are_counted() -> None:
    inner, ends, _, _ = two_gaps()
    counting = Counting(inner.to(dtype=torch.float32))
    path = find(counting, *ends.float(), saddle=False)
    assert "5 starts" in path.message
    assert path.evaluations["gradients"] == counting.gradients
    assert path.evaluations["values"] == counting.values + len(path.t)


def test_a_first_guess_is_one_start_unless_more_are_asked_for() -> None:
    landscape, ends, low, high = two_gaps()
    middle = torch.tensor([[0.0, 0.1]], dtype=FLOAT64)
    guess = torch.cat([ends[:1], middle, ends[1:]])
    assert find(landscape, *ends, initial=guess, saddle=False).height == pytest.approx(high, rel=1e-3)
    assert find(landscape, *ends, initial=guess, starts=5, saddle=False).height == pytest.approx(low, rel=1e-3)


def test_networks_are_searched_from_every_start() -> None:
    def gap(out: Tensor, _: Tensor) -> Tensor:
        crest = (out[:, 1] ** 2 - 1) ** 2
        return (crest * (1 - 0.8 * torch.exp(-((out[:, 0].abs() - 1) ** 2) / 0.05)) + 0.01 * out[:, 0] ** 2).mean()

    data = (torch.ones(8, 1), torch.zeros(8, dtype=torch.int64))
    landscape = NetworkLandscape(nn.Linear(1, 2, bias=False), gap, data)
    ends = torch.tensor([[0.0, -1.0], [0.0, 1.0]])
    path = AutoPathFinder(starts=2, points=21, tolerance=0).find(landscape, *ends)
    assert path.method == "fourier"
    heights = re.search(
        r"the lowest of 2 starts, which reached ([\d.]+), ([\d.]+) \(a lower path may exist", path.message
    )
    assert heights is not None
    # The bow leads through the gap beside the straight way, which is 1 high.
    assert float(heights[2]) < 0.4 < float(heights[1])
    assert path.height == pytest.approx(float(heights[2]), rel=0.1)
    assert path.evaluations["gradients"] == pytest.approx(2 * 5100, rel=0.5)
    assert AutoPathFinder(starts=3).expected_gradients(landscape) == 3 * AutoPathFinder().expected_gradients(landscape)


@pytest.mark.parametrize("starts", [0, -1, 1.5, True])
def test_no_such_number_of_starts(starts: object) -> None:
    with pytest.raises(InputError, match="starts"):
        AutoPathFinder(starts=starts)  # type: ignore[arg-type]


def test_on_a_line_there_is_one_way() -> None:
    well = from_function(lambda x: (x[0] ** 2 - 1) ** 2, dim=1)
    path = find(well, *torch.tensor([[-1.0], [1.0]], dtype=FLOAT64), starts=8)
    assert path.height == pytest.approx(1, rel=1e-9)
    assert "starts" not in path.message


def test_bows_leave_the_ends_and_lie_on_both_sides() -> None:
    ends = torch.randn(2, 4, dtype=FLOAT64, generator=torch.Generator().manual_seed(0)) * 10
    chord = ends[1] - ends[0]
    pair = Ends(ends[:1], ends[1:], None, (3,))
    several = bows(pair, 13, 9, seed=1)[0]
    assert torch.equal(several[:, [0, -1]], ends.expand(13, 2, -1))
    line = several[0]
    offsets = several[1:] - line
    assert float((offsets @ chord).abs().max()) < 1e-9 * float(chord @ chord)
    torch.testing.assert_close(offsets[0::2], -offsets[1::2])
    # The middle of the first pair is half a distance from the line, whatever the scale.
    assert float(offsets[0, 4].norm()) == pytest.approx(0.5 * float(chord.norm()), rel=1e-12)
    assert torch.equal(bow(line, 4, seed=1, number=3), several[5])
    flat = bows(Ends(ends[:1, :2], ends[1:, :2], None, (0,)), 25, 9, seed=0)[0].flatten(1)
    gaps = (flat[:, None] - flat[None]).norm(dim=-1) + torch.eye(25, dtype=FLOAT64)
    assert float(gaps.min()) > 1e-3  # in two dimensions, too, no two starts are the same


# ------------------------------------------------------------------ what is not finite
def holed(fill: float, radius: float = 0.2) -> tuple[Landscape, Tensor]:
    toy = la.landscape.get("paper-toy")
    assert toy.ends is not None
    ends = torch.stack(toy.ends)
    centre, size = ends.mean(0), radius * float((ends[1] - ends[0]).norm())

    def energy(x: Tensor) -> Tensor:
        return torch.where((x - centre).square().sum(-1) < size**2, fill, toy._energy(x))

    return from_function(energy, dim=2, batched=True, library="torch"), ends


@pytest.mark.parametrize("name", SEARCHERS)
@pytest.mark.parametrize("fill", [math.nan, math.inf])
def test_a_search_goes_round_what_is_not_finite(name: str, fill: float) -> None:
    landscape, ends = holed(fill)
    assert find(landscape, *ends, method="linear").status == "not finite"
    path = small(name, 60).find(landscape, *ends)
    assert path.status != "not finite"
    assert bool(path.loss.isfinite().all())
    assert path.refined_height is not None
    # The pass of the whole plane lies outside of the hole.
    assert path.height >= 0.6243933
    assert ("curved start 1" if name != "auto" else "of 5 starts") in path.message


@pytest.mark.parametrize("name", SEARCHERS)
def test_both_searches_are_counted(name: str) -> None:
    inner, start, end = la.landscape.get("muller-brown"), *(m.x for m in la.landscape.get("muller-brown").minima[:2])
    hole = {"centre": (start + end) / 2, "hole": 0.15}
    counting = Counting(inner.to(dtype=torch.float32), **hole)  # type: ignore[arg-type]
    path = small(name, 5).find(counting, start.float(), end.float())
    assert path.evaluations["gradients"] == counting.gradients
    # Two diagnoses, each of its own samples: those of the float64 copy, which is another counter.
    assert path.evaluations["values"] >= counting.values + len(path.t)


def test_where_there_is_no_way_round_that_is_said() -> None:
    wall = from_function(
        lambda x: torch.where(x[..., 0].abs() < 0.05, math.nan, (x**2).sum(-1)), dim=2, batched=True, library="torch"
    )
    ends = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=FLOAT64)
    path = find(wall, *ends, method="neb")
    assert path.status == "not finite"
    assert path.message.endswith("; none of 24 curved starts is finite either")
    one = Ends(ends[:1], ends[1:], None, (0,))
    assert finite_start(wall, one, 9, seed=0) == (None, 24, 24 * 65)


# ------------------------------------------------------------------ kinks
KINKS = {
    # A ridge of height 1 at x = 0, and a bent valley whose floor is a kink.
    "valley": lambda x: (x[0] ** 2 - 1) ** 2 + 2 * (x[1] - 1 + x[0] ** 2).abs(),
    "sum": lambda x: (x[0].abs() - 1).abs() + (x[1] - (1 - x[0] ** 2)).abs(),
}


@pytest.mark.parametrize("name", ["neb", "string", "autoneb"])
@pytest.mark.parametrize("kink", list(KINKS))
def test_chains_say_why_they_stop_at_kinks(name: str, kink: str) -> None:
    landscape = from_function(KINKS[kink], dim=2)
    path = find(landscape, *torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=FLOAT64), method=name, saddle=False)
    assert path.status == "iteration limit"
    assert "rounding" not in path.message
    assert "the forces do not fall however short the step, so the function is not smooth there" in path.message


@pytest.mark.parametrize(("kink", "dim"), [("valley", 5), ("sum", 2)])
def test_auto_falls_back_at_kinks_and_says_so(kink: str, dim: int) -> None:
    landscape = from_function(lambda x: KINKS[kink](x) + x[2:].abs().sum(), dim=dim)
    ends = torch.zeros(2, dim, dtype=FLOAT64)
    ends[:, 0] = torch.tensor([-1.0, 1.0])
    path = find(landscape, *ends)
    assert path.method == "bezier"
    assert 1 - 1e-9 <= path.height <= 1.01
    assert path.message.startswith("autoneb, picked for an energy: ")
    assert "bezier took over and found a lower path: " in path.message
