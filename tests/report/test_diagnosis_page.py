"""The page of a diagnosis: evidence and advice beside each finding, and figures that can be drawn."""

from __future__ import annotations

import re

import matplotlib as mpl
import pytest
import scenarios
import torch

from lossatlas.landscape import get
from lossatlas.report import write_diagnosis
from lossatlas.report.diagnosing import build_diagnosis
from lossatlas.report.diagnosing.findings import picture_figure
from lossatlas.report.diagnosing.summary import answer
from lossatlas.report.matplotlib_backend import render
from lossatlas.study import diagnose, load_diagnosis


@pytest.fixture(scope="module")
def runs():
    names = ("scenario_a", "scenario_b_saddle", "scenario_b_plateau", "scenario_c", "exploding", "healthy_network")
    found = {}
    for name in names:
        run = getattr(scenarios, name)()
        w = None if name == "exploding" else run.w
        found[name] = diagnose(run.landscape, w, run.history, test=run.test, name=name, label="w", unit="nat")
    return found


NAMES = ["scenario_a", "scenario_b_saddle", "scenario_b_plateau", "scenario_c", "exploding", "healthy_network"]


@pytest.mark.parametrize("name", NAMES)
def test_every_finding_has_its_evidence_advice_and_picture(runs, name):
    found = runs[name]
    sections = {section.anchor: section for section in build_diagnosis(found)}
    assert next(iter(sections)) == "summary"
    assert list(sections)[-3:] == ["layers", "measurements", "method"]
    pictured = 0
    for finding in found.diagnosis.findings:
        section = sections[finding.kind.replace(" ", "-")]
        kinds = [type(block).__name__ for block in section.blocks]
        assert kinds[:3] == ["Prose", "Notice", "Table"]
        assert section.blocks[1].items == finding.advice
        assert section.blocks[0].text == finding.sentence
        pictured += len(section.figures)
    assert pictured >= 1
    names = [figure.name for section in sections.values() for figure in section.figures]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_can_be_drawn(runs, name):
    with mpl.rc_context():
        for finding in runs[name].diagnosis.findings:
            for picture in finding.pictures:
                figure = picture_figure(picture)
                assert figure is not None, picture.name
                assert render(figure, "svg").startswith(b"<?xml")
                assert re.fullmatch(r"[a-z-]+", figure.name)


def test_the_page_is_written_and_read_back(runs, tmp_path):
    run = scenarios.healthy_halfway()
    found = diagnose(run.landscape, run.w, run.history, folder=tmp_path / "o", name="rings", label="w", unit="nat")
    page = write_diagnosis(found, tmp_path / "o").read_text(encoding="utf-8")
    assert "w is healthy" in page
    assert "default-src 'none'" in page
    again = load_diagnosis(tmp_path / "o")
    assert write_diagnosis(again, tmp_path / "p").read_text(encoding="utf-8") == page


def test_the_answer_does_not_call_a_slope_healthy():
    bowl = get("quadratic", dim=3, condition=10.0)
    slope = diagnose(bowl, torch.ones(3, dtype=torch.float64), label="w")
    assert answer(slope)[0] == "No fault was found at w, which has not converged."
    assert "not a critical point: the gradient is" in answer(slope)[1]
    bottom = diagnose(bowl, torch.zeros(3, dtype=torch.float64), label="w")
    assert answer(bottom) == ("w is healthy: none of the pathologies looked for was found.",)


def test_an_energy_has_no_layers():
    found = diagnose(get("quadratic", dim=3), torch.ones(3, dtype=torch.float64))
    assert [section.anchor for section in build_diagnosis(found)] == ["summary", "healthy", "measurements", "method"]
