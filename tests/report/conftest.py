"""Synthetic results of a study: plausible shapes and magnitudes, made from closed forms, no training."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest
import torch

from lossatlas.core.ensemble import Curves, Ensemble, Replica, WeightSet
from lossatlas.core.params import ParamSpec
from lossatlas.core.path import Path
from lossatlas.core.table import Column, Table
from lossatlas.report import write
from lossatlas.study.load import parse_config
from lossatlas.study.results import Experiment, Pair, StudyResults

REPLICAS = {"fcp": 6, "autoencoder": 6, "lstm": 6, "lenet": 3}
FLOORS = {
    ("fcp", "lbfgs-gss"): 1.2e-8,
    ("fcp", "sgd"): 6.2e-4,
    ("autoencoder", "lbfgs-gss"): 1.7e-2,
    ("autoencoder", "sgd"): 4.6e-2,
    ("lstm", "lbfgs-gss"): 1.6e-6,
    ("lstm", "sgd"): 1.4e-2,
    ("lenet", "lbfgs-gss"): 3.4e-8,
    ("lenet", "sgd"): 1.8e-5,
}
SPEC = ParamSpec(("weight",), ((4,),))


def _make_ensemble(network: str, optimizer: str, diverged: bool = False) -> Ensemble:
    """Curves that fall exponentially in training and turn up again in test."""
    count = REPLICAS[network]
    steps = torch.arange(201 if optimizer == "lbfgs-gss" else 61)
    generator = torch.Generator().manual_seed(len(network) * 100 + len(optimizer))
    s = steps.double() / steps[-1]
    floor = FLOORS[network, optimizer] * (1 + 0.3 * torch.rand(count, 1, generator=generator, dtype=torch.float64))
    start = 0.07 if network == "autoencoder" else 2.4
    train = start * (floor / start) ** s.pow(0.7) * (1 + 0.05 * torch.sin(60 * s))
    test = 0.1 * start + 0.4 * start * (1 - s).pow(8) + 0.1 * start * s.pow(2) + 0 * train
    test = test * (1 + 0.1 * torch.rand(count, 1, generator=generator, dtype=torch.float64))
    replicas = [Replica(i, "completed", "all steps taken", True, int(steps[-1]), 600.0, 200.0) for i in range(count)]
    if diverged:
        train[1, 20:] = float("nan")
        test[1, 20:] = float("nan")
        replicas[1] = Replica(1, "diverged", "the loss was NaN at step 20", False, 20, 60.0, 20.0)
    rows = [i for i, replica in enumerate(replicas) if replica.kept]

    def chosen(curve: torch.Tensor) -> WeightSet:
        best = curve[rows].argmin(dim=1)
        scores = {"train_loss": train[rows, best], "test_loss": test[rows, best]}
        if network != "autoencoder":
            scores |= {"train_accuracy": 1 - train[rows, best] / 10, "test_accuracy": 1 - test[rows, best] / 10}
        weights = torch.randn(len(rows), 4, generator=generator)
        return WeightSet(weights, steps[best], scores)

    values = {"train_loss": train, "test_loss": test}
    if network != "autoencoder":
        values["test_accuracy"] = 1 - test / 10
    unit = "iteration" if optimizer == "lbfgs-gss" else "epoch"
    return Ensemble(
        network,
        optimizer,
        SPEC,
        chosen(train),
        chosen(test),
        replicas=tuple(replicas),
        curves=Curves(steps, unit, values),
    )


def _make_path(low: float, hump: float) -> Path:
    """A straight line with a hump in the middle."""
    t = torch.linspace(0, 1, 25, dtype=torch.float64)
    loss = low + hump * torch.sin(torch.pi * t).pow(2)
    return Path("linear", t, loss, 10.0, 10.0, {"values": 25, "gradients": 0}, message="sampled")


def make_experiment(network: str, optimizer: str, diverged: bool = False) -> Experiment:
    """An ensemble with the straight lines between all of its pairs."""
    ensemble = _make_ensemble(network, optimizer, diverged)
    scale = (0.03 if network == "autoencoder" else 3.0) * (2.0 if optimizer == "lbfgs-gss" else 1.0)
    pairs: dict[str, tuple[Pair, ...]] = {}
    for name, weights in (("train", ensemble.train), ("test", ensemble.test)):
        assert weights is not None
        made = []
        for i in range(len(ensemble)):
            for j in range(i + 1, len(ensemble)):
                low = float(weights.scores["train_loss"][i])
                made.append(
                    Pair(i, j, _make_path(low, scale * (1 + 0.2 * np.cos(3 * i + 7 * j)) * (0.5 + (name == "train"))))
                )
        pairs[name] = tuple(made)
    return Experiment(network, optimizer, ensemble, pairs, seconds=12.5)


def make_tables(experiments: tuple[Experiment, ...]) -> dict[str, Table]:
    """Tables as a study stores them."""
    losses, barriers, replicas = [], [], []
    for e in experiments:
        test = e.ensemble.test
        assert test is not None
        has = "train_accuracy" in e.ensemble.train.scores
        losses.append(
            (
                e.network,
                e.optimizer,
                len(e.ensemble),
                float(e.ensemble.train.scores["train_loss"].mean()),
                float(e.ensemble.train.scores["train_loss"].std()),
                float(test.scores["test_loss"].mean()),
                float(test.scores["test_loss"].std()),
                float(e.ensemble.train.scores["train_accuracy"].mean()) if has else None,
                float(test.scores["test_accuracy"].mean()) if has else None,
            )
        )
        for name, pairs in e.pairs.items():
            values = [pair.path.barrier for pair in pairs]
            barriers.append(
                (e.network, e.optimizer, name, "linear", len(values), float(np.mean(values)), float(np.max(values)))
            )
        replicas.extend(
            (e.network, e.optimizer, r.index, r.status, r.kept, r.steps, r.values, r.gradients)
            for r in e.ensemble.replicas
        )
    text = (Column("network", "Network"), Column("optimizer", "Optimizer"))
    tables = (
        Table(
            "table1",
            "Losses and accuracies of the kept replicas",
            "Mean and standard deviation over replicas. Training: each run at its lowest training loss; "
            "test: the same run at its lowest test loss.",
            (
                *text,
                Column("replicas", "Replicas", "", "d"),
                Column("train_loss_mean", "Training loss", "", ".2e"),
                Column("train_loss_sd", "± s.d.", "", ".1e"),
                Column("test_loss_mean", "Test loss", "", ".2e"),
                Column("test_loss_sd", "± s.d.", "", ".1e"),
                Column("train_accuracy_mean", "Training accuracy", "", ".4f"),
                Column("test_accuracy_mean", "Test accuracy", "", ".4f"),
            ),
            tuple(losses),
        ),
        Table(
            "barriers",
            "Barriers on straight lines",
            "Rise of the training loss above the higher end.",
            (
                *text,
                Column("weight_set", "Weight set"),
                Column("method", "Path"),
                Column("pairs", "Pairs", "", "d"),
                Column("barrier_mean", "Mean barrier", "", ".3g"),
                Column("barrier_max", "Highest", "", ".3g"),
            ),
            tuple(barriers),
        ),
        Table(
            "replicas",
            "Every run",
            "What happened to each replica.",
            (
                *text,
                Column("replica", "Replica", "", "d"),
                Column("status", "Status"),
                Column("kept", "Kept"),
                Column("steps", "Steps", "", "d"),
                Column("values", "Losses evaluated", "", ".0f"),
                Column("gradients", "Gradients evaluated", "", ".0f"),
            ),
            tuple(replicas),
        ),
    )
    return {table.name: table for table in tables}


def make_configuration() -> dict[str, Any]:
    """What a study stores as its configuration."""
    optimizers = {"lbfgs-gss": {"iterations": 200}, "sgd": {"epochs": 60, "options": {"lr": 0.2}}}
    config = parse_config(
        {
            "name": "quickstart",
            "description": "text with </script> and <b>marks</b>",
            "networks": {name: {"replicas": count, "optimizers": optimizers} for name, count in REPLICAS.items()},
            "paths": {"straight": {"options": {"points": 25, "tolerance": 0}}},
        }
    )
    return tomllib.loads(config.to_toml())


def _make_results(folder: FilePath, combinations: list[tuple[str, str]] | None = None, **changes: Any) -> StudyResults:
    """A study of four networks and two optimizers, one run of which diverged."""
    wanted = list(FLOORS) if combinations is None else combinations
    experiments = tuple(make_experiment(n, o, diverged=(n, o) == ("lstm", "sgd")) for n, o in wanted)
    fields: dict[str, Any] = {
        "name": "quickstart",
        "folder": folder,
        "configuration": make_configuration(),
        "experiments": experiments,
        "tables": make_tables(experiments),
        "provenance": {
            "hardware": {"processor": "Example CPU", "cores": 2, "threads": 2, "memory_gib": 4.0, "accelerator": None},
            "packages": {"lossatlas": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
            "numerics": {n: {"strategy": "loop", "data_chunk": 512, "dtype": "float32"} for n in REPLICAS},
            "data": {"name": "digits", "train": 1437, "test": 360, "checksum": "ab" * 32, "source": "scikit-learn"},
            "seed": 0,
            "seconds": 214.0,
            "command": "lossatlas study run quickstart --out runs/quickstart",
        },
    }
    return StudyResults(**(fields | changes))


@pytest.fixture(scope="session")
def make_results() -> Callable[..., StudyResults]:
    """Make results: ``make_results(folder, combinations=None, **changed fields)``."""
    return _make_results


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> FilePath:
    """A folder with the report of the whole study."""
    return write(_make_results(tmp_path_factory.mktemp("study"))).parent


@pytest.fixture
def results(tmp_path: FilePath) -> StudyResults:
    return _make_results(tmp_path / "study")


@pytest.fixture
def ensemble() -> Ensemble:
    return _make_ensemble("fcp", "sgd")


@pytest.fixture
def path() -> Path:
    return _make_path(0.25, 2.0)
