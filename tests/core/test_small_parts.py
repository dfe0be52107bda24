from __future__ import annotations

import contextlib
import csv
import io
import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossatlas.core.errors import ConfigurationError, InputError, nearest
from lossatlas.core.hardware import describe_hardware, memory_budget, resolve_device
from lossatlas.core.linalg import random_rotation, row_dot, row_norm
from lossatlas.core.path import Path
from lossatlas.core.randomness import derive_seed, generator, preserved_random_state, seeded
from lossatlas.core.registry import Registry
from lossatlas.core.table import Column, Table


# ------------------------------------------------------------------ randomness
def test_seeds_never_change():
    # Stored studies and published numbers depend on these.
    assert derive_seed(0) == 6711488920161924273
    assert derive_seed(0, "initial weights", 3) == 7144657867937230022
    assert derive_seed(1, "mini-batches", 0, 12) == 7610432456115322927


@given(
    st.lists(
        st.one_of(st.integers(), st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"]))),
        max_size=4,
    )
)
def test_seeds_fit_torch_and_depend_on_types_and_order(names):
    seed = derive_seed(*names)
    assert 0 <= seed < 2**63
    assert generator(*names).initial_seed() == seed
    assert derive_seed(*names, 1) != derive_seed(*names, "1")
    if names != names[::-1]:
        assert derive_seed(*names[::-1]) != seed


def test_streams_are_independent():
    draws = torch.stack([torch.randn(2000, generator=generator(0, "replica", i)) for i in range(20)])
    correlation = torch.corrcoef(draws.double())
    off = correlation[~torch.eye(20, dtype=torch.bool)]
    assert off.abs().max() < 5 / math.sqrt(2000)
    # Replica 3 draws the same numbers whoever else draws.
    assert torch.equal(torch.randn(2000, generator=generator(0, "replica", 3)), draws[3])


def test_global_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    generator(0, "x").initial_seed()
    random_rotation(4)
    with seeded(1, "a"):
        torch.rand(7)
        with seeded(1, "b"):
            torch.rand(1)
    with preserved_random_state():
        torch.rand(11)
    with contextlib.suppress(KeyError), seeded(1, "c"):
        torch.rand(2)
        raise KeyError
    assert torch.equal(torch.rand(3), expected)


# ------------------------------------------------------------------ rotations
@pytest.mark.parametrize("dim", [1, 2, 3, 10, 50])
def test_rotations_are_orthogonal_with_determinant_one(dim):
    for seed in range(10):
        q = random_rotation(dim, seed)
        assert q.dtype == torch.float64
        assert torch.allclose(q.T @ q, torch.eye(dim, dtype=q.dtype), atol=1e-13)
        assert abs(float(torch.linalg.det(q)) - 1) < 1e-12
    assert torch.equal(random_rotation(dim, 3), random_rotation(dim, 3))
    assert random_rotation(dim, dtype=torch.float32).dtype == torch.float32


def test_rotations_are_uniform():
    # Under the Haar measure in d dimensions every entry has E q² = 1/d and E q⁴ = 3/(d(d+2)), and the trace of a
    # rotation has mean 0 and variance 1 for d >= 3. The QR route without sign correction has E q_00 < 0.
    d, count = 3, 4000
    q = torch.stack([random_rotation(d, seed) for seed in range(count)])

    def z(samples, mean, variance):
        return (samples.mean(0) - mean) / math.sqrt(variance / count)

    second, fourth = 1 / d, 3 / (d * (d + 2))
    assert z(q, 0, second).abs().max() < 4.5
    assert z(q**2, second, fourth - second**2).abs().max() < 4.5
    trace = q.diagonal(dim1=1, dim2=2).sum(1)
    assert abs(float(z(trace, 0, 1))) < 4.5
    assert abs(float(z(trace**2, 1, 2))) < 4.5


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3), min_size=1, max_size=4))
def test_rows(rows):
    a = torch.tensor(rows, dtype=torch.float64)
    assert torch.allclose(row_dot(a, a.flip(0)), torch.stack([u @ v for u, v in zip(a, a.flip(0), strict=True)]))
    assert row_norm(a).tolist() == pytest.approx([math.hypot(*row) for row in rows])


# ------------------------------------------------------------------ registry and names
def test_registry():
    registry = Registry[int]("colour")
    assert registry.add("red", 1, "warm") == 1

    @registry.register("blue", "cold")
    def blue():
        pass

    assert list(registry) == ["red", "blue"]
    assert len(registry) == 2
    assert "red" in registry
    assert "green" not in registry
    assert registry.summary("blue") == "cold"
    assert registry["blue"] is blue
    with pytest.raises(
        ConfigurationError, match=re.escape("unknown colour 'bleu': did you mean 'blue'? (one of: blue, red)")
    ):
        registry["bleu"]
    with pytest.raises(ConfigurationError, match="unknown colour"):
        registry.summary("bleu")
    with pytest.raises(ConfigurationError, match="already registered"):
        registry.add("red", 2, "")
    assert registry["red"] == 1


def test_nearest_with_nothing_near_and_nothing_at_all():
    assert nearest("zzz", ["fcp"]) == "use one of: fcp"
    assert nearest("zzz", []) == "use one of: none are registered"


# ------------------------------------------------------------------ tables
COLUMNS = (Column("x", "X", "nat", ".1e"), Column("name", "Name"))
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


@given(st.lists(st.tuples(st.floats(), words)))
def test_csv_reads_back_to_the_same_floats(rows):
    text = Table("t", "T", "", COLUMNS, tuple(rows)).to_csv()
    header, *read = list(csv.reader(io.StringIO(text)))
    assert header == ["x", "name"]
    assert [repr(float(x)) for x, _ in read] == [repr(x) for x, _ in rows]
    assert [name for _, name in read] == [name for _, name in rows]


@pytest.mark.parametrize(
    ("how", "value", "expected"),
    [
        (".1g", 12.3, "12"),
        (".3g", 3620.9, "3621"),
        (".1g", 0.0123, "0.01"),
        (".1g", 1.2e-7, "1e-07"),
        (".1g", 2e4, "2e+04"),
        (".1e", 12.3, "1.2e+01"),
    ],
)
def test_only_large_and_small_numbers_are_shown_with_powers_of_ten(how: str, value: float, expected: str):
    assert Table("t", "T", "", (Column("x", "X", "", how),), ((value,),)).shown(0, 0) == expected


def test_tables_hold_what_they_were_given():
    table = Table("t", "T", "c", COLUMNS, ((1.25, "a"), (None, 'b,\n"q"')))
    assert Table.from_tree(table.to_tree()) == table
    assert table.column("x") == [1.25, None]
    assert table.records()[1] == {"x": None, "name": 'b,\n"q"'}
    assert table.shown(1, 0) == "–"
    assert list(csv.reader(io.StringIO(table.to_csv())))[2] == ["", 'b,\n"q"']
    with pytest.raises(InputError, match="expected rows of 2 cells in table 't', got 1"):
        Table("t", "", "", COLUMNS, ((1.0,),))


# ------------------------------------------------------------------ hardware
@pytest.mark.parametrize("name", ["gpu", "", "cpu:x", "cuda:-1", "meta", "CPU ", "mps", [], 1.5])
def test_devices_that_are_none(name):
    with pytest.raises(InputError, match=r"expected (a )?device"):
        resolve_device(name)


def test_devices_that_are_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for name in ("cuda", "cuda:0", torch.device("cuda")):
        with pytest.raises(InputError, match="without one: use device 'cpu'"):
            resolve_device(name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="expected one of 2 CUDA devices, got 'cuda:2'"):
        resolve_device("cuda:2")
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    assert resolve_device("cpu") == resolve_device(None) == torch.device("cpu")


def test_this_machine():
    assert memory_budget(torch.device("cpu")) >= 64 << 20
    assert memory_budget(torch.device("cpu"), ceiling=1) == 64 << 20
    assert describe_hardware().to_json()["torch"] == torch.__version__


# ------------------------------------------------------------------ paths
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=9), st.booleans())
def test_barriers_of_a_path_and_of_its_reverse(losses, linear):
    loss = torch.tensor(losses, dtype=torch.float64)
    t = torch.linspace(0, 1, len(losses), dtype=torch.float64) ** 2  # not symmetric, so that a reversal shows
    path = Path("linear" if linear else "neb", t, loss, 1.0, 1.0, {"values": 1, "gradients": 0}, metrics={"a": loss})
    top = max(losses)
    assert path.height == top
    assert path.barrier == top - max(losses[0], losses[-1]) >= 0
    assert path.forward_barrier == top - losses[0]
    assert path.reverse_barrier == top - losses[-1]
    back = path.reversed()
    assert (back.forward_barrier, back.reverse_barrier) == (path.reverse_barrier, path.forward_barrier)
    assert back.metrics["a"].tolist() == losses[::-1]
    assert back.t.tolist() == [1 - s for s in t.tolist()[::-1]]
    assert Path.from_tree(path.to_tree()).to_tree() == path.to_tree()
    if linear:
        chord = [(1 - s) * losses[0] + s * losses[-1] for s in t.tolist()]
        above = max(x - c for x, c in zip(losses, chord, strict=True))
        assert path.linear_interpolation_barrier == pytest.approx(above, abs=1e-6)
    else:
        assert path.linear_interpolation_barrier is None
