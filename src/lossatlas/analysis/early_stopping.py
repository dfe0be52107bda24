"""Early stopping on the test set: how much better it looks than it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossatlas.analysis.uncertainty import mean_of_runs
from lossatlas.core.ensemble import Curves
from lossatlas.core.errors import InputError
from lossatlas.core.table import Cell, Column, Table

__all__ = ["Stopping", "early_stopping_table", "stopping"]


@dataclass(frozen=True)
class Stopping:
    """Where each run would be stopped, and its test loss there; made by :func:`stopping`.

    Args:
        replicas: ``(R,)``, rows of the curves that have both losses.
        validated_step: ``(R,)``, where the validation loss is lowest, in the unit of the curves.
        validated_loss: ``(R,)``, test loss there.
        lowest_step: ``(R,)``, where the test loss is lowest.
        lowest_loss: ``(R,)``, the lowest test loss.
        unfinished: how many runs had their lowest validation loss at their last record.
        unit: of the steps.
    """

    replicas: tuple[int, ...]
    validated_step: tuple[int, ...]
    validated_loss: tuple[float, ...]
    lowest_step: tuple[int, ...]
    lowest_loss: tuple[float, ...]
    unfinished: int
    unit: str

    @property
    def optimism(self) -> tuple[float, ...]:
        """Test loss at the lowest validation loss minus the lowest test loss, run by run; never negative."""
        return tuple(a - b for a, b in zip(self.validated_loss, self.lowest_loss, strict=True))


def stopping(curves: Curves) -> Stopping:
    """Find where each run stops early by held-out examples, and where by the test data.

    o_r = L_test(argmin_t L_validation(t)) − min_t L_test(t) ≥ 0: the first chooses and scores on different data, the
    second, as the paper does, on the same.

    Args:
        curves: with ``"validation_loss"`` and ``"test_loss"``, ``(R, T)``. Steps where either is not finite are left
            out; a run that has none is not in the result.

    Raises:
        InputError: one of the two curves is missing.

    Example:
        >>> import torch
        >>> losses = {"validation_loss": torch.tensor([[3.0, 1.0, 2.0]]), "test_loss": torch.tensor([[3.0, 2.5, 2.0]])}
        >>> found = stopping(Curves(torch.tensor([0, 10, 20]), "iteration", losses))
        >>> found.validated_step, found.lowest_step, found.optimism
        ((10,), (20,), (0.5,))
    """
    missing = {"validation_loss", "test_loss"} - set(curves.values)
    if missing:
        raise InputError(
            f"expected curves with 'validation_loss' and 'test_loss', got {sorted(curves.values)}: "
            "train with a part of the training examples held out"
        )
    steps = curves.steps.cpu().numpy()
    validation, test = (_array(curves, name) for name in ("validation_loss", "test_loss"))
    usable = np.isfinite(validation) & np.isfinite(test)
    rows = np.flatnonzero(usable.any(axis=1))
    chosen = np.where(usable, validation, np.inf)[rows].argmin(axis=1)
    lowest = np.where(usable, test, np.inf)[rows].argmin(axis=1)
    last = usable.shape[1] - 1 - usable[rows, ::-1].argmax(axis=1)
    return Stopping(
        tuple(rows.tolist()),
        tuple(steps[chosen].tolist()),
        tuple(test[rows, chosen].tolist()),
        tuple(steps[lowest].tolist()),
        tuple(test[rows, lowest].tolist()),
        int((chosen == last).sum()),
        curves.unit,
    )


def early_stopping_table(holdouts: Mapping[tuple[str, str, str], tuple[float, Curves]]) -> Table:
    """Optimism of early stopping on the test set.

    Args:
        holdouts: fraction (or number) of training examples held out and curves, by stage, network and optimizer.

    Raises:
        InputError: curves without validation or test losses.
    """
    columns = (
        Column("stage", "Stage"),
        Column("network", "Network"),
        Column("optimizer", "Optimizer"),
        Column("held_out", "Held out", "", "g"),
        Column("runs", "Runs", "", "d"),
        Column("validated_mean", "Test loss, stopped by held-out examples", "", ".4g"),
        Column("validated_error", "± s.e.", "", ".1g"),
        Column("lowest_mean", "Test loss, stopped by test loss", "", ".4g"),
        Column("lowest_error", "± s.e.", "", ".1g"),
        Column("optimism_mean", "Optimism", "", ".3g"),
        Column("optimism_low", "95 % from", "", ".3g"),
        Column("optimism_high", "to", "", ".3g"),
        Column("relative", "of the lowest test loss", "", ".1%"),
        Column("validated_step", "Stopped at, by held-out examples", "", ".0f"),
        Column("lowest_step", "by test loss", "", ".0f"),
        Column("unit", "Counted in"),
        Column("unfinished", "Runs never stopped", "", "d"),
    )
    rows = []
    for key, (held_out, curves) in holdouts.items():
        found = stopping(curves)
        if found.replicas:
            rows.append((*key, held_out, *_row(found)))
    return Table(
        "early_stopping",
        "Optimism of early stopping on the test set",
        "Runs with some training examples held out. Optimism is the test loss where the loss on the held-out examples "
        "was lowest, minus the lowest test loss of the same run: what is gained by choosing and scoring on the same "
        "data. It cannot be negative, so an interval above zero is no finding by itself; its size is. Intervals are "
        "95 %, over runs. A run is never stopped where its held-out loss was lowest at its last record.",
        columns,
        tuple(rows),
    )


def _row(found: Stopping) -> tuple[Cell, ...]:
    validated, lowest, optimism = (
        mean_of_runs(values) for values in (found.validated_loss, found.lowest_loss, found.optimism)
    )
    return (
        len(found.replicas),
        validated.mean,
        _finite(validated.error),
        lowest.mean,
        _finite(lowest.error),
        optimism.mean,
        _finite(optimism.low),
        _finite(optimism.high),
        optimism.mean / lowest.mean if lowest.mean > 0 else None,
        float(np.mean(found.validated_step)),
        float(np.mean(found.lowest_step)),
        f"{found.unit}s",
        found.unfinished,
    )


def _array(curves: Curves, name: str) -> NDArray[np.float64]:
    array: NDArray[np.float64] = curves.values[name].detach().cpu().double().numpy()
    return array


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
