"""A surface is the landscape at every one of its points, whatever happens on the way."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from curved_networks import dense_hessian, perceptron
from sample_networks import NETWORKS, Normalised, vectors

from lossatlas import curvature, slices
from lossatlas import landscape as landscapes
from lossatlas.core.errors import DivergenceError, InputError, MemoryLimitError, StorageError
from lossatlas.core.files import bit_equal
from lossatlas.core.randomness import seeded
from lossatlas.landscape import NetworkLandscape, Numerics


@pytest.fixture(scope="module")
def network():
    landscape, module, data = perceptron(hidden=5, samples=30)
    return landscape, module, data, landscape.flatten(module)


# ------------------------------------------------------------------ the same everywhere
def test_51_by_51_is_the_point_by_point_value_everywhere(network):
    """Against weights written into a module one point at a time, as one would do by hand."""
    landscape, module, (inputs, targets), w = network
    found = slices.surface(landscape, w)
    assert found.values.shape == (51, 51)
    a, b = (landscape.spec.unflatten(d) for d in found.plane.directions)
    work = copy.deepcopy(module)
    own = dict(module.named_parameters())
    expected = torch.empty(51, 51, dtype=torch.float64)
    with torch.no_grad():
        for i, x in enumerate(torch.linspace(-1, 1, 51, dtype=torch.float64)):
            for j, y in enumerate(torch.linspace(-1, 1, 51, dtype=torch.float64)):
                for name, parameter in work.named_parameters():
                    parameter.copy_(own[name] + x * a[name] + y * b[name])
                expected[i, j] = F.cross_entropy(work(inputs), targets)
    assert torch.allclose(found.values, expected, rtol=1e-12, atol=0)
    assert float(found.values[25, 25]) == pytest.approx(float(landscape.value(w)), rel=1e-14)
    # No two rows and no two columns are alike, so that none could stand for another.
    assert float(torch.cdist(expected, expected).fill_diagonal_(1).min()) > 1e-6
    assert float(torch.cdist(expected.T, expected.T).fill_diagonal_(1).min()) > 1e-6


@pytest.mark.parametrize("name", ["lenet", "lstm", "normalised", "attention"])
def test_every_network_and_strategy(name):
    landscape = NETWORKS[name](dtype=torch.float64)
    w = landscape._initial_point()
    found = slices.surface(landscape, w, points=(4, 3), seed=1, metrics=["accuracy"])
    flat = found.rows.dense().reshape(-1, landscape.dim)
    values = torch.stack([landscape.value(row) for row in flat]).reshape(4, 3)
    accuracy = torch.stack([landscape.metrics(row)["accuracy"] for row in flat]).reshape(4, 3)
    assert torch.allclose(found.values, values, rtol=1e-10)
    assert torch.allclose(found.metrics["accuracy"], accuracy)


def test_one_two_and_three_directions(network):
    landscape, *_, w = network
    line = slices.surface(landscape, w, count=1, points=9)
    plane = slices.surface(landscape, w, points=9)
    volume = slices.surface(landscape, w, count=3, points=9)
    assert (line.shape, plane.shape, volume.shape) == ((9,), (9, 9), (9, 9, 9))
    assert torch.allclose(plane.values[:, 4], line.values, rtol=1e-12)
    assert torch.allclose(volume.values[:, :, 4], plane.values, rtol=1e-12)


def test_float32_is_the_landscape_in_float32():
    landscape, module, _ = perceptron(dtype=torch.float32)
    w = landscape.flatten(module)
    single = slices.surface(landscape, w, points=5)
    double = slices.surface(landscape, w, points=5, dtype=torch.float64)
    assert single.values.dtype == double.values.dtype == torch.float64
    assert (single.details["dtype"], double.details["dtype"]) == ("float32", "float64")
    assert torch.allclose(single.values, double.values, rtol=1e-5)
    assert not torch.equal(single.values, double.values)


def test_the_users_model_and_the_random_state_are_left_alone():
    with seeded("slices purity"):
        net = Normalised().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    flags = [module.training for module in net.modules()]
    grads = [p.requires_grad for p in net.parameters()]
    landscape = NetworkLandscape(net, F.cross_entropy, vectors())
    state = torch.random.get_rng_state()
    w = landscape.flatten(net)
    slices.surface(landscape, w, points=5, metrics=["accuracy", "gradient norm"])
    slices.surface(landscape.with_batch_statistics(), w, "random", points=5, span="adaptive")
    assert bit_equal({k: v.clone() for k, v in net.state_dict().items()}, before)
    assert [module.training for module in net.modules()] == flags
    assert [p.requires_grad for p in net.parameters()] == grads
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert bit_equal(w, landscape.flatten(net))


# ------------------------------------------------------------------ other metrics
def test_gradient_norm_and_smallest_eigenvalue(network):
    landscape, module, data, w = network

    def smallest(where, rows):
        return curvature.eigenvalues(where, rows, k=1, which="smallest").values[:, 0]

    found = slices.surface(landscape, w, points=3, metrics={"gradient norm": None, "smallest": smallest})
    assert list(found.metrics) == ["gradient norm", "smallest"]
    rows = found.rows.dense().reshape(-1, landscape.dim)
    values, slopes = landscape.value_and_grad(rows)
    assert torch.allclose(found.values.flatten(), values)
    assert torch.allclose(found.metrics["gradient norm"].flatten(), slopes.norm(dim=1))
    for row, value in zip(rows, found.metrics["smallest"].flatten(), strict=True):
        exact = torch.linalg.eigvalsh(dense_hessian(module, landscape, data, row))[0]
        assert float(value) == pytest.approx(float(exact), rel=1e-5)


def test_unknown_metrics_are_refused(network):
    landscape, *_, w = network
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        slices.surface(landscape, w, points=3, metrics=["acuracy"])
    with pytest.raises(InputError, match="a function"):
        slices.surface(landscape, w, points=3, metrics={"mine": 3})
    with pytest.raises(InputError, match=r"'mine' to return a tensor of shape \(9,\) for 9 rows"):
        slices.surface(landscape, w, points=3, metrics={"mine": lambda where, rows: rows.sum()})
    toy = landscapes.get("paper-toy")
    with pytest.raises(InputError, match="unknown metric 'accuracy'"):
        slices.surface(toy, toy.ends[0], "coordinates", points=3, metrics=["accuracy"])


# ------------------------------------------------------------------ range
def test_adaptive_ranges_end_where_the_loss_has_risen():
    bowl = landscapes.from_function(lambda x: (x[0] ** 2 + 100 * x[1] ** 2) / 2 - 0.25 * x[0] ** 3, dim=2)
    origin = torch.zeros(2, dtype=torch.float64)
    plane = slices.plane_at(bowl, origin, 7 * torch.eye(2, dtype=torch.float64))
    for rise in (0.01, 0.3):
        window = slices.adaptive_window(bowl, plane, rise=rise, limit=50.0)
        for k, (low, high) in enumerate(window):
            assert low == -high
            ends = bowl.value(torch.stack([end * plane.directions[k] for end in (low, high)]))
            assert float(ends.max()) == pytest.approx(rise, rel=0.02)
    assert slices.adaptive_window(bowl, plane, rise=1e9)[0][1] == pytest.approx(2 / 7)


def test_adaptive_ranges_of_a_network_reach_the_untrained_loss(network):
    landscape, *_, w = network
    for _ in range(60):
        w = w - 0.5 * landscape.value_and_grad(w)[1]
    untrained = float(landscape.value(torch.zeros_like(w)))
    assert float(landscape.value(w)) < 0.7 * untrained
    for seed in range(3):
        found = slices.surface(landscape, w, "random", span="adaptive", points=3, count=1, seed=seed)
        assert max(float(found.values[0]), float(found.values[2])) == pytest.approx(untrained, rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 1}, "at least 2 points"),
        ({"points": (3,)}, "for each of 2 directions"),
        ({"points": 2.5}, "2.5"),
        ({"span": -1.0}, "positive range"),
        ({"span": math.nan}, "positive range"),
        ({"span": (1.0, 0.0)}, "low < high"),
        ({"span": [(0.0, 1.0)]}, "a range for each of 2 directions, got 1"),
        ({"span": [(0.0, 1.0), 3.0]}, "for each direction"),
        ({"span": "adaptiv"}, "or 'adaptive'"),
        ({"dtype": torch.float16}, "float32 or float64"),
    ],
)
def test_ranges_that_cannot_be(network, options, message):
    landscape, *_, w = network
    with pytest.raises(InputError, match=message):
        slices.surface(landscape, w, **{"points": 3, **options})


def test_every_way_to_give_a_range(network):
    landscape, *_, w = network
    assert slices.surface(landscape, w, points=3).window == ((-1, 1), (-1, 1))
    assert slices.surface(landscape, w, points=3, span=0.5).window == ((-0.5, 0.5), (-0.5, 0.5))
    assert slices.surface(landscape, w, points=3, span=(0, 2)).window == ((0, 2), (0, 2))
    assert slices.surface(landscape, w, points=3, span=[(0, 2), (-1, 0)]).window == ((0, 2), (-1, 0))


# ------------------------------------------------------------------ what is not finite
def test_what_is_not_finite_stays_and_is_counted():
    walled = landscapes.from_function(
        lambda x: torch.where(x[0] > 0.5, torch.nan, torch.where(x[1] < -0.9, torch.inf, (x**2).sum())), dim=2
    )
    found = slices.surface(walled, torch.zeros(2, dtype=torch.float64), "coordinates", points=21, span=1.0)
    x, y = found.coordinates.unbind(-1)
    wrong = (x > 0.5) | (y < -0.9)
    assert torch.equal(~found.finite, wrong)
    assert found.nonfinite == 5 * 21 + 16
    assert bool(found.values[x > 0.5].isnan().all())
    assert bool(found.values[(y < -0.9) & (x <= 0.5)].isposinf().all())
    assert torch.equal(found.values[found.finite], (x**2 + y**2)[found.finite])
    assert found.lowest == ((0.0, 0.0), 0.0)
    with pytest.raises(DivergenceError, match="finite loss at the origin"):
        slices.surface(walled, torch.ones(2, dtype=torch.float64), "coordinates", points=3, span="adaptive")


def test_a_surface_of_nothing_has_no_lowest_point():
    empty = landscapes.from_function(lambda x: x.sum() * torch.nan, dim=2)
    found = slices.surface(empty, torch.zeros(2, dtype=torch.float64), "coordinates", points=3, span=1.0)
    assert found.nonfinite == 9
    with pytest.raises(InputError, match="NaN or infinity everywhere"):
        _ = found.lowest


# ------------------------------------------------------------------ interruption
class Breaks:
    """A landscape whose process is stopped at one of its calls."""

    def __init__(self, inner, after):
        self._inner, self._left = inner, after
        self.calls = 0

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def value(self, x):
        self.calls += 1
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
        return self._inner.value(x)


def many(x):
    return (x**2).sum() + (3 * x).sin().prod()


def test_a_stopped_surface_continues_with_the_same_bits(tmp_path):
    inner = landscapes.from_function(many, dim=1001)
    w = torch.linspace(-1, 1, 1001, dtype=torch.float64)
    whole = slices.surface(inner, w, "random", points=12, seed=3)
    path = tmp_path / "grid.json"
    with pytest.raises(KeyboardInterrupt):
        slices.surface(Breaks(inner, 2), w, "random", points=12, seed=3, checkpoint=path)
    assert path.exists()
    again = Breaks(inner, None)
    told = []
    found = slices.surface(
        again, w, "random", points=12, seed=3, checkpoint=path, progress=lambda done, total: told.append((done, total))
    )
    assert bit_equal(found.values, whole.values)
    assert again.calls == 3  # the origin, and two pieces of 64 left of three
    assert told == [(64, 144), (128, 144), (144, 144)]
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    inner = landscapes.from_function(many, dim=1001)
    w = torch.linspace(-1, 1, 1001, dtype=torch.float64)
    path = tmp_path / "grid.json"
    with pytest.raises(KeyboardInterrupt):
        slices.surface(Breaks(inner, 2), w, "random", points=12, checkpoint=path)
    other = landscapes.from_function(lambda x: 2 * many(x), dim=1001)
    for landscape, options in ((inner, {"points": 13}), (inner, {"points": 12, "seed": 1}), (other, {"points": 12})):
        with pytest.raises(StorageError, match="the same surface in progress"):
            slices.surface(landscape, w, "random", checkpoint=path, **options)
    assert path.exists()


def test_numerics_of_a_stopped_surface_are_kept(tmp_path):
    """Strategies differ in the last bits: what continues keeps to the one it began with."""
    landscape = NETWORKS["fcp"](numerics=Numerics(full="fused", data_chunk=7, row_chunk=3))
    w = landscape._initial_point()
    path = tmp_path / "grid.json"

    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    whole = slices.surface(landscape, w, points=9)
    with pytest.raises(KeyboardInterrupt):
        slices.surface(landscape, w, points=9, checkpoint=path, progress=stop)
    found = slices.surface(landscape.with_numerics(Numerics()), w, points=9, checkpoint=path)
    assert bit_equal(found.values, whole.values)


# ------------------------------------------------------------------ memory
class Crowded:
    """A landscape that can hold a few rows only."""

    def __init__(self, inner, most):
        self._inner, self._most = inner, most
        self.sizes = []

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def value(self, x):
        rows = x.shape[:-1].numel()
        self.sizes.append(rows)
        if rows > self._most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return self._inner.value(x)


def test_chunks_are_halved_where_memory_ends():
    inner = landscapes.from_function(many, dim=3)
    w = torch.zeros(3, dtype=torch.float64)
    crowded = Crowded(inner, 10)
    found = slices.surface(crowded, w, "coordinates", points=8, span=1.0)
    assert bit_equal(found.values, slices.surface(inner, w, "coordinates", points=8, span=1.0).values)
    assert crowded.sizes[1:5] == [64, 32, 16, 8]


def test_a_point_that_does_not_fit_is_an_error():
    class Full(Crowded):
        """Even one row of a grid is too much."""

        def value(self, x):
            return self._inner.value(x) if x.shape[:-1] == () else super().value(x)

    full = Full(landscapes.from_function(many, dim=3), 0)
    with pytest.raises(MemoryLimitError, match="memory for one point of 3 weights"):
        slices.surface(full, torch.zeros(3, dtype=torch.float64), "coordinates", points=3, span=1.0)


def test_other_errors_are_not_taken_for_a_lack_of_memory(network):
    landscape, *_, w = network

    def broken(where, rows):
        raise RuntimeError("no such luck")

    with pytest.raises(RuntimeError, match="no such luck"):
        slices.surface(landscape, w, points=3, metrics={"mine": broken})


# ------------------------------------------------------------------ files
def test_a_surface_reads_back_to_the_same_bits(network, tmp_path):
    landscape, *_, w = network
    found = slices.surface(landscape, w, points=(3, 4), metrics=["accuracy"], unit="nat")
    found.save(tmp_path / "lr0.1")
    read = slices.Surface.load(tmp_path / "lr0.1")
    assert bit_equal(read.to_tree(), found.to_tree())
    assert read.plane.spec == landscape.spec
    again = landscape.value(read.rows)
    assert torch.allclose(again.double(), found.values, rtol=1e-14)


def test_shapes_that_do_not_fit_are_refused(network):
    landscape, *_, w = network
    found = slices.surface(landscape, w, points=3)
    with pytest.raises(InputError, match=r"'loss' of shape \(3, 3\)"):
        slices.Surface(found.plane, found.axes, found.values[:2])
    with pytest.raises(InputError, match="an axis"):
        slices.Surface(found.plane, found.axes[:1], found.values)
    with pytest.raises(InputError, match="one of loss on this surface, got 'accuracy'"):
        found.named("accuracy")


def test_lengths_and_steps():
    plane = slices.Plane(torch.tensor([3.0, 4.0]), torch.tensor([[10.0, 0.0], [0.0, 1.0]]))
    axes = (torch.linspace(-1, 1, 5, dtype=torch.float64), torch.linspace(0, 1, 3, dtype=torch.float64))
    found = slices.Surface(plane, axes, torch.zeros(5, 3))
    assert found.scale == (2.0, 0.2)
    assert found.steps == (5.0, 0.5)


def test_planes_through_other_points_are_refused(network):
    landscape, *_, w = network
    plane = slices.plane_at(landscape, w)
    assert torch.equal(slices.plane_at(landscape, w, plane).directions, plane.directions)
    with pytest.raises(InputError, match="a plane through the given weights"):
        slices.plane_at(landscape, w + 1, plane)
    toy = landscapes.get("paper-toy")
    with pytest.raises(InputError, match="a plane in 2 coordinates"):
        slices.surface_on(toy, plane)
