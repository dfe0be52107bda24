"""``lossatlas diagnose``: points, runs and networks of the user's; nonsense in one sentence."""

from __future__ import annotations

import csv

import pytest
import scenarios
import torch
from torch import nn

import lossatlas as la
from lossatlas.training import TrajectoryRecorder

MINE = """
import torch
from torch import nn
import lossatlas as la

g = torch.Generator().manual_seed(0)
x = torch.randn(60, 3, generator=g)
y = (x[:, 0] > 0).long()

def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))

problem = la.problems.Problem("signs", net, nn.functional.cross_entropy, train=(x[:40], y[:40]), test=(x[40:], y[40:]),
                              loss_unit="nat")
"""


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def mine(tmp_path, monkeypatch):
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return name


def test_an_energy_by_name(run, tmp_path):
    arguments = ["diagnose", "1,1,1", "--problem", "quadratic", "--option", "dim=3", "--option", "condition=1e6"]
    outcome = run(*arguments, "--out", "o")
    assert outcome.status == 0, outcome.err
    assert "One finding at A: ill-conditioned." in outcome.out
    assert "Advice: Scale the inputs" in outcome.out
    assert outcome.out.splitlines()[-1] == str(tmp_path / "o" / "report.html")
    page = (tmp_path / "o" / "report.html").read_text()
    assert "What to do:" in page
    assert "condition number" in page
    evidence = {row["what"]: row for row in read(tmp_path / "o" / "tables" / "evidence-ill-conditioned.csv")}
    assert float(evidence["condition number"]["value"]) == pytest.approx(1e6, rel=1e-6)
    assert float(evidence["condition number"]["limit"]) == 1e3
    for suffix in ("png", "svg", "csv"):
        assert (tmp_path / "o" / "figures" / f"curvature-seen.{suffix}").stat().st_size > 100
    # The same page again from what is stored, and the same command again.
    (tmp_path / "o" / "report.html").unlink()
    assert run("report", "o").status == 0
    assert (tmp_path / "o" / "report.html").read_text() == page
    assert run(*arguments, "--out", "o").status == 0


def test_a_run_and_its_end(run, tmp_path, monkeypatch):
    """Scenario A from files alone: the history brings weights, losses and the learning rate."""
    found = scenarios.scenario_a()
    found.history.save(tmp_path / "run")
    module = f"scenario_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(
        "import sys\nsys.path.insert(0, {!r})\nimport scenarios\n\ndef landscape():\n"
        "    return scenarios.scenario_a().landscape\n".format(scenarios.__file__.rpartition("/")[0])
    )
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    outcome = run("diagnose", "--problem", f"{module}:landscape", "--history", "run", "--out", "o")
    assert outcome.status == 0, outcome.err
    assert "learning rate too large and ill-conditioned" in outcome.out
    figures = {path.stem for path in (tmp_path / "o" / "figures").glob("*.png")}
    assert {"learning-rate-curves", "stability", "gradient-step", "layers"} <= figures
    layers = read(tmp_path / "o" / "tables" / "layers.csv")
    assert [row["layer"] for row in layers] == ["0", "2"]
    assert la.study.load_diagnosis(tmp_path / "o").diagnosis.kinds == ("learning rate too large", "ill-conditioned")


def test_a_network_with_normalisation(run, tmp_path, mine):
    """Ten lines of the user's; statistics that came with the weights serve the test loss."""
    namespace: dict = {}
    exec(MINE, namespace)
    problem = namespace["problem"]
    net = namespace["net"]()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    recorder = TrajectoryRecorder()
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(namespace["x"][:40]), namespace["y"][:40])
        loss.backward()
        recorder.record(net, loss=loss, optimizer=optimizer)
        optimizer.step()
    torch.save(net.state_dict(), tmp_path / "w.pt")
    recorder.save(tmp_path / "run")
    outcome = run("diagnose", "w.pt", "--problem", f"{mine}:problem", "--history", "run.json", "--out", "o")
    assert outcome.status == 0, outcome.err
    assert "w is healthy" in outcome.out
    assert "normalisation statistics" in outcome.out
    assert "statistics that came with the weights" in outcome.out
    net.eval()
    expected = nn.functional.cross_entropy(net(namespace["x"][40:]), namespace["y"][40:])
    measured = {row["what"]: float(row["value"]) for row in read(tmp_path / "o" / "tables" / "measurements.csv")}
    assert measured["test loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert problem.dim == len(recorder.trajectory().weights[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1,1"], "expected 3 coordinates"),
        (["1,nan,1"], "expected a minimum of"),
        (["1,1,1", "--learning-rate", "-1"], "learning rate above 0"),
        (["1,1,1", "--momentum", "1.5"], "momentum in [0, 1)"),
        ([], "a point W or --history"),
    ],
)
def test_nonsense_in_one_sentence(refused, arguments, message):
    err = refused("diagnose", *arguments, "--problem", "quadratic", "--option", "dim=3", "--out", "o")
    assert message in err


def test_files_that_are_no_history(refused, tmp_path):
    told = refused("diagnose", "--problem", "quadratic", "--history", "no", "--out", "o", status=1)
    assert "no such file" in told
    assert "as --history" in told


def test_a_folder_with_other_files(refused, tmp_path):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "thesis.tex").write_text("precious")
    command = ["diagnose", "1,1,1", "--problem", "quadratic", "--option", "dim=3", "--out", "o"]
    assert "a folder with other files" in refused(*command, status=1)
