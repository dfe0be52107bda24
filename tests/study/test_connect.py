"""connect: what is found between points, what is stored, and what is refused before anything is written."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from detour import Detour
from torch import nn

from lossatlas import symmetry
from lossatlas.core.errors import ConfigurationError, DataError, DivergenceError, InputError, StorageError
from lossatlas.core.files import bit_equal
from lossatlas.core.randomness import generator, seeded
from lossatlas.landscape import NetworkLandscape, from_function, get
from lossatlas.paths import finders
from lossatlas.paths.schedule import SpanningTree
from lossatlas.study import connect, load_connection
from lossatlas.study.surface import surface, window

VIA = (-0.8220015587, 0.6243128028)  # the pass of Müller and Brown's surface between A and C


@pytest.fixture
def detour(monkeypatch) -> list[int]:
    """The finder by name; the list grows by the seed number of every pair it is asked for."""
    monkeypatch.setitem(finders._entries, "detour", Detour)
    monkeypatch.setitem(finders._summaries, "detour", "over a given point")
    Detour.asked.clear()
    return Detour.asked


@pytest.fixture(scope="module")
def minima() -> tuple:
    surface = get("muller-brown")
    return surface, torch.stack([m.x for m in surface.minima]), [m.name for m in surface.minima]


def network(normalised: bool = False) -> tuple[NetworkLandscape, torch.Tensor]:
    g = generator("connect")
    x, y = torch.randn(40, 3, generator=g), torch.randint(0, 2, (40,), generator=g)
    with seeded("connect net"):
        net = nn.Sequential(nn.Linear(3, 6), *([nn.BatchNorm1d(6)] if normalised else []), nn.Tanh(), nn.Linear(6, 2))
    optimizer = torch.optim.Adam(net.parameters(), 5e-2)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    landscape = NetworkLandscape(net, F.cross_entropy, (x, y))
    a = landscape.flatten(net)
    structure = symmetry.permutation_structure(landscape)
    return landscape, torch.stack([a, structure.apply(a, structure.random(1))])


# ------------------------------------------------------------------ what is found
def test_three_minima_and_their_tree(minima, detour):
    landscape, points, names = minima
    found = connect(landscape, points, names, method="detour", options={"via": VIA})
    assert len(found.routes) == 3
    assert found.complete
    a, b, c = (names.index(name) for name in "ABC")
    heights = found.heights
    assert torch.equal(heights, heights.T)
    assert torch.equal(heights.diagonal(), found.energies)
    exact = landscape.passes[0].value
    assert float(heights[a, c]) >= exact - 1e-9
    # The straight line from B to C is lower than the detour, and counts.
    route = found.route(c, b)
    assert route is not None
    assert route.best is route.paths["straight"]
    assert float(heights[b, c]) == route.paths["straight"].height < route.paths["found"].height
    assert float(found.tree.minimax[a, b]) <= float(heights[a, b])
    assert found.surface is not None
    assert float(found.surface.z.min()) >= float(found.energies.min()) - 1e-9


def test_linear_finds_the_straight_line_once(minima):
    landscape, points, names = minima
    found = connect(landscape, points[:2], names[:2], method="linear")
    assert list(found.routes[0].paths) == ["straight"]
    with pytest.raises(InputError):
        connect(landscape, points[:2], names[:2], method="linear", align=True)


def test_a_permuted_copy_is_the_same_network(detour):
    landscape, points = network()
    found = connect(landscape, points, ["net", "copy"], method="detour")
    (route,) = found.routes
    assert set(route.paths) == {"straight", "found", "straight aligned", "found aligned"}
    assert route.alignment is not None
    assert route.alignment.distance_after < 1e-5 < route.alignment.distance_before
    assert route.paths["straight"].barrier > 0.01
    assert route.paths["straight aligned"].barrier < 1e-6
    assert route.averaging is not None
    assert route.averaging.verdict in ("after alignment", "yes")
    assert float(found.aligned_heights[0, 1]) < float(found.heights[0, 1])
    unaligned = connect(landscape, points, ["net", "copy"], method="detour", align=False)
    assert set(unaligned.routes[0].paths) == {"straight", "found"}
    assert torch.equal(unaligned.heights, found.heights)


def test_a_network_that_cannot_be_traced_is_connected_all_the_same():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.fft(x @ self.weight).real

    g = generator("odd")
    landscape = NetworkLandscape(Odd(), F.mse_loss, (torch.randn(9, 3, generator=g), torch.randn(9, 3, generator=g)))
    points = torch.randn(2, 9, generator=g)
    found = connect(landscape, points, method="linear")
    assert list(found.routes[0].paths) == ["straight"]
    assert any("Hidden units were not reordered" in note for note in found.notes)
    with pytest.raises(InputError):
        connect(landscape, points, method="linear", align=True)


def test_normalisation_statistics_are_those_of_each_point():
    landscape, points = network(normalised=True)
    found = connect(landscape, points, method="linear")
    exact = landscape.to(dtype=torch.float64)
    # In training mode the loss is that of the batch's own statistics.
    for row, energy in zip(points.double(), found.energies, strict=True):
        module = exact.module(row).train()
        (batch,) = exact.batches()
        output, target = exact.outputs(module, batch)
        assert float(F.cross_entropy(output, target)) == pytest.approx(float(energy), rel=1e-12)
    assert any("normalisation statistics" in note for note in found.notes)
    (route,) = found.routes
    assert route.averaging is not None
    assert route.averaging.refreshed is not None
    assert route.paths["straight aligned"].barrier < 1e-6


def test_a_schedule_spends_its_budget_where_it_helps(minima):
    landscape, points, names = minima
    found = connect(landscape, points, names, method="linear", schedule=SpanningTree(budget=2))
    assert len(found.routes) == 2
    assert found.complete
    assert found.tree.connected
    assert int(found.heights.isnan().sum()) == 2
    with pytest.raises(InputError, match="budget of at least 2"):
        connect(landscape, points, names, method="linear", schedule=SpanningTree(budget=1))


def test_a_path_into_nothing_is_no_pass():
    wall = from_function(lambda x: torch.where(x[0].abs() < 0.1, torch.nan, x[0] ** 2), dim=1)
    found = connect(wall, torch.tensor([[-1.0], [1.0]], dtype=torch.float64), method="linear")
    (route,) = found.routes
    assert route.best.status == "not finite"
    assert float(found.heights[0, 1]) == math.inf
    assert not found.tree.connected


# ------------------------------------------------------------------ the folder
def test_the_same_call_reads_what_is_there(minima, detour, tmp_path):
    landscape, points, names = minima
    folder = tmp_path / "x"
    first = connect(landscape, points, names, method="detour", options={"via": VIA}, folder=folder)
    assert len(detour) == 3
    stored = load_connection(folder)
    assert bit_equal(stored.to_tree(), load_connection(folder).to_tree())
    assert torch.equal(stored.heights, first.heights)
    again = connect(landscape, points, names, method="detour", options={"via": VIA}, folder=folder)
    assert len(detour) == 3
    assert torch.equal(again.heights, first.heights)
    # The same points in another order, and fewer of them: still nothing to compute but pairs walked the other way.
    connect(landscape, points[[0, 2]], [names[0], names[2]], method="detour", options={"via": VIA}, folder=folder)
    assert len(detour) == 3


def test_storing_does_not_change_what_is_found(minima, detour, tmp_path):
    """What a finder draws depends on the seed number of a pair; it may depend on nothing but the pair."""
    landscape, points, names = minima
    for folder in (None, tmp_path):
        connect(landscape, points, names, method="detour", folder=folder)
    connect(landscape, points[[0, 2]], method="detour", options={"points": 9})
    assert detour[3:6] == detour[:3]
    assert detour[6] in detour[:3]
    assert len(set(detour)) == 3


def test_a_random_search_finds_the_same_path_stored_or_not(tmp_path):
    def chain(x: torch.Tensor) -> torch.Tensor:
        return (1 - torch.cos(x - torch.roll(x, 1))).sum() + 0.25 * (1 - torch.cos(2 * x)).sum()

    spins = from_function(chain, dim=8)
    ends = torch.stack([torch.zeros(8), torch.full((8,), math.pi)]).double()
    ways = [connect(spins, ends, folder=folder) for folder in (None, tmp_path)]
    first, second = (found.routes[0].paths["found"] for found in ways)
    assert bit_equal(first.to_tree(), second.to_tree())


def test_another_landscape_method_or_option_is_computed_anew(minima, detour, tmp_path):
    landscape, points, names = minima
    ends = points[:2], names[:2]
    connect(landscape, *ends, method="detour", folder=tmp_path)
    connect(landscape, *ends, method="detour", options={"points": 9}, folder=tmp_path)
    assert len(detour) == 2
    lifted = from_function(lambda x: landscape._energy(x[None])[0] + 1.0, dim=2)
    connect(lifted, *ends, method="detour", folder=tmp_path)
    assert len(detour) == 3


def test_landscapes_that_differ_only_between_two_points_are_told_apart(tmp_path):
    def bump(height: float):
        return from_function(lambda x: height * torch.exp(-(((x[0] - 5) / 0.03) ** 2)) + x[1] ** 2, dim=2)

    ends = torch.tensor([[4.0, 0.0], [6.0, 0.0]], dtype=torch.float64)
    found = [connect(bump(h), ends, method="linear", folder=tmp_path).routes[0].best.height for h in (1.0, 2.0)]
    assert found == pytest.approx([1.0, 2.0])


def test_an_interrupt_keeps_what_was_found(minima, tmp_path, monkeypatch):
    landscape, points, names = minima
    monkeypatch.setattr("lossatlas.study.connecting._BATCH_SMALL", 1)
    seen = []

    def stop(done: int, planned: int | None, text: str) -> None:
        seen.append((done, planned))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        connect(landscape, points, names, method="linear", folder=tmp_path, progress=stop)
    assert seen == [(0, 3), (1, 3), (2, 3)]
    partial = load_connection(tmp_path)
    assert len(partial.routes) == 2
    assert not partial.complete
    whole = connect(landscape, points, names, method="linear", folder=tmp_path)
    assert whole.complete
    assert torch.equal(load_connection(tmp_path).heights, whole.heights)


def test_a_continued_command_keeps_its_numerics(tmp_path, monkeypatch):
    landscape, points = network()
    fresh, _ = network()
    first = connect(landscape, points, method="linear", folder=tmp_path, align=False)

    def refuse(*arguments: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("lossatlas.landscape.network.landscape.measure_numerics", refuse)
    again = connect(fresh, points, method="linear", folder=tmp_path, align=False)
    assert again.details["numerics"] == first.details["numerics"]


# ------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"points": torch.zeros(1, 2).double()}, InputError, "at least two points"),
        ({"points": torch.zeros(2).double()}, InputError, "at least two points"),
        ({"points": torch.zeros(2, 3).double()}, InputError, "2 coordinates"),
        ({"points": torch.zeros(2, 2).double()}, InputError, "different points"),
        ({"points": torch.tensor([[0.0, 1.0], [0.0, torch.nan]]).double()}, InputError, "NaN"),
        ({"labels": ["A"]}, InputError, "different label"),
        ({"labels": ["A", "A"]}, InputError, "different label"),
        ({"method": "liner"}, ConfigurationError, "did you mean 'linear'"),
        ({"options": {"pionts": 3}}, ConfigurationError, "did you mean 'points'"),
        ({"options": {"points": 1}}, ConfigurationError, "at least 2 points"),
        ({"options": {"points": 2.5}}, ConfigurationError, "points"),
        ({"align": True}, InputError, "without hidden units"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path, change, error, message):
    arguments = {"points": torch.tensor([[0.0, 0.0], [1.0, 0.0]]).double(), "method": "linear", **change}
    with pytest.raises(error, match=message):
        connect(get("muller-brown"), folder=tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_statistics_that_are_not_finite(tmp_path):
    landscape, points = network(normalised=True)
    own = landscape.refresh(points)
    buffers = [{name: tensor[i].clone() for name, tensor in own.items()} for i in range(2)]
    buffers[1]["1.running_var"][2] = math.nan
    with pytest.raises(
        DataError, match=r"finite normalisation statistics in 'b', got NaN or infinity in '1\.running_v"
    ):
        connect(landscape, points, ["a", "b"], method="linear", buffers=buffers, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_end_without_a_finite_loss(tmp_path):
    wall = from_function(lambda x: torch.where(x[0] > 0, torch.inf, x[0] ** 2), dim=1)
    with pytest.raises(DivergenceError, match="finite energy at '1', got inf: choose a point"):
        connect(wall, torch.tensor([[-1.0], [1.0]], dtype=torch.float64), method="linear", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folders_of_others_are_left_alone(minima, tmp_path):
    landscape, points, names = minima
    (tmp_path / "thesis.tex").write_text("precious")
    for folder in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(StorageError, match="choose another --out"):
            connect(landscape, points, names, method="linear", folder=folder)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(StorageError, match=r"without store/connection\.json"):
        load_connection(tmp_path)


# ------------------------------------------------------------------ surfaces
def test_a_surface_is_the_landscape_on_a_grid():
    toy = get("paper-toy")
    grid = surface(toy, ((-1.0, 1.0), (0.0, 0.5)), resolution=5)
    for i in range(5):
        for j in range(5):
            assert float(grid.z[i, j]) == float(toy.value(torch.stack([grid.x[j], grid.y[i]])))
    assert grid.x.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert float(grid.y[-1]) == 0.5


def test_windows_hold_every_finite_point():
    bowl = from_function(lambda x: (x**2).sum(), dim=2)
    rows = [torch.tensor([[0.0, 1.0], [4.0, 1.0]]), torch.tensor([[torch.nan, 9.0]])]
    (left, right), (low, high) = window(bowl, rows)
    assert left < 0
    assert right > 4
    assert low < 1 < high, "a flat path has room to both sides"
    for wrong in (((0.0, 0.0), (0.0, 1.0)), ((0.0, math.inf), (0.0, 1.0))):
        with pytest.raises(InputError, match="low < high"):
            surface(bowl, wrong)
    with pytest.raises(InputError, match="2 coordinates"):
        surface(get("quadratic", dim=3), ((0.0, 1.0), (0.0, 1.0)))
