"""``lossatlas theory committee``: a page whose numbers are those of the library; nonsense in one sentence."""

from __future__ import annotations

import csv

import pytest

from lossatlas.cli.main import main
from lossatlas.theory.committee import Committee, find_minima, study_committee

SMALL = ["--time", "1", "--dim", "60", "--replicas", "3", "--starts", "4", "--seed", "2"]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["theory", "committee", *arguments])
    return int(stopped.value.code or 0)


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_page_has_the_numbers_of_the_library(tmp_path, capsys):
    assert run("--students", "3", "--teachers", "2", *SMALL, "--out", str(tmp_path)) == 0
    assert "by the equations" in capsys.readouterr().out
    study = study_committee(3, 2, time=1.0, dim=60, replicas=3, starts=4, seed=2)
    drawn = [float(row["y"]) for row in read(tmp_path / "figures" / "losses.csv") if row["series"] == "equations"]
    assert drawn == study.course.loss.tolist()
    points = [float(row["y"]) for row in read(tmp_path / "figures" / "losses.csv") if row["series"] == "SGD"]
    assert points[: len(study.simulation.times)] == study.simulation.loss.mean(1).tolist()
    assert "Saad" in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "tables").exists()  # two teachers have no bad minimum


def test_simulation_and_equations_agree_in_many_dimensions():
    study = study_committee(2, 2, time=1.0, dim=2000, replicas=6, starts=1, seed=1)
    assert study.z().abs().max() < 6
    assert study.course.loss[-1] < study.course.loss[0]


def test_the_table_of_minima_is_that_of_the_search():
    from lossatlas.theory.committee import minima_table

    found = find_minima(Committee(7), 40, seed=0)
    (row,) = minima_table(found).records()
    assert row["loss"] == pytest.approx(0.02320271, abs=1e-8)
    assert row["smallest"] == pytest.approx(0.014059, abs=1e-6)
    assert row["blocks"] == "1+6"
    assert row["starts"] == int(found.bad.sum())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--learning-rate", "-1"], "the learning rate"),
        (["--label-noise", "-1"], "label noise"),
        (["--time", "0"], "the time"),
        (["--dim", "5"], "expected dim of at least students + teachers = 12"),
        (["--students", "0"], "students"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path, capsys, words, sentence):
    assert run(*words, "--out", str(tmp_path / "out")) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
