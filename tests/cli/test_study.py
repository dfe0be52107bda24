from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest

PIECES = ["ensemble", "paths", "paths", "claims", "tables"]


def rows(text):
    return [line.split("\t") for line in text.splitlines() if "\t" in line][1:]


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# ------------------------------------------------------------------ the way it should go
def test_a_tiny_study_from_nothing_to_report_and_again(run, tmp_path, tiny):
    out = tmp_path / "with spaces" / "ünicode"
    dry = run("study", "run", tiny, "--out", out, "--dry-run")
    assert dry.status == 0
    assert [row[0] for row in rows(dry.out)] == PIECES
    assert "0 of 5 pieces done" in dry.out
    assert not out.parent.exists()

    first = run("study", "run", tiny, "--out", out)
    assert first.status == 0, first.err
    assert first.out.splitlines()[-1] == str(out / "report.html")
    assert (out / "report.html").stat().st_size > 10_000
    assert {"report.html", "study.toml", "tables", "figures", "store"} <= {p.name for p in out.iterdir()}
    assert list((out / "tables").glob("*.csv"))
    assert list(out.rglob("*.part")) == []

    status = run("study", "status", out)
    assert [row[2] for row in rows(status.out)] == ["done"] * len(PIECES)
    assert "5 of 5 pieces done" in status.out

    stored = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (out / "store").iterdir()}
    tables = {p.name: p.read_bytes() for p in (out / "tables").iterdir()}
    second = run("study", "run", tiny, "--out", out)
    assert second.status == 0
    assert "ensemble" not in second.out  # nothing was begun
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (out / "store").iterdir()} == stored
    assert {p.name: p.read_bytes() for p in (out / "tables").iterdir()} == tables

    (out / "report.html").unlink()
    again = run("report", out)
    assert again.status == 0
    assert (out / "report.html").exists()

    elsewhere = run("report", out, "--to", tmp_path / "elsewhere", "--markdown")
    assert elsewhere.out.splitlines()[-1] == str(tmp_path / "elsewhere" / "report.html")
    assert (tmp_path / "elsewhere" / "report.md").read_text().startswith("# Loss landscapes: ")
    assert not (out / "report.md").exists()


def test_plan_predicts_and_writes_nothing(run, tmp_path, tiny):
    outcome = run("study", "plan", tiny)
    assert outcome.status == 0
    assert [row[0].split()[0] for row in rows(outcome.out)] == [*PIECES, "total"]
    assert list(tmp_path.iterdir()) == [tiny]


def test_a_changed_key_computes_only_what_depends_on_it(run, tmp_path, tiny, finished):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    outcome = run("study", "run", tiny, "--out", out, "--set", "paths.straight.options.points=5")
    assert outcome.status == 0
    begun = re.findall(r"^\[\d/5\] (\w+)", outcome.out, re.MULTILINE)
    assert begun == ["paths", "paths", "claims", "tables"]


# ------------------------------------------------------------------ folders
def test_another_study_in_the_folder(refused, tmp_path, tiny, finished):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    message = refused("study", "run", tiny, "--out", out, "--set", "name=other")
    assert "expected a folder for study 'other'" in message
    assert "with study 'tiny'" in message


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/x", "/dev/null"])
def test_an_output_folder_that_cannot_be(refused, tmp_path, tiny, where):
    (tmp_path / "file").write_text("precious")
    message = refused("study", "run", tiny, "--out", where, status=1)
    assert "choose another --out" in message


def test_an_output_folder_with_too_long_a_name(refused, tiny):
    assert "File name too long" in refused("study", "run", tiny, "--out", "n" * 300, status=1)


def test_a_folder_with_other_files_is_left_as_it_was(refused, tmp_path, tiny):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    assert "a folder with other files" in refused("study", "run", tiny, "--out", "thesis", status=1)


def test_folders_without_a_study(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for folder in ("empty", "nowhere", "file", "/proc"):
        assert "study" in refused("study", "status", folder, status=1)
        assert "study" in refused("report", folder, status=1)


@pytest.mark.parametrize("command", [["run", "--out", "o"], ["run", "--out", "o", "--dry-run"], ["plan"]])
def test_own_data_that_the_network_cannot_take(refused, tmp_path, tiny, command):
    x, y = np.zeros((70, 8, 8), dtype=np.float32), np.zeros(70, dtype=np.int64)
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    verb, *options = command
    message = refused("study", verb, tiny, *options, "--set", "data.name=own.npz")
    assert "expected samples of shape (1, 28, 28)" in message


# ------------------------------------------------------------------ damage
@pytest.mark.parametrize(
    ("command", "what"),
    # What does not read the tensors does not miss them.
    [(["study", "status"], "json"), *((["report"], what) for what in ("json", "safetensors", "missing tensors"))],
)
def test_damaged_results(refused, tmp_path, finished, command, what):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    suffix = "json" if what == "json" else "safetensors"
    (file,) = (out / "store").glob(f"ensemble-*.{suffix}")
    if what == "missing tensors":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0x80
        file.write_bytes(content)
    message = refused(*command, out, status=1)
    assert "ensemble-fcp-lbfgs-gss" in message


@pytest.mark.parametrize(
    "content", ["", "not json", "[]", "{}", '{"device": "cpu", "threads": 1, "networks": {"fcp": {"x": 1}}}']
)
def test_damaged_numerics(refused, tmp_path, tiny, finished, content):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (out / "numerics.json").write_text(content)
    for command in (["study", "status", out], ["report", out], ["study", "run", tiny, "--out", out, "--dry-run"]):
        assert "numerics.json" in refused(*command, status=1)


@pytest.mark.parametrize("content", ["nonsense", "name = ", "\x00"])
def test_damaged_study_toml(refused, tmp_path, tiny, finished, content):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (out / "study.toml").write_text(content)
    for command in (["study", "status", out], ["report", out], ["study", "run", tiny, "--out", out]):
        assert "study.toml" in refused(*command, status=1)


def test_a_study_toml_with_an_unknown_key(refused, tmp_path, finished):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    replace(out / "study.toml", "iterations", "iteratoins")
    assert "did you mean 'iterations'?" in refused("study", "status", out)


def test_damaged_provenance(refused, tmp_path, finished):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (out / "provenance.json").write_text("{")
    assert "provenance.json" in refused("report", out, status=1)


def test_a_report_of_half_a_study_says_what_is_missing(run, tmp_path, finished):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    for file in (out / "store").glob("paths-*"):
        file.unlink()
    outcome = run("study", "status", out)
    assert [row[2] for row in rows(outcome.out)] == ["done", "to do", "to do", "done", "done"]
    assert run("report", out).status == 0


# ------------------------------------------------------------------ data
def test_missing_mnist(refused, tiny):
    message = refused("study", "run", tiny, "--out", "o", "--set", "data.name=mnist", status=1)
    assert "lossatlas data get mnist" in message


def test_corrupt_mnist(refused, tmp_path, tiny):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte.gz").write_bytes(b"corrupt")
    message = refused(
        "study", "run", tiny, "--out", "o", "--set", "data.name=mnist", "--set", f"data.directory={tmp_path}", status=1
    )
    assert "-ubyte.gz" in message


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04", None])
def test_corrupt_npz(refused, tmp_path, tiny, content):
    if content is None:
        np.savez(tmp_path / "mine.npz", unrelated=np.zeros(3))
    else:
        (tmp_path / "mine.npz").write_bytes(content)
    assert "mine.npz" in refused("study", "run", tiny, "--out", "o", "--set", "data.name=mine.npz", status=1)


# ------------------------------------------------------------------ refused before anything is computed
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("networks.fcp.optimizers.sgd.batch_size=65", "expected batch_size from 1 to 64"),
        ("networks.fcp.options.activation=relo", "did you mean 'relu'?"),
        ("networks.fcp.options.depth=3", "depth"),
        ("paths.straight.options.points=1", "at least 2 points"),
        ("paths.straight.options.pionts=9", "did you mean 'points'?"),
        ("networks.fcp.optimizers.lbfgs-gss.options.history=1.5", "a whole number for 'history'"),
    ],
)
def test_refused_before_the_first_step(refused, tiny, change, message):
    assert message in refused("study", "run", tiny, "--out", "o", "--set", change)


def test_a_loss_that_explodes_names_a_remedy_and_keeps_what_was_finished(run, tmp_path, tiny):
    outcome = run(
        "study", "run", tiny, "--out", "o", "--set", "networks.fcp.optimizers.sgd={epochs=1, options={lr=1e30}}"
    )
    assert outcome.status == 1
    assert "lower the learning rate" in outcome.err
    assert outcome.err.count("\n") == 1
    (kept,) = (tmp_path / "o" / "store").glob("ensemble-*.json")
    assert json.loads(kept.read_text())["content"]["inputs"]["optimizer"] == "lbfgs-gss"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_too_little_memory(run, tiny, monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("lossatlas.study.stages.ensembles.Ensembles.compute", fail)
    outcome = run("study", "run", tiny, "--out", "o")
    assert outcome.status == 1
    assert outcome.err == (
        "lossatlas: expected enough memory, got less: take fewer replicas, a smaller data set or fewer points\n"
    )


def test_ctrl_c_ends_with_130(run, tiny, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("lossatlas.study.stages.ensembles.Ensembles.compute", stop)
    outcome = run("study", "run", tiny, "--out", "o")
    assert outcome.status == 130
    assert "the same command continues" in outcome.err
