"""What is written: files that are complete, repeatable, and a page that is well-formed and keeps to itself."""

from __future__ import annotations

import dataclasses
import itertools
import re
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lossatlas.core.errors import StorageError
from lossatlas.report import write
from lossatlas.report.citations import bibtex, citations_for
from lossatlas.report.page import render_page
from lossatlas.report.write import build_sections
from lossatlas.study.results import StudyResults

VOID = {"meta", "link", "br", "img", "input", "path", "circle"}


class Outline(HTMLParser):
    """Collect what the tests ask about, and insist that elements close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.count: dict[str, int] = {}
        self.words: list[str] = []
        self.scopes: list[str | None] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.count[tag] = self.count.get(tag, 0) + 1
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))
        if tag == "th":
            self.scopes.append(values.get("scope"))
        if values.get("href"):
            self.links.append(str(values["href"]))
        if values.get("id"):
            self.ids.append(str(values["id"]))
        if values.get("src"):
            self.sources.append(str(values["src"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def html(written: Path) -> str:
    return (written / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outline(html: str) -> Outline:
    return Outline(html)


def test_files(written: Path, make_results: Callable[..., StudyResults]) -> None:
    names = sorted(str(p.relative_to(written)) for p in written.rglob("*") if p.is_file())
    figures = [f"figures/{n}.{s}" for n in ("barriers", "loss-curves", "profiles") for s in ("csv", "png", "svg")]
    figures.append("figures/drawn.json")
    assert names == sorted([*figures, *(f"tables/{n}.csv" for n in ("barriers", "replicas", "table1")), "report.html"])
    assert (written / "report.html").stat().st_size <= 10_000_000
    for table in make_results(written).tables.values():
        assert (written / "tables" / f"{table.name}.csv").read_text() == table.to_csv()


def test_page_is_well_formed(outline: Outline) -> None:
    levels = [level for level, _ in outline.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.count["nav"] == outline.count["main"] == outline.count["header"] == 1
    assert outline.count["figure"] == outline.count["figcaption"] == 3
    assert outline.count["table"] == outline.count["caption"] == 3
    assert outline.scopes
    assert set(outline.scopes) == {"col", "row"}


def test_nothing_leaves_the_file(outline: Outline, html: str, written: Path) -> None:
    assert outline.sources == []
    for link in outline.links:
        if link.startswith("#"):
            assert link[1:] in outline.ids
        elif not link.startswith("data:"):
            assert (written / link).is_file(), link
    assert "default-src 'none'" in html
    assert html.count("plotly.js v") == 1
    assert "fonts.googleapis" not in html


def test_what_the_reader_needs_is_there(outline: Outline) -> None:
    for words in (
        "Table 1. Losses and accuracies",
        "Figure 1. Loss against training time.",
        "LSTM by SGD, replica 1: the loss was NaN at step 20",
        "1 run diverged",
        "lossatlas study run quickstart --out runs/quickstart",
        "ab" * 32,
        "Example CPU",
        "PyTorch 2.13.0",
        "strategy: loop; data chunk: 512; floating type: float32",
        "arXiv:2602.21276",
        "1.35×10⁻⁸",
        "L-BFGS-GSS",
    ):
        assert words in outline.text, words
    assert "not complete" not in outline.text


def test_configuration_is_toml_and_escaped(outline: Outline, html: str, results: StudyResults) -> None:
    listing = html.split("<pre tabindex", 2)[2].split("<code>")[1].split("</code>", maxsplit=1)[0]
    import html as entities

    read = tomllib.loads(entities.unescape(listing))
    assert read == results.configuration
    assert read["description"] == "text with </script> and <b>marks</b>"
    assert "<b>marks</b>" not in html


def test_names_that_would_break_html(make_results: Callable[..., StudyResults], tmp_path: Path) -> None:
    results = make_results(tmp_path, [("fcp", "sgd")])
    nasty = '</script><img src="x">'
    experiment = dataclasses.replace(
        results.experiments[0],
        optimizer=nasty,
        network=nasty,
        ensemble=dataclasses.replace(results.experiments[0].ensemble, optimizer=nasty),
    )
    changed = dataclasses.replace(results, experiments=(experiment,), name=nasty, missing=(nasty,))
    outline = Outline(render_page(nasty, nasty, build_sections(changed)))
    assert outline.sources == []
    assert nasty in outline.text


def test_unfinished_study_says_so(make_results: Callable[..., StudyResults], tmp_path: Path) -> None:
    results = make_results(tmp_path, [("fcp", "sgd")], missing=("lstm/sgd", "lenet/sgd"), provenance={})
    outline = Outline(render_page("t", "s", build_sections(results)))
    assert "This study is not complete: 2 pieces are missing." in outline.text
    assert "lstm/sgd" in outline.text


def test_runs_not_kept_are_named(make_results: Callable[..., StudyResults], tmp_path: Path) -> None:
    results = make_results(tmp_path, [("fcp", "sgd")])
    experiment = results.experiments[0]
    replicas = list(experiment.ensemble.replicas)
    replicas[2] = dataclasses.replace(replicas[2], kept=False, reason="its training loss was not among the lowest")
    ensemble = dataclasses.replace(experiment.ensemble, replicas=tuple(replicas))
    changed = dataclasses.replace(results, experiments=(dataclasses.replace(experiment, ensemble=ensemble),))
    text = Outline(render_page("t", "s", build_sections(changed))).text
    assert "1 run was trained but not kept. FCP by SGD, replica 2: its training loss was not among the lowest" in text


def test_writing_again_gives_the_same_bytes(make_results: Callable[..., StudyResults], tmp_path: Path) -> None:
    results = make_results(tmp_path / "unused", [("lenet", "sgd")])
    results = dataclasses.replace(results, experiments=(dataclasses.replace(results.experiments[0], pairs={}),))
    for folder in ("a", "b"):
        assert write(results, tmp_path / folder) == tmp_path / folder / "report.html"
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert len(files) == 8
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    assert not (tmp_path / "unused").exists()


def test_unwritable_folder(make_results: Callable[..., StudyResults], tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("in the way")
    with pytest.raises(StorageError, match="expected to write"):
        write(make_results(tmp_path, []), target)


def test_citations_follow_the_methods(make_results: Callable[..., StudyResults], tmp_path: Path) -> None:
    everything = [c.key for c in citations_for(make_results(tmp_path))]
    assert everything[0] == "yu2026"
    assert {"nocedal1980", "liu1989", "kiefer1953", "robbins1951", "hochreiter1997", "lecun1998"} <= set(everything)
    assert {"alpaydin1998", "pedregosa2011", "frankle2020", "entezari2022", "paszke2019"} <= set(everything)
    assert len(everything) == len(set(everything))
    few = [
        c.key for c in citations_for(make_results(tmp_path, [("fcp", "sgd")], provenance={"data": {"name": "mnist"}}))
    ]
    assert few == ["yu2026", "robbins1951", "lecun1998", "frankle2020", "entezari2022", "efron1993", "paszke2019"]


def test_bibtex_has_balanced_braces_and_one_entry_each(results: StudyResults) -> None:
    works = citations_for(results)
    text = bibtex(works)
    assert text.count("{") == text.count("}")
    assert re.findall(r"^@\w+\{(\w+),$", text, re.MULTILINE) == [work.key for work in works]
    assert "year = {1953}" in text


def test_large_study_stays_below_ten_megabytes(make_results: Callable[..., StudyResults], tmp_path: Path) -> None:
    import torch

    from lossatlas.core.ensemble import Curves, Replica, WeightSet
    from lossatlas.report.sections import curves

    results = make_results(tmp_path)
    steps = torch.arange(1001)
    values = torch.rand(48, 1001, generator=torch.Generator().manual_seed(0)) + 0.1
    replicas = tuple(Replica(i, "completed", "", True, 1000, 1.0, 1.0) for i in range(48))
    weights = WeightSet(torch.zeros(48, 4), torch.full((48,), 1000))

    def grow(ensemble):  # type: ignore[no-untyped-def]
        history = Curves(steps, "iteration", {"train_loss": values, "test_loss": values})
        return dataclasses.replace(ensemble, curves=history, replicas=replicas, train=weights, test=weights)

    large = tuple(dataclasses.replace(e, ensemble=grow(e.ensemble)) for e in results.experiments)
    section = curves.build(dataclasses.replace(results, experiments=large))
    assert section is not None
    assert "200 evenly spaced steps" in section.figures[0].caption
    # Next to these curves, 300 pairs for each of the 16 weight sets weigh about 2.5 MB.
    assert len(render_page("t", "s", [section])) < 7_500_000
