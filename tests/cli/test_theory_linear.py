"""``lossatlas theory linear``: tables hold the library's numbers; nonsense in one sentence."""

from __future__ import annotations

import csv
import math

import pytest
import torch

from lossatlas.cli.main import main
from lossatlas.theory.linear import (
    LinearTask,
    ModeSDE,
    boltzmann_variance,
    diffusion_peak,
    mode_flow,
    saddle_index,
    saddle_to_saddle,
    stationary_law,
)

WORDS = ["--modes", "1,3", "--width", "3", "--rate", "0.02", "--batch", "8", "--noise", "0.2", "--replicas", "40"]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["theory", "linear", *arguments])
    return int(stopped.value.code or 0)


def table(folder, name):
    with (folder / "tables" / f"{name}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def numbers(rows, key):
    return [float(row[key]) for row in rows]


def test_tables_hold_what_the_library_finds(tmp_path, capsys):
    assert run(*WORDS, "--seed", "5", "--out", str(tmp_path)) == 0
    assert str(tmp_path / "report.html") in capsys.readouterr().out.replace("\n", "")
    target = torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64))
    task = LinearTask(target, depth=2, width=3, rate=0.02, batch=8, noise=0.2)
    found = saddle_to_saddle(task, start=1e-4, replicas=40, seed=5)

    rows = table(tmp_path, "modes")
    assert {row["target"] for row in rows} == {"3.0", "1.0"}
    for number, goal in enumerate((3.0, 1.0)):
        own = [row for row in rows if float(row["target"]) == goal]
        times = torch.tensor(numbers(own, "time"), dtype=torch.float64)
        assert numbers(own, "flow") == pytest.approx(mode_flow(2, goal, 1e-4, times).tolist(), rel=1e-9)
        at = torch.searchsorted(found.beside.run.time, times)
        means = found.beside.run.strengths[at, :, number].mean(1)
        assert numbers(own, "sgd") == pytest.approx(means.tolist(), rel=1e-12)  # sums in another order

    rows = table(tmp_path, "saddles")
    assert [row["saddle"] for row in rows] == ["nothing learned", "s* = 3 learned"]
    expected = [saddle_index(task, ()), saddle_index(task, (0,))]
    assert numbers(rows, "predicted_index") == numbers(rows, "index") == expected == [6, 2]
    assert numbers(rows, "level") == [5.0, 0.5]
    assert numbers(rows, "loss") == pytest.approx([5.0, 0.5], abs=1e-8)

    rows = table(tmp_path, "peaks")
    assert [(float(row["target"]), float(row["noise"]), float(row["peak"])) for row in rows] == [
        (goal, noise, diffusion_peak(2, goal, noise, coordinate="s") / goal) for noise in (0, 0.2) for goal in (3, 1)
    ]
    measured = [q.measured_peak / q.sde.target for q in (*found.quiet, *found.noisy)]
    assert [float(row["measured"] or "nan") for row in rows] == pytest.approx(measured, nan_ok=True)

    rows = table(tmp_path, "stationary")
    for row, rest, goal in zip(rows, found.rest, (3.0, 1.0), strict=True):
        sde = ModeSDE(2, goal, 0.02, 8, 0.2)
        assert float(row["formula"]) == pytest.approx(boltzmann_variance(sde), rel=1e-12)
        assert float(row["law"]) == pytest.approx(stationary_law(sde).variance, rel=1e-12)
        assert (float(row["sgd"]), float(row["sgd_error"])) == rest.variance("networks")
        assert abs(float(row["equation"]) - float(row["law"])) < 4.5 * float(row["equation_error"])
        assert abs(float(row["sgd"]) - float(row["stepped"])) < 4.5 * float(row["sgd_error"])

    page = (tmp_path / "report.html").read_text()
    assert "1312.6120" in page
    assert "2604.06366" in page


def test_without_label_noise_there_is_no_law_to_draw(tmp_path):
    words = ["--modes", "2", "--width", "1", "--noise", "0", "--replicas", "3", "--rate", "0.05"]
    assert run(*words, "--out", str(tmp_path)) == 0
    assert not (tmp_path / "tables" / "stationary.csv").exists()
    assert "comes to rest exactly at its target" in (tmp_path / "report.html").read_text()
    assert numbers(table(tmp_path, "peaks"), "noise") == [0]
    first = (tmp_path / "tables" / "modes.csv").read_text()
    assert run(*words, "--out", str(tmp_path)) == 0  # the same folder again
    assert (tmp_path / "tables" / "modes.csv").read_text() == first


def test_deeper_networks_have_saddles_without_negative_curvature(tmp_path):
    words = ["--depth", "3", "--modes", "3,1", "--width", "2", "--start", "0.001", "--replicas", "4"]
    assert run(*words, "--out", str(tmp_path)) == 0
    rows = table(tmp_path, "saddles")
    assert numbers(rows, "index") == numbers(rows, "predicted_index") == [0, 0]
    assert "does not see the way out" in (tmp_path / "report.html").read_text()


def test_samples_at_rest_have_the_moments_of_the_law():
    """The variance of samples is about their own mean, and its error shrinks with their number."""
    task = LinearTask(torch.eye(1), width=1, rate=0.05, batch=4, noise=0.3)
    few, many = (saddle_to_saddle(task, replicas=n, paths=n).rest[0] for n in (20, 320))
    for what in ("paths", "networks"):
        samples = getattr(many, what)
        assert many.variance(what)[0] == pytest.approx(float(samples.var(correction=0)), rel=1e-9)
        assert many.variance(what)[1] < 0.5 * few.variance(what)[1]
        assert float(samples.mean()) == pytest.approx(many.law.mean, abs=5 * math.sqrt(many.formula / 320))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--depth", "0"], "expected depth as an integer of at least 1, got 0"),
        (["--depth", "1"], "one matrix has no saddle"),
        (["--noise", "-0.1"], "expected noise as a finite number of at least 0, got -0.1"),
        (["--noise", "nan"], "expected noise as a finite number"),
        (["--noise", "60"], "all mass would run to zero"),
        (["--modes", ""], "expected --modes as 1 to 6 numbers above 0"),
        (["--modes", "2,x"], "got '2,x': such as 4,2,1"),
        (["--modes", "2,-1"], "numbers above 0"),
        (["--modes", "7,6,5,4,3,2,1"], "1 to 6 numbers"),
        (["--width", "2"], "narrower layers cannot reach a target of rank 3"),
        (["--batch", "0"], "expected batch as an integer of at least 1, got 0"),
        (["--rate", "0"], "expected rate as a finite number above 0"),
        (["--rate", "0.2"], "expected a rate of at most 0.125, got 0.2"),
        (["--replicas", "1"], "an error bar needs two"),
        (["--start", "0"], "the flow rests on the saddle"),
        (["--start", "2"], "it has learned that much already"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path, capsys, words, sentence):
    assert run(*words, "--out", str(tmp_path / "out")) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("precious")
    assert run("--out", str(tmp_path)) == 1
    assert "choose another --out" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
