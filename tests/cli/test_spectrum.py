"""``lossatlas spectrum``: checkpoints and coordinates in, a report out; nonsense in one sentence."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

import lossatlas as la

MINE = """
import torch
from torch import nn
import lossatlas as la

g = torch.Generator().manual_seed(0)
x, y = torch.randn(40, 3, generator=g), torch.randint(0, 2, (40,), generator=g)

def net():
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))

problem = la.problems.Problem("sine", net, nn.functional.cross_entropy, train=(x, y), test=(x, y), loss_unit="nat")
"""
QUICK = [f"--set={each}" for each in ("probes=2", "steps=8", "batches=2", "batch_size=8")]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    name = f"spectrum_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return name


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_known_minima_and_coordinates(run, tmp_path):
    outcome = run("spectrum", "A", "B", "-0.822,0.624", "--problem", "muller-brown", "--count", "1", "--out", "o")
    assert outcome.status == 0, outcome.err
    lines = [line.split("\t") for line in outcome.out.splitlines() if "\t" in line]
    assert lines[1][:2] == ["A", "minimum"]
    assert float(lines[1][3]) == pytest.approx(4068.2, abs=0.1)
    assert outcome.out.splitlines()[-1] == str(tmp_path / "o" / "report.html")
    table = read(tmp_path / "o" / "tables" / "eigenvalues.csv")
    assert len(table) == 6
    assert all(row["converged"] == "True" for row in table)
    page = (tmp_path / "o" / "report.html").read_bytes()
    (tmp_path / "o" / "report.html").unlink()
    assert run("report", "o").status == 0
    assert (tmp_path / "o" / "report.html").read_bytes() == page


def test_checkpoints_of_a_run(run, tmp_path, mine):
    g = torch.Generator().manual_seed(1)
    for number in range(3):
        np.save(tmp_path / f"w{number}.npy", torch.randn(32, generator=g).numpy())
    arguments = ["spectrum", "w0.npy", "w1.npy", "w2.npy", "--problem", f"{mine}:problem", *QUICK, "--count=2"]
    outcome = run(*arguments, "--out", "o")
    assert outcome.status == 0, outcome.err
    assert "w0 is not a critical point" in outcome.out
    assert {file.stem for file in (tmp_path / "o" / "figures").iterdir()} == {
        "density", "ends", "index", "layers", "mini-batches", "drawn"
    }  # fmt: skip
    layers = read(tmp_path / "o" / "tables" / "layers.csv")
    assert [row["layer"] for row in layers] == ["0", "2"] * 3
    before = read(tmp_path / "o" / "tables" / "points.csv")
    assert run(*arguments, "--out", "o").status == 0
    assert read(tmp_path / "o" / "tables" / "points.csv") == before
    values = torch.linalg.eigvalsh(dense(tmp_path, mine))
    assert float(before[0]["largest"]) == pytest.approx(float(values[-1]), rel=1e-6)
    assert float(before[0]["smallest"]) == pytest.approx(float(values[0]), rel=1e-6)


def dense(folder, module):
    """Second derivatives of the loss written out, in float64."""
    import importlib

    own = importlib.import_module(module)
    w = torch.from_numpy(np.load(folder / "w0.npy")).double()

    def loss(flat):
        first, bias, second, shift = flat.split([15, 5, 10, 2])
        hidden = (own.x.double() @ first.reshape(5, 3).T + bias).tanh()
        return torch.nn.functional.cross_entropy(hidden @ second.reshape(2, 5).T + shift, own.y)

    return torch.autograd.functional.hessian(loss, w)


MB = ["--problem", "muller-brown", "--out", "o"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["spectrum", *MB], "at least one point, got none"),
        (["spectrum", "A", "A", *MB], "different label"),
        (["spectrum", "Q", *MB], "use one of: A, B, C"),
        (["spectrum", "0.5", *MB], "expected 2 coordinates"),
        (["spectrum", "A", *MB, "--count", "0"], "--count"),
        (["spectrum", "A", *MB, "--set", "prbes=3"], "did you mean 'probes'?"),
        (["spectrum", "A", *MB, "--set", "probes=many"], "probes"),
        (["spectrum", "A", *MB, "--set", "count=3"], "use --count 3"),
        (["spectrum", "A", *MB, "--landscape", "test"], "expected --landscape with a problem"),
        (["spectrum", "A", "--out", "o"], "--problem"),
        (["spectrum", "A", "--problem", "muller-brown"], "--out"),
    ],
)
def test_nonsense_is_one_sentence_and_writes_nothing(refused, arguments, message):
    assert message in refused(*arguments)


def test_the_folder_of_something_else_is_refused(run, tmp_path):
    assert run("connect", "A", "B", "--problem", "muller-brown", "--method", "linear", "--out", "c").status == 0
    before = sorted(tmp_path.rglob("*"))
    outcome = run("spectrum", "A", "--problem", "muller-brown", "--out", "c")
    assert outcome.status == 1
    assert "choose another --out" in outcome.err
    assert sorted(tmp_path.rglob("*")) == before
    assert la.study.load_connection(tmp_path / "c").complete


def test_statistics_of_the_data_or_those_stored(run, refused, tmp_path, mine, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "normal.py").write_text(
        f"import {mine} as m\nfrom torch import nn\nimport lossatlas as la\n"
        "def net():\n    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))\n"
        "problem = la.problems.Problem('n', net, nn.functional.cross_entropy, train=(m.x, m.y), test=(m.x, m.y))\n"
    )
    import importlib

    own = importlib.import_module("normal")
    problem = own.problem
    net = problem.module(problem.initial_weights(0, [0])[0])
    with torch.no_grad():
        net[1].running_var.mul_(4)  # statistics of other data
    torch.save(net.state_dict(), tmp_path / "w.pt")
    w = problem.spec.flatten(net)
    held = la.landscape.NetworkLandscape(net, torch.nn.functional.cross_entropy, problem.data["train"])
    for statistics, landscape in (("batch", problem.train), ("stored", held)):
        arguments = ["spectrum", "w.pt", "--problem", "normal:problem", *QUICK, "--count=1", "--statistics", statistics]
        assert run(*arguments, "--out", statistics).status == 0
        (row,) = read(tmp_path / statistics / "tables" / "points.csv")
        expected = la.curvature.eigenvalues(landscape, w, k=1).values
        assert float(row["largest"]) == pytest.approx(float(expected[0]), rel=1e-5)
    np.save(tmp_path / "bare.npy", w.detach().numpy())
    told = refused(
        "spectrum", "w.pt", "bare.npy", "--problem", "normal:problem", "--statistics", "stored", "--out", "o"
    )
    assert "none in 'bare'" in told
    assert "keeps normalisation statistics" in refused(
        "spectrum", "bare.npy", "--problem", f"{mine}:problem", "--statistics", "stored", "--out", "o"
    )
