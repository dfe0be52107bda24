"""The page of spectra: sentences that are true, and figures and tables that show the numbers found."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from curved_networks import perceptron, points

from lossatlas.curvature.critical import Classification
from lossatlas.landscape import get
from lossatlas.report import Points, write_spectra
from lossatlas.report.spectrum import build_spectra
from lossatlas.report.spectrum.summary import cautions, verdicts
from lossatlas.study import Spectra, load_spectra, spectrum
from lossatlas.study.spectra import PointSpectrum

QUICK = {"count": 2, "probes": 2, "steps": 8, "batches": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def networks() -> Spectra:
    landscape, _, _ = perceptron(5)
    return spectrum(landscape, points(landscape, 3, scale=0.5), ["a", "b", "c"], options=QUICK, unit="nat", name="net")


@pytest.fixture(scope="module")
def toy() -> Spectra:
    landscape = get("muller-brown")
    known = landscape.minima + landscape.saddles
    return spectrum(
        landscape, torch.stack([p.x for p in known]), [p.name for p in known], options={"gradient": 1e-3}, name="toy"
    )


def one_negative(point: PointSpectrum) -> Classification:
    known = point.classification
    return dataclasses.replace(known, index=torch.ones_like(known.index), complete=torch.ones_like(known.complete))


def test_verdicts_say_what_the_points_are(toy: Spectra, networks: Spectra) -> None:
    said = verdicts(toy)
    assert said[0].startswith("A is a minimum. Its largest eigenvalue is 4068, its smallest 411, its trace 4479. ")
    assert "is a saddle of index 1" in said[3]
    assert "no direction is flat" in said[0]
    assert "the index rises with the energy" in said[-1]
    other = verdicts(networks)
    index = int(networks.spectra["a"].classification.index)
    assert "a is not a critical point: |g| =" in other[0]
    assert f"{index} eigenvalues are negative" in other[0]
    one = dataclasses.replace(point := networks.spectra["a"], classification=one_negative(point))
    said = verdicts(dataclasses.replace(networks, spectra={"a": one}))[0]
    assert "and 1 eigenvalue is negative" in said
    assert "99% interval:" in other[0] or float(networks.spectra["a"].trace.error) == 0
    assert verdicts(dataclasses.replace(toy, spectra={})) == ("No point has been measured yet.",)
    many = dataclasses.replace(toy, labels=tuple("abcdefgh"), spectra=dict.fromkeys("abcdefgh", toy.spectra["A"]))
    assert any("2 more points are in the table" in sentence for sentence in verdicts(many))


def test_flat_directions_that_cannot_be_told_are_not_counted(networks: Spectra) -> None:
    point = networks.spectra["a"]
    bounds = {"null_low": torch.tensor(0.0), "null_high": torch.tensor(2272.0), "exact": torch.tensor(False)}

    def told(null: float) -> str:
        rough = dataclasses.replace(point.conditioning, null=torch.tensor(null).double(), **bounds)
        spectra = {"a": dataclasses.replace(point, conditioning=rough)}
        return verdicts(dataclasses.replace(networks, spectra=spectra))[0]

    assert "Between 0 and 2272 directions are flat: flat ones cannot be told from" in told(float("nan"))
    assert "about" not in told(float("nan"))
    assert "about 1043 directions are flat (between 0 and 2272)" in told(1043.0)


def test_cautions_name_what_did_not_settle(networks: Spectra) -> None:
    point = networks.spectra["a"]
    calm = dataclasses.replace(point.trace, converged=torch.tensor(True))
    assert cautions(dataclasses.replace(networks, spectra={"a": dataclasses.replace(point, trace=calm)})) == ()
    rough = dataclasses.replace(
        point,
        eigenpairs=dataclasses.replace(point.eigenpairs, converged=torch.tensor([True, False, True, True])),
        check=dataclasses.replace(point.check, differences=torch.tensor([0.5, 0.0, 0.0])),
        notes=("Mini-batches were left out: why",),
    )
    told = " ".join(cautions(dataclasses.replace(networks, spectra={"a": rough})))
    assert "1 of 4 eigenvalues have not settled" in told
    assert "differ by 0.50 from finite differences" in told
    assert "a: Mini-batches were left out" in told


def test_an_unfinished_page_says_so(networks: Spectra, tmp_path: Path) -> None:
    for spectra in ({}, {"a": networks.spectra["a"]}):
        part = dataclasses.replace(networks, spectra=spectra, index=None)
        assert "This is not complete" in write_spectra(part, tmp_path).read_text(encoding="utf-8")


def test_every_figure_and_table_is_a_file_and_the_same_twice(toy: Spectra, networks: Spectra, tmp_path: Path) -> None:
    common = {"density", "ends", "index"}
    for found, wanted in ((toy, common), (networks, common | {"layers", "mini-batches"})):
        folder = tmp_path / found.name
        html = write_spectra(found, folder).read_text(encoding="utf-8")
        assert {file.stem for file in (folder / "figures").iterdir()} == wanted | {"drawn"}
        for link in re.findall(r'href="((?:figures|tables)/[^"]+)"', html):
            assert (folder / link).is_file()
        assert "http://" not in html.split("<script>")[0]
        again = tmp_path / f"{folder.name} again"
        write_spectra(found, again)
        for file in folder.rglob("*"):
            assert file.is_dir() or file.read_bytes() == (again / file.relative_to(folder)).read_bytes()


def test_a_page_from_the_store_is_the_same(tmp_path: Path) -> None:
    landscape = get("muller-brown")
    found = spectrum(landscape, torch.stack([p.x for p in landscape.minima]), folder=tmp_path / "a")
    first = write_spectra(found, tmp_path / "x").read_bytes()
    assert write_spectra(load_spectra(tmp_path / "a"), tmp_path / "y").read_bytes() == first


def test_figures_show_the_numbers(networks: Spectra) -> None:
    sections = {section.anchor: section for section in build_spectra(networks)}
    density = next(figure for figure in sections["eigenvalues"].figures if figure.name == "density")
    for panel, (label, point) in zip(density.panels, networks.done, strict=True):
        assert panel.title == label
        ticks = next(mark for mark in panel.marks if isinstance(mark, Points))
        np.testing.assert_array_equal(np.asarray(ticks.x), point.eigenpairs.values.numpy())
    layers = next(figure for figure in sections["parts"].figures if figure.name == "layers")
    for mark, (_, point) in zip(layers.panels[0].marks, networks.done, strict=True):
        np.testing.assert_array_equal(np.asarray(mark.x), point.blocks.top.numpy())
    (index,) = sections["index"].figures
    measured = next(mark for mark in index.panels[0].marks if mark.label == "measured")
    np.testing.assert_array_equal(np.asarray(measured.y), networks.index.fraction.numpy())
    tables = {table.name: table for section in sections.values() for table in section.tables}
    assert set(tables) == {"points", "products", "eigenvalues", "layers", "mini-batches", "index"}
    values = [row["value"] for row in tables["eigenvalues"].records() if row["point"] == "b"]
    assert values[:4] == networks.spectra["b"].eigenpairs.values.tolist()
    assert {row["matrix"] for row in tables["eigenvalues"].records()} == {"Hessian", "Gauss-Newton", "empirical Fisher"}
    assert tables["layers"].column("step_limit")[0] == pytest.approx(2 / float(networks.spectra["a"].blocks.top[0]))


def test_the_method_cites_what_was_used(networks: Spectra, toy: Spectra) -> None:
    page = str(build_spectra(networks)[-1])
    for key in ("pearlmutter1994", "schraudolph2002", "kunstner2019", "bray2007", "ubaru2017"):
        assert f"key='{key}'" in page
    assert "kunstner2019" not in str(build_spectra(toy)[-1])
