from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = [
    (),
    ("study",),
    ("study", "run"),
    ("study", "plan"),
    ("study", "status"),
    ("connect",),
    ("diagnose",),
    ("align",),
    ("report",),
    ("list",),
    ("data",),
    ("data", "get"),
]


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_everywhere(run, command, flag):
    outcome = run(*command, flag)
    assert outcome.status == 0
    assert outcome.out.startswith(f"Usage: {' '.join(('lossatlas', *command))} ")
    assert outcome.err == ""


@pytest.mark.parametrize("group", [(), ("study",), ("data",)], ids=" ".join)
def test_a_group_alone_shows_its_help_and_is_bad_usage(run, group):
    outcome = run(*group)
    assert outcome.status == 2
    assert outcome.err.startswith("Usage: lossatlas")


def test_version(run):
    assert run("--version").out.startswith("lossatlas, version ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stduy"], "unknown command 'stduy': did you mean 'study'?"),
        ([""], "unknown command ''"),
        (["стуdy"], "unknown command 'стуdy'"),
        (["study", "rnu"], "'rnu'"),
        (["--bogus"], "--bogus"),
        (["study", "run"], "Missing argument 'RECIPE'"),
        (["study", "run", "quickstart"], "Missing option '--out'"),
        (["study", "run", "quickstart", "extra", "--out", "o"], "extra"),
        (["study", "run", "quickstart", "--out"], "--out"),
        (["study", "run", "quickstart", "--out", "o", "--bogus"], "--bogus"),
        (["study", "run", "quikstart", "--out", "o"], "unknown recipe 'quikstart': did you mean 'quickstart'?"),
        (["study", "run", "", "--out", "o"], "unknown recipe ''"),
        (["study", "run", "no.toml", "--out", "o"], "No such file"),
        (["study", "plan", "quikstart"], "did you mean 'quickstart'?"),
        (["study", "status"], "FOLDER"),
        (["study", "status", ""], "got an empty name"),
        (["report", ""], "got an empty name"),
        (["report", "~there-is-no-such-user/x"], "no such user"),
        (["study", "run", "quickstart", "--out", ""], "got an empty name: write '.'"),
        (["study", "run", "quickstart", "--out", "  "], "got an empty name"),
        (["study", "run", "quickstart", "--out", "~there-is-no-such-user/x"], "no such user"),
        (["study", "run", "quickstart", "--out", "o", "--device", "gpu"], "expected a device such as 'cpu'"),
        (["study", "run", "quickstart", "--out", "o", "--device", ""], "expected a device such as 'cpu'"),
        (["list"], "KIND"),
        (["list", "problms"], "unknown kind 'problms': did you mean 'problems'?"),
        (["list", ""], "unknown kind ''"),
        (["data", "get"], "NAME"),
        (["data", "get", "mnits"], "unknown data set 'mnits': did you mean 'mnist'?"),
    ],
)
def test_bad_usage_is_one_sentence_with_status_2(refused, arguments, message):
    assert message in refused(*arguments)


def test_cuda_without_one(refused, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    for more in ([], ["--dry-run"]):
        assert "use device 'cpu'" in refused("study", "run", "quickstart", "--out", "o", "--device", "cuda", *more)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("problems", "fcp"), ("optimizers", "lbfgs-gss"), ("recipes", "quickstart"), ("models", "lenet"),
     ("data", "digits"), ("paths", "linear"), ("landscapes", None)],
)  # fmt: skip
def test_lists(run, kind, name):
    outcome = run("list", kind)
    assert outcome.status == 0
    heading, *rows = [line.split("\t") for line in outcome.out.splitlines()]
    assert heading == ["name", "what it is"]
    assert all(len(row) == 2 and row[0] and row[1] for row in rows)
    assert name is None or name in [row[0] for row in rows]


def _process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "lossatlas", *arguments], capture_output=True, check=False, timeout=120, **options
    )


def test_a_real_process_ends_with_the_same_statuses(tmp_path):
    for arguments, status in ((["-h"], 0), (["report", "nowhere"], 1), (["list", "nonsense"], 2)):
        done = _process(*arguments, cwd=tmp_path)
        assert done.returncode == status
        assert (done.stderr == b"") == (status == 0)
        assert b"Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_no_text(tmp_path):
    done = _process("study", "run", "quickstart", "--out", "o", "--set", b"name=\xff", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(b"lossatlas: expected key=value in UTF-8")
    assert list(tmp_path.iterdir()) == []


def test_help_does_not_wait_for_torch():
    code = """
import sys
from lossatlas.cli.main import main
try:
    main(["-h"])
except SystemExit:
    print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False"
