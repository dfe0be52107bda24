"""``lossatlas theory``: pages whose numbers are those of the library; nonsense in one sentence."""

from __future__ import annotations

import csv

import pytest

from lossatlas.cli.main import main
from lossatlas.theory.annealing import CircleToy, Logarithmic, success_curve


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["theory", *arguments])
    return int(stopped.value.code or 0)


def test_annealing_writes_what_the_library_finds(tmp_path, capsys):
    words = ["--schedule", "logarithmic:c=0.5", "--time", "2", "--step", "0.1", "--walkers", "50", "--seed", "3"]
    assert run("annealing", *words, "--out", str(tmp_path)) == 0
    assert str(tmp_path / "report.html") in capsys.readouterr().out.replace("\n", "")
    with (tmp_path / "tables" / "failures.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    times = [float(row["time"]) for row in rows]
    assert times[-1] == 2
    curve = success_curve(CircleToy(), Logarithmic(0.5), times, step=0.1, walkers=50, seed=3)
    assert [float(row["wrong"]) for row in rows] == [1 - share.estimate for share in curve.proportions]
    assert [float(row["exact"]) for row in rows] == [1 - p for p in curve.exact]
    page = (tmp_path / "report.html").read_text()
    assert "converges in probability" in page
    assert "Hajek" in page
    assert run("annealing", *words, "--out", str(tmp_path)) == 0  # the same folder again


def test_annealing_of_a_contrastive_loss_has_no_exact_curve(tmp_path):
    words = ["--energy", "infonce", "--pairs", "2", "--dimension", "2", "--schedule", "quench:final=60"]
    assert run("annealing", *words, "--time", "1", "--step", "0.05", "--walkers", "5", "--out", str(tmp_path)) == 0
    with (tmp_path / "tables" / "failures.csv").open(newline="") as stream:
        assert {row["exact"] for row in csv.DictReader(stream)} == {""}
    assert "no trap was found" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [["--walkers", "1"], ["--schedule", "quench:final=inf"], ["--schedule", "quench:final=inf", "--energy", "infonce"]],
    ids=" ".join,
)
def test_what_cannot_be_drawn_is_left_out(tmp_path, words):
    assert run("annealing", "--walkers", "20", *words, "--time", "5", "--out", str(tmp_path)) == 0
    assert (tmp_path / "figures" / "failures.svg").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--schedule", "logaritmic:c=1"], "did you mean 'logarithmic'"),
        (["--schedule", "logarithmic:d=1"], "has no option 'd'"),
        (["--schedule", "logarithmic:c=x"], "expected --schedule as NAME:KEY=VALUE"),
        (["--schedule", "exponential:start=1,rate=900"], "overflow"),
        (["--time", "0"], "expected 0 < --step <= --time"),
        (["--b", "9"], "otherwise the circle has no trap"),
        (["--energy", "infonce", "--tau", "-1"], "above 0, got -1"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path, capsys, words, sentence):
    assert run("annealing", *words, "--out", str(tmp_path / "out")) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("precious")
    assert run("annealing", "--out", str(tmp_path)) == 1
    assert "choose another --out" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
