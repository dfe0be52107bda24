"""``lossatlas surface``: from points in many forms to a page and files; nonsense in one sentence."""

from __future__ import annotations

import csv

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import lossatlas as la
from lossatlas.core.trajectory import Trajectory

MINE = """
import torch
from torch import nn
import lossatlas as la

g = torch.Generator().manual_seed(0)
x = torch.randn(40, 3, generator=g)
y = torch.randint(0, 2, (40,), generator=g)

def net():
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))

problem = la.problems.Problem("blobs", net, nn.functional.cross_entropy, train=(x, y), test=(x, y), loss_unit="nat")

def walled():
    return la.landscape.from_function(lambda p: torch.where(p[0] > 0.5, torch.nan, (p ** 2).sum()), dim=2)
"""


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def mine(tmp_path, monkeypatch):
    name = f"surface_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return name


@pytest.fixture(scope="module")
def problem():
    names: dict = {}
    exec(compile(MINE, "mine", "exec"), names)
    return names["problem"]


@pytest.fixture(scope="module")
def weights(problem, tmp_path_factory):
    """A run of plain gradient descent in several forms, and two other networks."""
    folder = tmp_path_factory.mktemp("weights")
    landscape = problem.train.with_batch_statistics()
    rows = problem.initial_weights(0, range(1))
    for _ in range(11):
        rows = torch.cat([rows, rows[-1:] - 0.5 * landscape.value_and_grad(rows[-1:])[1]])
    (folder / "steps").mkdir()
    for i, row in enumerate(rows):
        torch.save(problem.module(row).state_dict(), folder / "steps" / f"step-{i}.pt")
    np.save(folder / "run.npy", rows.numpy())
    save_file({"weights": rows}, folder / "run.safetensors")
    diverged = torch.cat([rows, torch.full_like(rows[:1], torch.nan)])
    Trajectory.of(diverged, spec=problem.train.spec).save(folder / "run.json")
    for i, row in enumerate(problem.initial_weights(5, range(3))):
        np.save(folder / f"{'abc'[i]}.npy", row.numpy())
    np.save(folder / "other.npy", np.zeros((4, 7), dtype=np.float32))
    return folder


# ------------------------------------------------------------------ the way it should go
def test_a_network_by_its_filters(run, tmp_path, mine, weights, problem):
    arguments = [
        "surface", weights / "steps" / "step-11.pt", "--problem", f"{mine}:problem", "--points", "3",
        "--metric", "accuracy", "--metric", "gradient-norm", "--metric", "smallest-eigenvalue", "--out", "o",
    ]  # fmt: skip
    outcome = run(*arguments)
    assert outcome.status == 0, outcome.err
    assert "3 by 3 points on the plane of random filter-normalised directions" in outcome.out
    assert outcome.out.splitlines()[-1] == str(tmp_path / "o" / "report.html")
    page = (tmp_path / "o" / "report.html").read_text()
    assert "recomputed on the data at every point" in page
    assert "Visualizing the loss landscape of neural nets" in page
    for figure in ("surface", "metrics"):
        for suffix in ("png", "svg", "csv"):
            assert (tmp_path / "o" / "figures" / f"{figure}.{suffix}").stat().st_size > 100
    with np.load(tmp_path / "o" / "surface.npz") as stored:
        assert set(stored) >= {"values", "accuracy", "gradient norm", "smallest eigenvalue"}
        w = np.load(weights / "run.npy")[-1]
        landscape = problem.train.with_batch_statistics()
        point = torch.from_numpy(w) + torch.from_numpy(stored["directions"]).T @ torch.tensor([-1.0, 1.0])
        assert float(landscape.value(point)) == pytest.approx(float(stored["values"][0, 2]), rel=1e-5)
    with h5py.File(tmp_path / "o" / "surface.h5") as file:
        assert file["train_loss"].shape == (3, 3)
    assert (tmp_path / "o" / "surface.vtr").exists()
    # Again: what is stored is read, and the same page is written.
    (tmp_path / "o" / "report.html").unlink()
    assert run("report", "o").status == 0
    assert (tmp_path / "o" / "report.html").read_text() == page
    stored_pieces = {p: p.stat().st_mtime_ns for p in (tmp_path / "o" / "store").glob("surface-*")}
    assert run(*arguments).status == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "o" / "store").glob("surface-*")} == stored_pieces


@pytest.mark.parametrize("form", ["steps", "run.npy", "run.safetensors", "run.json", "files"])
def test_a_run_in_every_form(run, tmp_path, mine, weights, form):
    given = [weights / "steps" / f"step-{i}.pt" for i in range(12)] if form == "files" else [weights / form]
    outcome = run(
        "surface", *given, "--problem", f"{mine}:problem", "--directions", "trajectory", "--points", "4", "--run",
        f"SGD={weights / 'run.npy'}", "--out", "o",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "those of a random walk of as many points would explain" in outcome.out
    first, second = read(tmp_path / "o" / "tables" / "runs.csv")
    assert (first["run"], second["run"]) == ("run", "SGD")
    assert first["points"] == "12"
    assert float(first["residual"]) == pytest.approx(float(second["residual"]), rel=1e-5)
    (row, _) = read(tmp_path / "o" / "tables" / "directions.csv")
    assert float(row["explained"]) > float(row["null"]) > 50


def test_a_refined_plane(run, tmp_path, mine, weights):
    outcome = run(
        "surface", weights / "run.npy", "--problem", f"{mine}:problem", "--directions", "trajectory", "--refine",
        "--points", "3", "--out", "o",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "The plane was refined to the losses of the run" in outcome.out
    assert "trajectory information" in (tmp_path / "o" / "report.html").read_text()


def test_between_minima(run, tmp_path, mine, weights):
    arguments = ["--problem", f"{mine}:problem", "--directions", "minima", "--points", "4"]
    two = run("surface", weights / "a.npy", weights / "b.npy", *arguments, "--out", "two")
    assert two.status == 0, two.err
    rows = read(tmp_path / "two" / "tables" / "points.csv")
    assert [float(row["coordinate_1"]) for row in rows] == pytest.approx([0, 1], abs=1e-6)
    three = run("surface", *(weights / f"{n}.npy" for n in "abc"), *arguments, "--out", "three")
    assert three.status == 0, three.err
    rows = read(tmp_path / "three" / "tables" / "points.csv")
    assert max(float(row["residual"]) for row in rows) < 1e-5
    points = [*(weights / f"{n}.npy" for n in "abc"), weights / "steps" / "step-3.pt"]
    four = run("surface", *points, *arguments, "--dimensions", "2", "--out", "o")
    assert four.status == 0, four.err
    assert "off the plane for step-3" in four.out


def test_eigenvectors_have_their_curvature(run, tmp_path, mine, weights):
    outcome = run(
        "surface", weights / "run.npy", "--problem", f"{mine}:problem", "--directions", "eigenvector", "--points", "21",
        "--range", "0.01", "--dtype", "float64", "--out", "o",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    with np.load(tmp_path / "o" / "surface.npz") as stored:
        z, step = stored["values"], stored["axis_0"][1] - stored["axis_0"][0]
        curvature = (z[9, 10] - 2 * z[10, 10] + z[11, 10]) / step**2
        assert stored["names"][0].startswith("eigenvector 1 (eigenvalue ")
        told = float(stored["names"][0].split("eigenvalue ")[1].rstrip(")"))
    assert curvature == pytest.approx(told, rel=1e-2)


def test_energies_curves_and_volumes(run, tmp_path):
    outcome = run("surface", "-0.62,-0.54", "--problem", "paper-toy", "--points", "9", "--range", "-1,1", "--out", "o")
    assert outcome.status == 0, outcome.err
    assert "the axes of its coordinates the energy ranges" in outcome.out
    (x, _) = read(tmp_path / "o" / "tables" / "directions.csv")
    assert (float(x["low"]), float(x["high"])) == (-1, 1)
    assert (
        run("surface", "A", "--problem", "muller-brown", "--dimensions", "1", "--points", "9", "--out", "p").status == 0
    )
    volume = run(
        "surface", "0,0,0", "--problem", "quadratic", "--option", "dim=3", "--dimensions", "3", "--points", "4",
        "--out", "q",
    )  # fmt: skip
    assert volume.status == 0, volume.err
    assert not (tmp_path / "q" / "surface.h5").exists()


def test_what_is_not_finite_is_shown_and_counted(run, tmp_path, mine):
    outcome = run("surface", "0,0", "--problem", f"{mine}:walled", "--points", "9", "--range", "1", "--out", "o")
    assert outcome.status == 0, outcome.err
    assert "At 18 of 81 points the energy is NaN or infinite" in outcome.out
    cells = read(tmp_path / "o" / "figures" / "surface.csv")
    marked = [row for row in cells if row["series"] == "not finite: 18 of 81 points"]
    assert len(marked) == 18
    assert all(float(row["x"]) > 0.5 for row in marked)


def test_statistics_stored_with_the_weights(run, tmp_path, mine, weights, problem):
    file = weights / "steps" / "step-11.pt"
    outcome = run(
        "surface", file, "--problem", f"{mine}:problem", "--points", "3", "--statistics", "stored", "--out", "o"
    )
    assert outcome.status == 0, outcome.err
    net = problem.module(problem.initial_weights(0, range(1))[0])
    net.load_state_dict(torch.load(file, weights_only=True))
    x, y = problem.data["train"]
    with torch.no_grad():
        loss = float(torch.nn.functional.cross_entropy(net.eval()(x), y))
    with np.load(tmp_path / "o" / "surface.npz") as stored:
        assert float(stored["values"][1, 1]) == pytest.approx(loss, rel=1e-5)


def test_an_interrupted_surface_continues(run, tmp_path, mine, weights, monkeypatch):
    from lossatlas.cli import surface as command

    arguments = ["surface", weights / "run.npy", "--problem", f"{mine}:problem", "--points", "9", "--out", "o"]
    monkeypatch.setattr("lossatlas.slices.evaluate._PIECE_SMALL", 30)

    class Stop(command._Told):
        def __call__(self, done, total):
            if done:
                raise KeyboardInterrupt

    monkeypatch.setattr(command, "_Told", Stop)
    outcome = run(*arguments)
    assert outcome.status == 130
    assert "the same command continues" in outcome.err
    assert list((tmp_path / "o" / "work").glob("surface-*.json"))
    monkeypatch.setattr(command, "_Told", Stop.__bases__[0])
    outcome = run(*arguments)
    assert outcome.status == 0, outcome.err
    assert "[30 of 81 points done]" in outcome.out
    assert list((tmp_path / "o" / "work").glob("surface-*")) == []


# ------------------------------------------------------------------ nonsense
MB = ["--problem", "muller-brown", "--points", "3", "--out", "o"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["surface", *MB], "at least one point, got 0"),
        (["surface", "Q", *MB], "use one of: A, B, C"),
        (["surface", "A", *MB, "--directions", "fliter"], "fliter"),
        (["surface", "A", *MB, "--directions", "filter"], "use 'random' or 'coordinates'"),
        (["surface", "A", *MB, "--points", "1"], "--points"),
        (["surface", "A", *MB, "--range", "wide"], "got 'wide'"),
        (["surface", "A", *MB, "--range", "1,0"], "low < high"),
        (["surface", "A", *MB, "--range", "0"], "positive range"),
        (["surface", "A", *MB, "--metric", "acuracy"], "unknown metric 'acuracy'"),
        (["surface", "A", *MB, "--dimensions", "4"], "--dimensions"),
        (["surface", "A", *MB, "--dimensions", "3"], "at least 3 coordinates"),
        (["surface", "A", *MB, "--directions", "minima"], "two points for a line"),
        (["surface", "A", "A", *MB, "--directions", "minima"], "one twice"),
        (["surface", "A", "B", *MB, "--directions", "trajectory"], "more than 2 points of a run"),
        (["surface", "A", *MB, "--directions", "eigenvector", "--dimensions", "3"], "at most 2 directions"),
        (["surface", "A", *MB, "--refine"], "--refine with --directions trajectory"),
        (["surface", "A", *MB, "--run", "sgd"], "NAME=PATH"),
        (["surface", "A", *MB, "--run", "sgd=nowhere"], "a recorded run, a folder of weights"),
        (["surface", "A", "--points", "3", "--out", "o"], "--problem"),
        (["surface", "A", "--problem", "muller-brown"], "--out"),
    ],
)
def test_nonsense_is_one_sentence_and_writes_nothing(refused, arguments, message):
    assert message in refused(*arguments)


def test_runs_of_another_network(refused, mine, weights):
    arguments = ["surface", weights / "a.npy", "--problem", f"{mine}:problem", "--out", "o"]
    assert "another network" in refused(*arguments, "--run", f"x={weights / 'other.npy'}", status=1)
    assert "got 'x' twice" in refused(*arguments, *(["--run", f"x={weights / 'run.npy'}"] * 2))
    assert "stored with the weights" in refused(*arguments, "--statistics", "stored")
    assert "a run alone" in refused("surface", weights / "run.npy", *arguments[1:])


def test_a_folder_of_something_else_is_left_alone(refused, tmp_path):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "notes.txt").write_text("mine")
    assert "choose another --out" in refused("surface", "A", *MB, status=1)


def test_connections_and_surfaces_do_not_mix(run, refused):
    assert run("surface", "A", *MB).status == 0
    assert "choose another" in refused("connect", "A", "B", "--problem", "muller-brown", "--out", "o", status=1)


# The file that marks a folder as that of a command's results.
MARKS = {
    "connect A B": "store/connection.json",
    "surface A": "store/slicing.json",
    "spectrum A": "store/spectra.json",
    "diagnose A": "store/diagnosis.json",
    "study run": "study.toml",
}


@pytest.mark.parametrize("owner", MARKS)
@pytest.mark.parametrize("both", [False, True], ids=["another's", "its own beside another's"])
def test_no_command_takes_over_the_results_of_another(refused, tmp_path, tiny, owner, both):
    """Also before a report was written, and where results of its own are in the same folder."""
    for command in MARKS.keys() - {owner}:
        folder = tmp_path / command.split()[0]
        for mark in (MARKS[owner], *([MARKS[command]] if both else [])):
            (folder / mark).parent.mkdir(parents=True, exist_ok=True)
            (folder / mark).write_text("{}")
        words = [*command.split(), *([tiny] if command == "study run" else ["--problem", "muller-brown"])]
        assert "choose another --out" in refused(*words, "--out", folder, status=1)


def test_the_package_offers_what_the_command_needs():
    assert {"filter", "layer", "random", "coordinates"} == set(la.slices.directions)


def test_statistics_stored_belong_to_one_network_that_keeps_them(refused, tmp_path, mine, weights):
    steps = [weights / "steps" / f"step-{i}.pt" for i in (0, 11)]
    here = ["--problem", f"{mine}:problem", "--points", "3", "--statistics", "stored", "--out", "o"]
    assert "one file of weights with --statistics stored, got 2" in refused(
        "surface", *steps, "--directions", "minima", *here
    )
    assert "keeps normalisation statistics" in refused("surface", "A", "--problem", "muller-brown", *here[2:])
    assert not (tmp_path / "o").exists()


def test_statistics_that_are_not_finite_are_told_with_file_and_buffer(run, refused, tmp_path, mine, weights):
    state = torch.load(weights / "steps" / "step-11.pt", weights_only=True)
    state["1.running_var"][0] = torch.nan
    torch.save(state, tmp_path / "broken.pt")
    here = ["--problem", f"{mine}:problem", "--out", "o"]
    told = "expected finite normalisation statistics in broken.pt, got NaN or infinity in '1.running_var'"
    stored = ["--points", "3", "--statistics", "stored"]
    assert told in refused("surface", "broken.pt", *stored, *here, status=1)
    assert told in refused("connect", "broken.pt", weights / "a.npy", "--method", "linear", *here, status=1)
    # Where statistics are taken from the data those of the file do not matter.
    assert run("surface", "broken.pt", "--points", "3", *here).status == 0


def test_eigenvectors_of_an_energy_are_over_nothing(run, tmp_path):
    assert run("surface", "A", *MB, "--directions", "eigenvector").status == 0
    page = (tmp_path / "o" / "report.html").read_text()
    assert "largest eigenvalues of the Hessian: " in page
    assert "no data" not in page


def test_the_mode_of_a_problem_does_not_hide_stored_statistics(run, tmp_path, mine, weights, problem):
    """A problem in mode 'batch-statistics' evaluates with those of a file when asked to."""
    (tmp_path / "named.py").write_text(f"import {mine} as m\nproblem = m.problem.with_mode('batch-statistics')\n")
    file = weights / "steps" / "step-11.pt"
    for module in (mine, "named"):
        run(
            "surface",
            file,
            "--problem",
            f"{module}:problem",
            "--points",
            "3",
            "--statistics",
            "stored",
            "--out",
            module,
        )
    with np.load(tmp_path / mine / "surface.npz") as one, np.load(tmp_path / "named" / "surface.npz") as other:
        assert np.array_equal(one["values"], other["values"])


def test_a_model_that_fails_leaves_nothing_behind(refused, tmp_path, mine):
    (tmp_path / "pair.py").write_text(
        f"import {mine} as m\nimport torch\nimport lossatlas as la\n"
        "class Pair(torch.nn.Linear):\n    def forward(self, x):\n        return super().forward(x), x\n"
        "problem = la.problems.Problem('pair', lambda: Pair(3, 2), torch.nn.functional.cross_entropy, "
        "train=(m.x, m.y), test=(m.x, m.y))\n"
    )
    np.save(tmp_path / "w.npy", np.ones(8, dtype=np.float32))
    for command in ("surface", "spectrum", "diagnose"):
        told = refused(command, "w.npy", "--problem", "pair:problem", "--out", "o")
        assert "needs forward=" in told
        assert not (tmp_path / "o").exists()
