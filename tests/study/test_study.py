"""Studies: resume after SIGKILL to the same bytes, reuse, plan, status, addresses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_studies import TINY, Log, age_checkpoint, changed, run, stored

from lossatlas.core.errors import ConfigurationError, DataError, InputError, StorageError
from lossatlas.core.files import save_tree
from lossatlas.report import write
from lossatlas.study import Piece, Study, plan
from lossatlas.study.load import parse_config
from lossatlas.study.numerics import StudyNumerics
from lossatlas.study.plan import expected_seconds


@pytest.mark.slow
def test_killed_twenty_times_it_ends_with_the_same_tables(tmp_path: Path) -> None:
    """SIGKILL at 20 random moments of a tiny study whose checkpoints are as frequent as can be."""
    script = Path(__file__).parent / "killer.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "20", "7"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["killed"] == 20
    assert len(set(outcome["checksums"])) == 1
    assert len(outcome["checksums"]) >= 2  # the reference and at least one that was killed on the way
    assert outcome["different_places"] >= 8


def test_a_second_run_computes_nothing_and_a_changed_one_only_what_changed(tmp_path: Path) -> None:
    first = run(tmp_path / "s", TINY)
    assert first == [
        "ensemble fcp lbfgs-gss",
        "ensemble fcp sgd",
        "paths straight fcp lbfgs-gss train",
        "paths straight fcp sgd train",
        "claims all",
        "tables all",
    ]
    assert run(tmp_path / "s", TINY) == []
    more = changed(optimizers={"lbfgs-gss": {"iterations": 4}, "sgd": {"epochs": 3}})
    assert run(tmp_path / "s", more) == ["ensemble fcp sgd", "paths straight fcp sgd train", "claims all", "tables all"]
    assert run(tmp_path / "s", TINY) == []


def test_results_are_read_back(tmp_path: Path) -> None:
    run(tmp_path, TINY)
    results = Study.open(tmp_path).results()
    assert results.missing == ()
    assert [(e.network, e.optimizer, len(e.ensemble)) for e in results.experiments] == [
        ("fcp", "lbfgs-gss", 3),
        ("fcp", "sgd", 3),
    ]
    assert [(p.first, p.second) for p in results.experiments[0].pairs["train"]] == [(0, 1), (0, 2), (1, 2)]
    record = results.tables["table1"].records()[0]
    scores = results.experiments[0].ensemble.train.scores["train_loss"]
    assert record["train_loss_mean"] == pytest.approx(float(scores.mean()))
    assert record["train_loss_error"] == pytest.approx(float(scores.std() / 3**0.5))
    barriers = {(r["network"], r["optimizer"]): r for r in results.tables["barriers"].records()}
    heights = [pair.path.barrier for pair in results.experiments[1].pairs["train"]]
    assert barriers["fcp", "sgd"]["barrier_mean"] == pytest.approx(sum(heights) / 3)
    assert results.provenance["data"]["train"] == 64
    assert results.configuration["networks"]["fcp"]["replicas"] == 3


def test_optimizers_start_from_the_same_initial_weights(tmp_path: Path) -> None:
    run(tmp_path, TINY)
    a, b = (e.ensemble.initial for e in Study.open(tmp_path).results().experiments)
    assert a is not None
    assert b is not None
    assert bool((a == b).all())


def test_status_and_partial_results(tmp_path: Path) -> None:
    class Stop(Log):
        def end(self, piece: Piece, seconds: float) -> None:
            if piece.label == "fcp sgd":
                raise KeyboardInterrupt

    study = Study(parse_config(TINY), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        study.run(Stop())
    states = {f"{s.piece.kind} {s.piece.label}": s.state for s in Study.open(tmp_path).status()}
    assert states["ensemble fcp sgd"] == "done"
    assert states["paths straight fcp sgd train"] == "to do"
    results = Study.open(tmp_path).results()
    assert "paths straight fcp sgd train" in results.missing
    assert "tables all" in results.missing
    assert len(results.experiments) == 2
    assert run(tmp_path, TINY) == [
        "paths straight fcp lbfgs-gss train",
        "paths straight fcp sgd train",
        "claims all",
        "tables all",
    ]


def test_the_time_of_a_piece_is_that_of_all_processes_that_worked_on_it(tmp_path: Path) -> None:
    class Stop(Log):
        def update(self, piece: Piece, fraction: float, text: str) -> None:
            raise KeyboardInterrupt

    study = Study(parse_config(TINY), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        study.run(Stop(), checkpoint_seconds=0)
    (piece,) = (status.piece for status in study.status() if status.state == "in progress")
    assert piece.label == "fcp lbfgs-gss"
    assert 0 < study.store.spent(piece) < 500
    age_checkpoint(study, piece, 1000.0)
    run(tmp_path, TINY)
    assert 1000 < study.store.seconds(piece) < 1500
    assert study.store.spent(piece) == 0  # nothing is left of the checkpoint


def test_longer_runs_go_on_where_shorter_ones_ended(tmp_path: Path) -> None:
    class Counted(Log):
        def __init__(self) -> None:
            super().__init__()
            self.steps: dict[str, list[str]] = {}

        def update(self, piece: Piece, fraction: float, text: str) -> None:
            if piece.kind in {"ensemble", "holdout"}:
                self.steps.setdefault(f"{piece.kind} {piece.label}", []).append(text.split(",", maxsplit=1)[0])

    def study(folder: Path, iterations: int, epochs: int, keep: int) -> Counted:
        how = changed(keep=keep, optimizers={"lbfgs-gss": {"iterations": iterations}, "sgd": {"epochs": epochs}})
        log = Counted()
        Study(parse_config({**how, "holdout": {"part": {"fraction": 0.25, "replicas": 2}}}), folder).run(log)
        return log

    study(tmp_path / "a", 2, 2, 3)
    log = study(tmp_path / "a", 4, 3, 2)
    assert log.steps == {
        "ensemble fcp lbfgs-gss": ["iteration 3/4", "iteration 4/4"],
        "ensemble fcp sgd": ["epoch 3/3"],
        "holdout part fcp lbfgs-gss": ["iteration 3/4", "iteration 4/4"],
        "holdout part fcp sgd": ["epoch 3/3"],
    }
    # The same bits as a study of that length from the start, with the same numerics.
    (tmp_path / "b" / "store").mkdir(parents=True)
    numerics = StudyNumerics.load(tmp_path / "a")
    assert numerics is not None
    numerics.save(tmp_path / "b")
    study(tmp_path / "b", 4, 3, 2)
    assert stored(tmp_path / "a") == stored(tmp_path / "b")
    # A shorter run begins anew and leaves the end of the longer one; keeping more replicas trains nothing.
    assert study(tmp_path / "a", 1, 3, 3).steps["ensemble fcp lbfgs-gss"] == ["iteration 1/1"]
    assert study(tmp_path / "a", 4, 3, 1).steps == {}


def test_another_device_is_refused_before_anything_changes(tmp_path: Path) -> None:
    run(tmp_path, TINY)
    numerics = StudyNumerics.load(tmp_path)
    assert numerics is not None
    StudyNumerics("cuda", numerics.threads, numerics.networks).save(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(StorageError, match=r"expected device 'cuda', on which the study .* began, got 'cpu'"):
        run(tmp_path, TINY)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_suggested_workers_fill_the_cores_that_a_study_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(parse_config(TINY), tmp_path)
    for threads, workers in ((1, 1), (2, 2), (3, 3), (64, 4)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert study.suggested_workers() == workers
    StudyNumerics("cpu", 32, {"fcp": study.problems["fcp"].train.numerics}).save(tmp_path)
    assert study.suggested_workers() == 2  # of 32 threads each


def test_numerics_are_fixed_before_the_first_step_and_reused(tmp_path: Path) -> None:
    class Stop(Log):
        def begin(self, piece: Piece, number: int, total: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Study(parse_config(TINY), tmp_path).run(Stop())
    first = StudyNumerics.load(tmp_path)
    assert first is not None
    run(tmp_path, TINY)
    assert StudyNumerics.load(tmp_path) == first
    addresses = [s.piece.address for s in Study.open(tmp_path).status()]
    other = StudyNumerics("cpu", first.threads + 1, first.networks)
    other.save(tmp_path)
    assert not set(addresses) & {s.piece.address for s in Study.open(tmp_path).status()}


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    study = Study(parse_config(TINY), tmp_path)
    with study.store.locked(), pytest.raises(StorageError, match="another process"):
        Study(parse_config(TINY), tmp_path).run(Log())


def test_folders_with_something_else_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StorageError, match="choose another --out"):
        run(tmp_path, TINY)
    assert sorted(f.name for f in tmp_path.iterdir() if f.name != ".lock") == ["thesis.tex"]
    run(tmp_path / "a", TINY)
    with pytest.raises(ConfigurationError, match="with study 'tiny'"):
        run(tmp_path / "a", {**TINY, "name": "other"})


def test_plan_predicts_every_piece_and_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    pieces = plan(Study(parse_config(TINY), folder))
    assert [p.label for p in pieces][:2] == ["ensemble fcp lbfgs-gss", "ensemble fcp sgd"]
    assert all(p.seconds > 0 for p in pieces)
    assert all(p.memory > 0 for p in pieces if not p.label.startswith("tables"))
    assert not folder.exists()
    run(folder, TINY)
    files = [file for place in ("store", "ended") for file in (folder / place).glob("ensemble-*.safetensors")]
    kept = sum(file.stat().st_size for file in files)
    predicted = sum(p.disk for p in pieces if p.label.startswith("ensemble"))
    assert predicted == pytest.approx(kept, rel=0.2)
    assert all(p.done for p in plan(Study(parse_config(TINY), folder)))


def test_expected_seconds_of_processes_that_take_up_pieces_in_order() -> None:
    assert expected_seconds([3, 1, 1, 1], 1) == 6
    assert expected_seconds([3, 1, 1, 1], 2) == 3
    assert expected_seconds([1, 1, 1, 3], 2) == 4  # the long one comes last
    assert expected_seconds([2], 5) == 2


def test_results_are_read_without_the_data(tmp_path: Path) -> None:
    archive = tmp_path / "mine.npz"
    images, labels = np.random.default_rng(0).random((96, 28, 28), np.float32), np.arange(96) % 10
    np.savez(archive, x_train=images[:80], y_train=labels[:80], x_test=images[80:], y_test=labels[80:])
    config = {**TINY, "data": {"name": str(archive)}}
    folder = tmp_path / "s"
    run(folder, config)
    before = Study.open(folder).results()
    archive.unlink()
    after = Study.open(folder).results()
    assert after.missing == before.missing == ()
    assert after.provenance["data"] == before.provenance["data"]
    assert [status.state for status in Study.open(folder).status()] == ["done"] * len(Study.open(folder).status())
    # Another configuration is not that of the file.
    with pytest.raises(DataError, match=r"mine\.npz"):
        Study(parse_config({**config, "data": {"name": str(archive), "train_size": 70}}), folder).status()


def test_an_atlas_of_one_minimum_is_a_tree_of_one_leaf(tmp_path: Path) -> None:
    config = {**changed(replicas=1, optimizers={"sgd": {"epochs": 1}}), "atlas": {"all": {"method": "linear"}}}
    run(tmp_path, config)
    (atlas,) = Study.open(tmp_path).results().atlases
    ensemble = Study.open(tmp_path).results().experiments[0].ensemble
    assert atlas.tree.energies.tolist() == pytest.approx(ensemble.train.scores["train_loss"].tolist(), rel=1e-6)
    assert write(Study.open(tmp_path).results()).is_file()


def test_held_out_parts_are_tried_before_anything_is_written(tmp_path: Path) -> None:
    # Held out of 1 437 scans, of which no train_size is then to be taken.
    whole = {**TINY, "data": {"name": "digits"}}
    for fraction, error, told in (
        (1437, InputError, "expected"),
        (1.5, InputError, "expected"),
        (1420, ConfigurationError, "1 to 17 .*holdout 'h' leaves"),
    ):
        with pytest.raises(error, match=told):
            run(tmp_path / "s", {**whole, "holdout": {"h": {"fraction": fraction}}})
        assert not (tmp_path / "s").exists()
    assert "holdout h fcp sgd" in run(tmp_path / "s", {**TINY, "holdout": {"h": {"fraction": 16, "replicas": 1}}})
    (holdout, *_) = Study.open(tmp_path / "s").results().holdouts
    assert holdout.fraction == 16


def test_what_a_gpu_computed_is_read_without_one(tmp_path: Path) -> None:
    run(tmp_path, TINY)
    kept = StudyNumerics.load(tmp_path)
    assert kept is not None
    StudyNumerics("cuda", kept.threads, kept.networks).save(tmp_path)
    study = Study.open(tmp_path)
    assert study.results().provenance["device"] == "cuda"
    assert {status.state for status in study.status()} == {"to do"}  # addresses tell devices apart
    with pytest.raises(InputError, match="expected a CUDA device"):
        study.run(Log())


def test_a_checkpoint_left_beside_its_result_is_removed(tmp_path: Path) -> None:
    run(tmp_path, TINY)
    study = Study.open(tmp_path)
    piece = study.status()[0].piece
    save_tree(study.store.checkpoint(piece), {"x": torch.ones(1)})
    run(tmp_path, TINY)
    assert list((tmp_path / "work").iterdir()) == []


def test_status_reads_no_tensors(tmp_path: Path) -> None:
    run(tmp_path, TINY)
    for tensors in (tmp_path / "store").glob("*.safetensors"):
        tensors.unlink()
    status = Study.open(tmp_path).status()
    assert all(each.state == "done" and each.seconds is not None for each in status)
