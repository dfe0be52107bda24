"""``lossatlas connect`` and ``align``: points by name, coordinates and files; nonsense in one sentence."""

from __future__ import annotations

import csv
import textwrap

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import lossatlas as la

MINE = """
import torch
from torch import nn
import lossatlas as la

g = torch.Generator().manual_seed(0)
x = torch.randn(40, 3, generator=g)
y = torch.randint(0, 2, (40,), generator=g)

def net():
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))

problem = la.problems.Problem("sine", net, nn.functional.cross_entropy, train=(x, y), test=(x, y), loss_unit="nat")
landscape = la.landscape.get("paper-toy")
number = 3

def valley(depth: float = 1.0):
    return la.landscape.from_function(lambda p: depth * (p[0] ** 2 - 1) ** 2 + p[1] ** 2, dim=2)

def nothing():
    return None

def broken():
    raise RuntimeError("no such luck")
"""


def rows(text):
    return [line.split("\t") for line in text.splitlines() if "\t" in line][1:]


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of the user's in the working directory, under a name of its own for every test."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return name


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Two networks in three formats, briefly trained."""
    folder = tmp_path_factory.mktemp("weights")
    problem = la.problems.get("fcp", data="digits", train_size=64, test_size=16)
    ensemble = la.training.train(problem, "lbfgs-gss", replicas=2, iterations=8, seed=0)
    torch.save({"state_dict": problem.module(ensemble[0]).state_dict()}, folder / "a.pt")
    np.save(folder / "b.npy", ensemble[1].numpy())
    np.save(folder / "nan.npy", np.full(problem.dim, np.nan, dtype=np.float32))
    np.save(folder / "short.npy", np.zeros(5, dtype=np.float32))
    return folder


# ------------------------------------------------------------------ the way it should go
def test_coordinates_that_begin_with_a_minus(run, tmp_path):
    outcome = run("connect", "-0.62,-0.54", ".49,-2e-2", "--problem", "paper-toy", "--method", "linear", "--out", "o")
    assert outcome.status == 0, outcome.err
    (row,) = rows(outcome.out)
    assert row[:2] == ["A to B", "straight line"]
    page = (tmp_path / "o" / "report.html").read_bytes()
    (tmp_path / "o" / "report.html").unlink()
    assert run("report", "o").status == 0
    assert (tmp_path / "o" / "report.html").read_bytes() == page
    assert float(row[2]) == pytest.approx(1.102346, abs=1e-5)
    assert "different basins" in outcome.out
    assert outcome.out.splitlines()[-1] == str(tmp_path / "o" / "report.html")
    assert {p.name for p in (tmp_path / "o").iterdir()} >= {"report.html", "figures", "tables", "store"}
    for figure in ("map", "profiles"):
        for suffix in ("png", "svg", "csv"):
            assert (tmp_path / "o" / "figures" / f"{figure}.{suffix}").stat().st_size > 100
    table = read(tmp_path / "o" / "tables" / "points.csv")
    assert [(float(r["x"]), float(r["y"])) for r in table] == [(-0.62, -0.54), (0.49, -0.02)]


def test_known_minima_by_name_all_pairs_and_a_tree(run, tmp_path):
    arguments = ["connect", "A", "B", "C", "--problem", "muller-brown", "--method", "linear", "--out", "o"]
    outcome = run(*arguments)
    assert outcome.status == 0, outcome.err
    assert [row[0] for row in rows(outcome.out)] == ["B to C", "A to C", "A to B"]
    assert "All are joined at 3.386" in outcome.out
    stored = {p: p.stat().st_mtime_ns for p in (tmp_path / "o" / "store").glob("path-*")}
    assert run(*arguments).status == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "o" / "store").glob("path-*")} == stored
    budget = run(*arguments[:-1], "p", "--pairs", "tree", "--budget", "2")
    assert len(rows(budget.out)) == 2
    assert (tmp_path / "p" / "figures" / "disconnectivity.png").exists()


def test_an_end_that_is_no_minimum_is_told(run, tmp_path):
    outcome = run("connect", "A", "0.3,0.3", "--problem", "muller-brown", "--method", "linear", "--out", tmp_path / "o")
    assert "Note: B is not a minimum: the loss falls from" in outcome.out


def test_checkpoints_of_networks(run, tmp_path, checkpoints):
    outcome = run(
        "connect", checkpoints / "a.pt", checkpoints / "b.npy", "--problem", "fcp", "--method", "linear", "--set",
        "points=5", "--out", "o",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert [row[:2] for row in rows(outcome.out)] == [
        ["a to b", "straight line"], ["a to b", "straight line, aligned"]
    ]  # fmt: skip
    assert "averaged" in outcome.out
    assert (tmp_path / "o" / "tables" / "averaging.csv").exists()


def test_a_module_of_the_users_own(run, tmp_path, mine):
    outcome = run(
        "connect",
        "-1,0",
        "1,0",
        "--problem",
        f"{mine}:valley",
        "--option",
        "depth=2.5",
        "--method",
        "linear",
        "--out",
        "o",
    )
    assert outcome.status == 0, outcome.err
    assert float(rows(outcome.out)[0][2]) == pytest.approx(2.5)
    outcome = run("connect", "left", "right", "--problem", f"{mine}:landscape", "--method", "linear", "--out", "p")
    assert outcome.status == 0, outcome.err


def test_statistics_saved_with_weights_are_used(run, tmp_path, mine):
    code = (tmp_path / f"{mine}.py").read_text()
    names: dict = {}
    exec(compile(code, mine, "exec"), names)
    for k in range(2):
        net = names["net"]().train()
        net(names["x"] * (k + 1))
        torch.save(net.state_dict(), tmp_path / f"{k}.pt")
    outcome = run("connect", "0.pt", "1.pt", "--problem", f"{mine}:problem", "--method", "linear", "--out", "o")
    assert outcome.status == 0, outcome.err
    (row,) = read(tmp_path / "o" / "tables" / "averaging.csv")
    for k, end in enumerate(("start", "end")):
        net = names["net"]().double()
        net.load_state_dict({n: v.double() for n, v in torch.load(tmp_path / f"{k}.pt", weights_only=True).items()})
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(net.eval()(names["x"].double()), names["y"])
        assert float(row[f"{end}_loss"]) == pytest.approx(float(loss), rel=1e-9)
    assert float(row["refreshed_loss"]) > 0


def test_align_writes_the_same_function_closer(run, tmp_path, checkpoints):
    outcome = run("align", checkpoints / "a.pt", checkpoints / "b.npy", "--problem", "fcp", "--out", "c.safetensors")
    assert outcome.status == 0, outcome.err
    problem = la.problems.get("fcp", data="digits")
    a = la.Ensemble.from_weights([checkpoints / "a.pt"], problem)[0]
    b = la.Ensemble.from_weights([checkpoints / "b.npy"], problem)[0]
    c = la.Ensemble.from_weights([load_file(tmp_path / "c.safetensors")], problem)[0]
    assert float((a - c).norm()) < float((a - b).norm())
    assert torch.equal(b.sort().values, c.sort().values)
    exact = problem.train.to(dtype=torch.float64)
    assert float(exact.value(b.double())) == pytest.approx(float(exact.value(c.double())), rel=1e-12)


# ------------------------------------------------------------------ nonsense
MB = ["--problem", "muller-brown", "--method", "linear", "--out", "o"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["connect", *MB], "at least two points, got 0"),
        (["connect", "A", *MB], "at least two points, got 1"),
        (["connect", "A", "A", *MB], "different label"),
        (["connect", "0.5,0", "0.50,0", *MB], "at one place"),
        (["connect", "A", "Q", *MB], "use one of: A, B, C"),
        (["connect", "A", "", *MB], "expected a minimum of"),
        (["connect", "0.5,0,1", "A", *MB], "expected 2 coordinates for a point of 'muller-brown', got 3"),
        (["connect", "0.5", "A", *MB], "got 1 in '0.5'"),
        (["connect", "A", "B", "--methd", "linear", *MB], "--method"),
        (["connect", "A", "B", *MB, "-x"], "-x"),
        (["connect", "A", "B", *MB, "--method", "liner"], "unknown path finder 'liner': did you mean 'linear'?"),
        (["connect", "A", "B", *MB, "--problem", "muler-brown"], "did you mean 'muller-brown'?"),
        (["connect", "A", "B", *MB, "--problem", "fpc"], "did you mean 'fcp'?"),
        (["connect", "A", "B", *MB, "--problem", ""], "unknown problem or landscape ''"),
        (["connect", "A", "B", "--out", "o"], "--problem"),
        (["connect", "A", "B", "--problem", "muller-brown"], "--out"),
        (["connect", "A", "B", *MB, "--set", "pionts=3"], "did you mean 'points'?"),
        (["connect", "A", "B", *MB, "--set", "points"], "expected key=value, got 'points': for instance points=101"),
        (["connect", "A", "B", *MB, "--set", "points=many"], "points"),
        (["connect", "A", "B", *MB, "--option", "depth=1"], "unknown option 'depth'"),
        (["connect", "A", "B", *MB, "--landscape", "test"], "expected --landscape with a problem"),
        (["connect", "A", "B", *MB, "--landscape", "tset"], "tset"),
        (["connect", "A", "B", *MB, "--data", "mnist"], "expected --data with a named problem"),
        (["connect", "A", "B", *MB, "--align"], "without hidden units"),
        (["connect", "A", "B", *MB, "--budget", "0"], "--budget"),
        (["connect", "A", "B", *MB, "--pairs", "all", "--budget", "3"], "--pairs tree"),
        (["connect", "A", "B", "C", *MB, "--budget", "1"], "budget of at least 2"),
        (["connect", "A", "B", *MB, "--device", "gpu"], "expected a device"),
        (["connect", "A", "B", *MB, "--problem", "nowhere:x"], "expected a module that can be imported at 'nowhere'"),
        (["connect", "A", "B", *MB, "--problem", ":x"], "expected module:attr"),
        (["connect", "A", "B", *MB, "--problem", "math:"], "expected module:attr"),
        (["connect", "A", "B", *MB, "--problem", "math:sqr"], "did you mean 'sqrt'?"),
        (["connect", "A", "B", *MB, "--problem", "math:pi"], "got float"),
        (["connect", "A", "B", "--problem", "fcp", "--method", "linear", "--out", "o"], "got 'A'"),
        (["align", "A", "B", "--problem", "muller-brown", "--out", "c.safetensors"], "no hidden units"),
        (["align", "A", "B", "--problem", "muller-brown", "--out", "c.pt"], "a .safetensors file"),
        (["align", "A", "B", "--problem", "muller-brown", "--out", "no/c.safetensors"], "a folder that exists"),
        (["align", "A", "--problem", "muller-brown", "--out", "c.safetensors"], "'B'"),
    ],
)
def test_nonsense_is_one_sentence_and_writes_nothing(refused, arguments, message):
    assert message in refused(*arguments)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("number", "got int"),
        ("nothing", "got NoneType"),
        ("broken", "got RuntimeError 'no such luck' from it"),
        ("vally", "did you mean 'valley'?"),
        ("valley", "use one of"),
        ("net", "got Sequential"),
    ],
)
def test_modules_that_are_something_else(refused, mine, attribute, message):
    if attribute == "valley":
        message = "got TypeError"
        assert message in refused("connect", "-1,0", "1,0", *MB, "--problem", f"{mine}:valley", "--option", "dpth=1")
        return
    assert message in refused("connect", "-1,0", "1,0", *MB, "--problem", f"{mine}:{attribute}")


def test_a_module_that_fails_when_imported(refused, tmp_path, mine):
    (tmp_path / f"{mine}.py").write_text(textwrap.dedent("import nothing_of_that_name"))
    told = refused("connect", "A", "B", *MB, "--problem", f"{mine}:x")
    assert "got ModuleNotFoundError" in told
    assert "mend it" in told, "the file is there; another one is not"
    (tmp_path / f"{mine}_too.py").write_text("1 / 0")
    assert "got ZeroDivisionError 'division by zero': mend it" in refused(
        "connect", "A", "B", *MB, "--problem", f"{mine}_too:x"
    )
    assert "run the command in its folder" in refused("connect", "A", "B", *MB, "--problem", "no_module_at_all:x")


def test_a_network_is_no_problem(refused, tmp_path, mine):
    (tmp_path / f"{mine}.py").write_text("from torch.nn import Linear\nnet = Linear(2, 2)\nmake = lambda: net\n")
    for attribute, came in (("Linear", "a class of networks"), ("net", "a network of Linear"), ("make", "got Linear")):
        told = refused("connect", "A", "B", *MB, "--problem", f"{mine}:{attribute}")
        assert came in told
        assert "make a problem = lossatlas.problems.Problem(" in told


def test_a_module_without_a_name_in_it(refused, mine):
    for given in (mine, f"{mine}.py"):
        told = refused("connect", "A", "B", *MB, "--problem", given)
        assert f"unknown problem or landscape '{given}': for the file {mine}.py give {mine}:NAME" in told


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("nan.npy", "expected finite weights"),
        ("short.npy", "weights of another network"),
        ("nowhere.pt", "no file at"),
    ],
)
def test_weights_that_cannot_be(refused, checkpoints, file, message):
    arguments = ["--problem", "fcp", "--method", "linear", "--out", "o"]
    assert message in refused("connect", checkpoints / "a.pt", checkpoints / file, *arguments, status=1)


def test_an_output_folder_that_is_something_else(refused, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    for where in ("file", "file/below", "thesis", "/proc/x"):
        message = refused("connect", "A", "B", *MB[:-1], where, status=1)
        assert "choose another --out" in message


def test_an_interrupt_leaves_a_report_of_what_there_is(run, tmp_path, monkeypatch):
    def stop(done, planned, text):
        raise KeyboardInterrupt

    monkeypatch.setattr("lossatlas.cli.connect._tell", stop)
    outcome = run("connect", "A", "B", *MB)
    assert outcome.status == 130
    assert "the same command continues" in outcome.err
    assert "This is not complete" in (tmp_path / "o" / "report.html").read_text()
    monkeypatch.undo()
