from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import pytest

from lossatlas.cli.main import main

STUDY = """\
name = "tiny"
[data]
train_size = 64
test_size = 32
[networks.fcp]
replicas = 2
[networks.fcp.optimizers.lbfgs-gss]
iterations = 3
[paths.straight]
options = { points = 3 }
"""


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


def snapshot(folder: Path) -> dict[str, str]:
    """What a folder holds: every name, and a hash of every file."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder"
        for p in folder.rglob("*")
    }


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command line in an empty folder without data sets of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / "cache"))
    monkeypatch.delenv("LOSSATLAS_DATA", raising=False)

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Outcome(ended.value.code, out, err)

    return run


@pytest.fixture
def refused(run, tmp_path):
    """Run a command that must be refused in one sentence and change nothing."""

    def refused(*arguments, status=2):
        before = snapshot(tmp_path)
        outcome = run(*arguments)
        assert snapshot(tmp_path) == before
        assert outcome.status == status, outcome
        assert outcome.out == ""
        assert outcome.err.startswith("lossatlas: ")
        assert outcome.err.count("\n") == 1
        assert "Traceback" not in outcome.err
        return outcome.err

    return refused


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished tiny study, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(STUDY)
    with pytest.raises(SystemExit) as ended:
        main(["study", "run", str(folder / "tiny.toml"), "--out", str(folder / "out")])
    assert ended.value.code == 0
    return folder / "out"
