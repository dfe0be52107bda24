"""Training: resume to the bit, interruption, divergence, selection, and rows that do not see each other."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossatlas import optimize, problems
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.errors import ConfigurationError, DivergenceError, InputError, StorageError
from lossatlas.core.files import bit_equal
from lossatlas.core.randomness import generator
from lossatlas.landscape import Numerics
from lossatlas.problems import Problem
from lossatlas.training import MiniBatches, TrainingProgress, train

PLAIN = Numerics()
RUNS: dict[str, dict[str, Any]] = {
    "lbfgs-gss": {"iterations": 12},
    "sgd": {"epochs": 6, "batch_size": 16, "options": {"lr": 0.1, "momentum": 0.9}},
    "adam": {"epochs": 6, "batch_size": 16, "options": {"lr": 0.01}},
}


def digits(**options: Any) -> Problem:
    return problems.get("fcp", train_size=80, test_size=40, numerics=PLAIN, **options)


class _Killed(BaseException):
    """Stands for a kill: nothing after it runs."""


@pytest.mark.parametrize("optimizer", RUNS)
@pytest.mark.parametrize("stop", [1, 4])
def test_an_interrupted_run_continues_with_the_same_bits(optimizer: str, stop: int, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    store: dict[str, Any] = {"checkpoint": file, "checkpoint_seconds": 0}
    straight = train(digits(), optimizer, replicas=3, seed=1, **RUNS[optimizer])

    def kill(progress: TrainingProgress) -> None:
        if progress.done == stop:
            raise _Killed

    with pytest.raises(_Killed):
        train(digits(), optimizer, replicas=3, seed=1, **store, progress=kill, **RUNS[optimizer])
    continued = train(digits(), optimizer, replicas=3, seed=1, checkpoint=file, checkpoint_seconds=0, **RUNS[optimizer])
    assert bit_equal(continued.to_tree(), straight.to_tree())


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs a C++ compiler")
def test_a_compiled_run_gives_the_same_numbers_and_continues_with_the_same_bits(tmp_path: Path) -> None:
    store: dict[str, Any] = {"checkpoint": tmp_path / "run.json", "checkpoint_seconds": 0}
    plain = train(digits(), "sgd", replicas=3, seed=1, **RUNS["sgd"])
    compiled = train(digits(), "sgd", replicas=3, seed=1, compiled=True, **RUNS["sgd"])
    assert compiled.settings["numerics"]["compiled"] == [3, 16]
    torch.testing.assert_close(compiled.train.weights, plain.train.weights, rtol=0, atol=1e-5)
    assert not torch.equal(compiled.train.weights, plain.train.weights)  # it did run otherwise

    def kill(progress: TrainingProgress) -> None:
        if progress.done == 2:
            raise _Killed

    with pytest.raises(_Killed):
        train(digits(), "sgd", replicas=3, seed=1, compiled=True, progress=kill, **store, **RUNS["sgd"])
    with pytest.raises(StorageError, match="other settings"):
        train(digits(), "sgd", replicas=3, seed=1, **store, **RUNS["sgd"])
    continued = train(digits(), "sgd", replicas=3, seed=1, compiled=True, **store, **RUNS["sgd"])
    assert bit_equal(continued.to_tree(), compiled.to_tree())


def test_a_full_batch_optimizer_is_not_compiled() -> None:
    with pytest.raises(InputError, match="expected compiled=True with a mini-batch optimizer"):
        train(digits(), "lbfgs-gss", replicas=2, iterations=1, compiled=True)


def test_a_run_killed_inside_an_epoch_continues_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "run.json"
    straight = train(digits(), "sgd", replicas=2, **RUNS["sgd"])
    real, calls = optimize.SGD.step, []

    def step(self: Any, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 13:  # 5 batches an epoch: in the middle of the third
            raise _Killed
        return real(self, *arguments)

    monkeypatch.setattr(optimize.SGD, "step", step)
    with pytest.raises(_Killed):
        train(digits(), "sgd", replicas=2, checkpoint=file, checkpoint_seconds=0, **RUNS["sgd"])
    monkeypatch.setattr(optimize.SGD, "step", real)
    continued = train(digits(), "sgd", replicas=2, checkpoint=file, **RUNS["sgd"])
    assert bit_equal(continued.to_tree(), straight.to_tree())


@pytest.mark.parametrize("optimizer", ["lbfgs-gss", "sgd"])
def test_ctrl_c_keeps_what_there_is(optimizer: str, tmp_path: Path) -> None:
    file = tmp_path / "run.json"

    def interrupt(progress: TrainingProgress) -> None:
        if progress.done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    partial = train(digits(), optimizer, replicas=2, checkpoint=file, progress=interrupt, **RUNS[optimizer])
    assert {r.status for r in partial.replicas} == {"interrupted"}
    assert partial.curves is not None
    assert int(partial.curves.steps[-1]) == 3
    assert bool(torch.isfinite(partial.train.weights).all())
    whole = train(digits(), optimizer, replicas=2, checkpoint=file, **RUNS[optimizer])
    assert bit_equal(whole.to_tree(), train(digits(), optimizer, replicas=2, **RUNS[optimizer]).to_tree())
    with pytest.raises(KeyboardInterrupt):
        train(digits(), optimizer, replicas=2, on_interrupt="raise", progress=interrupt, **RUNS[optimizer])


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    train(digits(), "lbfgs-gss", replicas=2, iterations=3, checkpoint=file, checkpoint_seconds=0)
    with pytest.raises(StorageError, match="other settings"):
        train(digits(), "lbfgs-gss", replicas=3, iterations=3, checkpoint=file)
    with pytest.raises(StorageError, match=r"at most 2 iterations .* further: ask for 3 or more"):
        train(digits(), "lbfgs-gss", replicas=2, iterations=2, checkpoint=file)


@pytest.mark.parametrize("optimizer", RUNS)
def test_a_longer_run_goes_on_where_a_shorter_one_ended(optimizer: str, tmp_path: Path) -> None:
    unit = "epochs" if "epochs" in RUNS[optimizer] else "iterations"
    how: dict[str, Any] = {**RUNS[optimizer], "replicas": 2, "record_every": 2}
    file, seen = tmp_path / "run.json", []
    whole = train(digits(), optimizer, **{**how, unit: 6})
    # It ends between two points of the curve: what is measured there is no part of the longer run.
    short = train(digits(), optimizer, checkpoint=file, **{**how, unit: 3})
    assert bit_equal(short.to_tree(), train(digits(), optimizer, **{**how, unit: 3}).to_tree())
    assert short.curves is not None
    assert int(short.curves.steps[-1]) == 3
    longer = train(digits(), optimizer, checkpoint=file, progress=lambda p: seen.append(p.done), **{**how, unit: 6})
    assert seen == [4, 5, 6]
    assert bit_equal(longer.to_tree(), whole.to_tree())
    again = train(digits(), optimizer, checkpoint=file, progress=lambda p: seen.append(p.done), **{**how, unit: 6})
    assert seen == [4, 5, 6]
    assert bit_equal(again.to_tree(), whole.to_tree())


@pytest.mark.parametrize("optimizer", RUNS)
def test_replicas_do_not_see_each_other(optimizer: str) -> None:
    three = train(digits(dtype=torch.float64), optimizer, replicas=3, **RUNS[optimizer])
    one = train(digits(dtype=torch.float64), optimizer, replicas=1, **RUNS[optimizer])
    assert torch.equal(three.train.weights[0], one.train.weights[0])


def test_minima_are_those_of_the_curves_and_scores_are_float64() -> None:
    ensemble = train(digits(), "lbfgs-gss", replicas=3, keep=2, iterations=15)
    curves = ensemble.curves
    assert curves is not None
    kept = [r.index for r in ensemble.kept]
    best = curves.values["train_loss"].min(dim=1).values
    assert sorted(best.argsort()[:2].tolist()) == kept
    for row, index in enumerate(kept):
        for weights, name in ((ensemble.train, "train_loss"), (ensemble.test, "test_loss")):
            assert weights is not None
            step = int(weights.steps[row])
            assert float(curves.values[name][index].min()) == float(curves.values[name][index, step])
            score = weights.scores[name]
            assert score.dtype == torch.float64
            assert float(score[row]) == pytest.approx(float(curves.values[name][index, step]), rel=1e-4)
    exact = digits(dtype=torch.float64)
    assert torch.allclose(
        exact.train.value(ensemble.train.weights.double()), ensemble.train.scores["train_loss"], rtol=1e-12
    )
    assert ensemble.initial is not None
    assert torch.equal(ensemble.initial, digits().initial_weights(0, kept))


def test_validation_selects_instead_of_test() -> None:
    problem = problems.get("fcp", train_size=80, test_size=40, validation=0.25, numerics=PLAIN)
    ensemble = train(problem, "lbfgs-gss", replicas=2, iterations=10, select="validation")
    assert ensemble.selected_on == "validation"
    assert ensemble.curves is not None
    assert ensemble.test is not None
    curve = ensemble.curves.values["validation_loss"]
    assert ensemble.test.steps.tolist() == curve.argmin(dim=1).tolist()
    with pytest.raises(InputError, match="validation data"):
        train(digits(), "lbfgs-gss", replicas=2, iterations=2, select="validation")


def test_record_every_keeps_the_last_point() -> None:
    ensemble = train(digits(), "lbfgs-gss", replicas=2, iterations=7, record_every=3)
    assert ensemble.curves is not None
    assert ensemble.curves.steps.tolist() == [0, 3, 6, 7]


class Fused(nn.Module):
    """A classifier with a fuse that burns down by the learning rate at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)
        self.fuse = nn.Parameter(2 * torch.randn(()))


def _explosive(limit: float) -> Problem:
    """The loss becomes NaN when a replica's fuse is below ``-limit``."""
    g = generator("explosive")
    data = (torch.randn(32, 4, generator=g), torch.randint(0, 2, (32,), generator=g))

    def forward(model: Any, batch: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor, Tensor], Tensor]:
        return (model.fc(batch[0]), model.fuse), batch[1]

    def loss(output: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        logits, fuse = output
        return F.cross_entropy(logits, target) + fuse + torch.where(fuse < -limit, torch.nan, 0.0)

    return Problem("explosive", Fused, loss, train=data, test=data, forward=forward, numerics=PLAIN)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_diverged_replicas_are_named_and_left_out(optimizer: str) -> None:
    problem = _explosive(limit=3.0)
    run: dict[str, Any] = {"epochs": 12, "batch_size": 8, "options": {"lr": 0.05}}
    fuse = problem.spec.unflatten(problem.initial_weights(0, range(8)))["fuse"]
    # Both methods move the fuse by lr per step: its gradient is 1.
    expected = (fuse - 0.05 * 4 * 12 < -3.0).nonzero().flatten().tolist()
    assert 0 < len(expected) < 8
    ensemble = train(problem, optimizer, replicas=8, **run)
    assert [r.index for r in ensemble.diverged] == expected
    assert all(not ensemble.replicas[i].kept and "no longer finite" in ensemble.replicas[i].reason for i in expected)
    assert len(ensemble) == 8 - len(expected)
    assert bool(torch.isfinite(ensemble.train.weights).all())
    assert bool(torch.isfinite(ensemble.train.scores["train_loss"]).all())
    healthy = train(_explosive(limit=1e9), optimizer, replicas=8, **run)
    assert torch.equal(ensemble.train.weights, healthy.train.weights[[r.index for r in ensemble.kept]])


def test_nothing_finite_is_an_error_and_not_an_ensemble() -> None:
    with pytest.raises(DivergenceError, match="finite loss at the initial weights"):
        train(_explosive(limit=-100.0), "sgd", replicas=2, epochs=2, batch_size=8)
    with pytest.raises(DivergenceError, match="finite loss at the initial weights"):
        train(_explosive(limit=-100.0), "lbfgs-gss", replicas=2, iterations=2)
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        train(_explosive(limit=20.0), "sgd", replicas=2, epochs=4, batch_size=8, options={"lr": 50.0})


def test_a_method_of_the_users_own() -> None:
    ensemble = train(digits(), optimize.SGD(lr=0.1), replicas=2, epochs=1, batch_size=40)
    assert ensemble.optimizer == "sgd"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"replicas": 0}, InputError, "at least one replica"),
        ({"replicas": 2, "keep": 3}, InputError, "between 1 and 2"),
        ({"record_every": 0}, InputError, "record_every"),
        ({"epochs": 3}, InputError, "iterations=... for a full-batch"),
        ({"iterations": 0}, InputError, "at least one iteration"),
        ({"optimizer": "sgd", "iterations": 3}, InputError, "epochs=... for a mini-batch"),
        ({"optimizer": "sgd", "epochs": 1, "batch_size": 81}, InputError, "from 1 to 80"),
        ({"optimizer": "lbfgs"}, ConfigurationError, "did you mean 'lbfgs-gss'"),
        ({"options": {"histroy": 3}}, ConfigurationError, "did you mean 'history'"),
        ({"select": "training"}, InputError, "'test' or 'validation'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        train(digits(), **arguments)


def test_mini_batches_are_epochs_without_replacement() -> None:
    batches = MiniBatches(samples=23, size=5, seed=3, replicas=[0, 4])
    for epoch in range(2):
        seen = torch.cat([batches.of(epoch, k) for k in range(batches.per_epoch)], dim=1)
        assert seen.shape == (2, 23)
        for row in seen:
            assert sorted(row.tolist()) == list(range(23))
    assert not torch.equal(batches.of(0, 0)[0], batches.of(0, 0)[1])
    alone = MiniBatches(samples=23, size=5, seed=3, replicas=[4])
    assert torch.equal(alone.of(1, 2)[0], batches.of(1, 2)[1])


def test_an_ensemble_survives_disk(tmp_path: Path) -> None:
    ensemble = train(digits(), "sgd", replicas=2, epochs=2)
    ensemble.save(tmp_path / "ensemble")
    assert bit_equal(Ensemble.load(tmp_path / "ensemble").to_tree(), ensemble.to_tree())


@pytest.mark.slow
def test_lbfgs_never_rises_and_reaches_1e_6_on_digits() -> None:
    """Five seeds on 1 437 images in float64: below 1e-6 within 300 gradients, the loss never rising."""
    losses = []
    problem = problems.get("fcp", dtype=torch.float64, numerics=Numerics(full="fused"))

    def far_enough(progress: TrainingProgress) -> None:
        # The rest of the 300 would only repeat what is shown: stop as a user would.
        if progress.loss < 1e-7:
            os.kill(os.getpid(), signal.SIGINT)

    for seed in range(5):
        ensemble = train(problem, "lbfgs-gss", replicas=1, seed=seed, iterations=299, progress=far_enough)
        assert ensemble.curves is not None
        losses.append(ensemble.curves.values["train_loss"][0])
        assert ensemble.replicas[0].gradients <= 300
        assert float(ensemble.train.scores["train_loss"][0]) < 1e-6
    assert all(float(curve.diff().max()) <= 0 for curve in losses)


def test_batch_normalisation_is_not_trained_with_the_statistics_of_a_new_network() -> None:
    data = (torch.randn(8, 3), torch.arange(8) % 2)

    def make(**options: object) -> Problem:
        layers = (nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        return Problem("bn", lambda: nn.Sequential(*layers), F.cross_entropy, train=data, test=data, **options)  # type: ignore[arg-type]

    with pytest.raises(
        InputError, match="mode 'batch-statistics' to train batch normalisation, got 'bn' in mode 'eval'"
    ):
        train(make(mode="eval"), "sgd", replicas=1, epochs=1)
    trained = train(make(mode="batch-statistics"), "sgd", replicas=1, epochs=1, batch_size=4)
    assert len(trained) == 1
