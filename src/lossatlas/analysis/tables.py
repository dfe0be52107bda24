"""The tables of a study, from its ensembles and paths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from lossatlas.analysis.scores import score_estimate
from lossatlas.analysis.uncertainty import mean_of_pairs
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.path import Path
from lossatlas.core.table import Column, Table

__all__ = ["PairPaths", "barrier_table", "loss_table", "replica_table"]

PairPaths = Sequence[tuple[int, int, Path]]
"""Paths with the positions of their ends in a weight set."""

Key = tuple[str, str]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mean_and_error(ensemble: Ensemble, weight_set: str, score: str) -> tuple[float | None, float | None]:
    estimate = score_estimate(ensemble, weight_set, score)
    return (None, None) if estimate is None else (_number(estimate.mean), _number(estimate.error))


def loss_table(ensembles: Mapping[Key, Ensemble]) -> Table:
    """Table 1 of the paper with accuracies and standard errors.

    Args:
        ensembles: by network and optimizer.
    """
    columns = (
        Column("network", "Network"),
        Column("optimizer", "Optimizer"),
        Column("parameters", "Parameters", "", ",d"),
        Column("runs", "Runs kept", "", "d"),
        Column("train_loss_mean", "Training loss", "", ".2e"),
        Column("train_loss_error", "± s.e.", "", ".0e"),
        Column("test_loss_mean", "Test loss, early-stopped", "", ".2e"),
        Column("test_loss_error", "± s.e.", "", ".0e"),
        Column("test_loss_at_train_minimum_mean", "Test loss at the training minimum", "", ".2e"),
        Column("train_accuracy_mean", "Training accuracy", "", ".1%"),
        Column("test_accuracy_mean", "Test accuracy, early-stopped", "", ".1%"),
        Column("test_accuracy_error", "± s.e.", "", ".2%"),
    )
    rows = []
    for (network, optimizer), ensemble in ensembles.items():
        train_loss = _mean_and_error(ensemble, "train", "train_loss")
        test_loss = _mean_and_error(ensemble, "test", "test_loss")
        test_accuracy = _mean_and_error(ensemble, "test", "test_accuracy")
        rows.append(
            (
                network,
                optimizer,
                ensemble.spec.dim,
                len(ensemble),
                *train_loss,
                *test_loss,
                _mean_and_error(ensemble, "train", "test_loss")[0],
                _mean_and_error(ensemble, "train", "train_accuracy")[0],
                *test_accuracy,
            )
        )
    return Table(
        "table1",
        "Losses and accuracies",
        "Mean and standard error over the kept runs, computed in float64. The training loss is taken where each run's "
        "training loss was lowest, the test loss and test accuracy where its test loss was lowest (early stopping).",
        columns,
        tuple(rows),
    )


def barrier_table(
    paths: Mapping[tuple[str, str, str, str], PairPaths],
    *,
    name: str = "barriers",
    title: str = "Paths between minima",
) -> Table:
    """Heights and barriers of the paths in each weight set, with jackknife intervals.

    Args:
        paths: by network, optimizer, weight set and stage.
        name: of the table.
        title: its heading.
    """
    columns = (
        Column("network", "Network"),
        Column("optimizer", "Optimizer"),
        Column("weight_set", "Weight set"),
        Column("stage", "Stage"),
        Column("method", "Path"),
        Column("minima", "Minima", "", "d"),
        Column("pairs", "Pairs", "", "d"),
        Column("height_mean", "Height", "", ".3g"),
        Column("height_error", "± s.e.", "", ".1g"),
        Column("barrier_mean", "Barrier", "", ".3g"),
        Column("barrier_error", "± s.e.", "", ".1g"),
        Column("barrier_low", "95 % from", "", ".3g"),
        Column("barrier_high", "to", "", ".3g"),
        Column("distance_mean", "Distance", "", ".3g"),
        Column("gradients_mean", "Gradients per path", "", ",.0f"),
        Column("converged", "Converged", "", "d"),
    )
    rows = []
    for (network, optimizer, weight_set, stage), found in paths.items():
        if not found:
            continue
        ends = [(first, second) for first, second, _ in found]
        height = mean_of_pairs([path.height for *_, path in found], ends)
        barrier = mean_of_pairs([path.barrier for *_, path in found], ends)
        distance = mean_of_pairs([path.distance for *_, path in found], ends)
        rows.append(
            (
                network,
                optimizer,
                weight_set,
                stage,
                found[0][2].method,
                height.units,
                len(found),
                _number(height.mean),
                _number(height.error),
                _number(barrier.mean),
                _number(barrier.error),
                _number(barrier.low),
                _number(barrier.high),
                _number(distance.mean),
                sum(path.evaluations.get("gradients", 0) for *_, path in found) / len(found),
                sum(path.converged for *_, path in found),
            )
        )
    return Table(
        name,
        title,
        "Height is the highest loss on the path, on the data of its stage, barrier its rise above the higher end; in "
        "float64, between the samples too, or at the samples alone where the stage has a tolerance of 0. Standard "
        "errors and intervals are from a jackknife over minima, since pairs share them.",
        columns,
        tuple(rows),
    )


def replica_table(ensembles: Iterable[tuple[Key, Ensemble]]) -> Table:
    """What happened to every replica.

    Args:
        ensembles: by network and optimizer.
    """
    columns = (
        Column("network", "Network"),
        Column("optimizer", "Optimizer"),
        Column("replica", "Replica", "", "d"),
        Column("kept", "Kept"),
        Column("status", "Status"),
        Column("steps", "Steps", "", "d"),
        Column("values", "Loss evaluations", "", ",.0f"),
        Column("gradients", "Gradient evaluations", "", ",.0f"),
        Column("reason", "Why it stopped"),
    )
    rows = tuple(
        (
            network,
            optimizer,
            replica.index,
            "yes" if replica.kept else "no",
            replica.status,
            replica.steps,
            replica.values,
            replica.gradients,
            replica.reason,
        )
        for (network, optimizer), ensemble in ensembles
        for replica in ensemble.replicas
    )
    return Table(
        "replicas",
        "Every run",
        "Evaluations are counted in passes over the training data; a mini-batch counts as the fraction it touches.",
        columns,
        rows,
    )
