"""The prose is true: its examples run, the files it names exist, its commands and targets are there."""

from __future__ import annotations

import doctest
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import torch

from lossatlas.core.randomness import preserved_random_state

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "lossatlas"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROSE = [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Fenced blocks in the given languages, in their order: language and content."""
    return [(kind, text) for kind, text in FENCE.findall(page.read_text(encoding="utf-8")) if kind in languages]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run(page, tmp_path, monkeypatch):
    """The blocks of a page share their names, as for a reader who starts at its top."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=options)
    with preserved_random_state():
        torch.manual_seed(0)
        for kind, text in blocks(page, "python", "pycon"):
            if kind == "python":
                exec(compile(text, page.name, "exec"), names)
            else:
                test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), 0)
                report: list[str] = []
                runner.run(test, out=report.append, clear_globs=False)
                names.update(test.globs)
                assert runner.failures == 0, "".join(report)


def test_the_pages_have_examples():
    assert sum(len(blocks(page, "python", "pycon")) for page in PAGES) >= 10


@pytest.mark.parametrize("page", [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_named_files_exist(page):
    named = re.findall(r"`([\w.]+(?:/[\w.]+)*/?[\w.]+\.(?:py|toml|md|html|txt))`", page.read_text(encoding="utf-8"))
    named = [name for name in named if name not in {"study.toml", "report.html"}]  # written by a study
    assert len(named) > 5
    missing = [name for name in named if not ((ROOT / name).exists() or (PACKAGE / name).exists())]
    assert missing == []


def test_the_picture_shows_what_exists():
    """The layers drawn are those that are enforced, planned ones in brackets in both."""
    picture = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("```")[1]
    drawn = re.findall(r"^\d? +(\[\w+\]|\w+) +", picture, re.MULTILINE)
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    enforced = [name.strip() for layer in layers for name in layer.split("|")]
    assert [name.strip("[]") for name in drawn] == [name.strip("()") for name in enforced]
    for name in drawn:
        exists = (PACKAGE / name.strip("[]") / "__init__.py").exists()
        assert exists != name.startswith("["), name


def test_lines_that_announce_are_where_the_table_says():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"`(\w+)\.add\(.*?` in (?:`([\w/]+\.py)`|the same file)", text)
    assert len(rows) >= 7
    for registry, file in rows:
        assert f"{registry}.add(" in (PACKAGE / (file or "optimize/schedules.py")).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page):
    # The picture is made from a finished study, after the text.
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if not t.endswith(".png") and not (page.parent / t).exists()]
    assert missing == []


def test_commands_and_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    cli = import_module("lossatlas.cli.main").cli
    commands = set(cli.list_commands(None))
    seen = set()
    for page in PROSE:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"`make ([a-z]+)", text):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target} in {page.name}"
        for words in re.findall(rf"lossatlas ((?:{'|'.join(commands)})\b[^\n`|]*)", text):
            first, *rest = words.split()
            command = cli.get_command(None, first)
            assert command is not None, words
            if rest and hasattr(command, "commands"):
                assert rest[0] in command.commands, f"lossatlas {words} in {page.name}"
                command = command.commands[rest[0]]
            options = {name for parameter in command.params for name in parameter.opts}
            assert set(re.findall(r"--[a-z-]+", words)) <= options, f"lossatlas {words} in {page.name}"
            seen.add(command.name)
    subcommands = {"run", "plan", "status", "get", "annealing", "committee", "linear"}
    assert {*subcommands, *commands - {"study", "data", "theory"}} <= seen


def test_the_reference_covers_every_package():
    """Every package has its page, and every name that a page shows can be imported."""
    pages = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md")}
    packages = {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")} - {"cli"}
    assert set(pages) == packages
    for package, text in pages.items():
        for target in re.findall(r"^::: (\S+)$", text, re.MULTILINE):
            parent, _, name = target.rpartition(".")
            found = import_module(parent)
            # A function may share its module's name: then the package shows the function.
            assert hasattr(found, name) or import_module(target), f"{target} in {package}"


def test_citation_file_agrees_with_the_project():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    top = dict(re.findall(r"^([a-z-]+): +(\S.*)$", citation, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert top["cff-version"] == "1.2.0"
    assert {"message", "title"} <= set(top)
    assert top["version"] == project["version"]
    assert top["license"] == project["license"]
    head = citation.split("\nreferences:\n")[0]
    assert re.findall(r"^  - name: (.+)$", head, re.MULTILINE) == [author["name"] for author in project["authors"]]
    assert "2602.21276" in citation
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
