"""Loss curves of an ensemble, with the chosen points marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lossatlas.core.ensemble import Curves, Ensemble, WeightSet
from lossatlas.report.figure import Axis, Panel
from lossatlas.report.marks import Line, Mark, Points
from lossatlas.report.palette import marker_of
from lossatlas.report.wording import optimizer_name

__all__ = ["DRAWN_STEPS", "curve_panel", "loss_unit", "positive", "thinned", "time_axis"]

# More points per curve than a screen has pixels across a panel only make the page heavy.
DRAWN_STEPS = 200


def loss_unit(ensemble: Ensemble) -> str:
    """Unit of the loss: what the settings say, else MSE for the autoencoder, else nat where there are accuracies."""
    stated = ensemble.settings.get("loss_unit")
    if stated:
        return str(stated)
    if ensemble.problem == "autoencoder":
        return "MSE"
    curves = ensemble.curves.values if ensemble.curves is not None else {}
    classifies = any("accuracy" in name for name in (*curves, *ensemble.train.scores))
    return "nat" if classifies and stated is None else ""


def time_axis(ensembles: Sequence[Ensemble]) -> Axis:
    """Training time in whatever the curves count, such as ``iterations or epochs``."""
    units = dict.fromkeys(f"{e.curves.unit}s" for e in ensembles if e.curves is not None)
    return Axis("Training time", " or ".join(units))


def positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn what a logarithmic axis cannot show into gaps."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def thinned(length: int) -> NDArray[np.int64]:
    """Positions of the steps that are drawn: all, or evenly spaced ones."""
    if length <= DRAWN_STEPS:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, DRAWN_STEPS).round().astype(np.int64))


def _label(ensemble: Ensemble, curves: Curves, several_units: bool) -> str:
    name = optimizer_name(ensemble.optimizer)
    return f"{name} ({curves.unit}s)" if several_units else name


def _chosen(
    ensemble: Ensemble, weights: WeightSet, curve: NDArray[np.float64], rows: Sequence[int]
) -> tuple[list[float], list[float], list[str]]:
    """Where the curve of each kept replica stood when its weights were taken."""
    assert ensemble.curves is not None
    position = {int(step): i for i, step in enumerate(ensemble.curves.steps.tolist())}
    x: list[float] = []
    y: list[float] = []
    names: list[str] = []
    for row, step in zip(rows, weights.steps.tolist(), strict=False):
        index = position.get(int(step))
        if index is not None and np.isfinite(curve[row, index]):
            x.append(step)
            y.append(float(curve[row, index]))
            names.append(_replica_name(ensemble, row))
    return x, y, names


def _replica_name(ensemble: Ensemble, row: int) -> str:
    index = ensemble.replicas[row].index if ensemble.replicas else row
    return f"replica {index}"


def _kept_rows(ensemble: Ensemble, total: int) -> list[int]:
    if not ensemble.replicas:
        return list(range(total))
    return [row for row, replica in enumerate(ensemble.replicas) if replica.kept]


def _marks(ensemble: Ensemble, curve_name: str, several_units: bool) -> tuple[list[Mark], list[Mark]]:
    """Lines and points of one optimizer."""
    curves = ensemble.curves
    if curves is None or curve_name not in curves.values:
        return [], []
    role = ensemble.optimizer
    values = positive(curves.values[curve_name].detach().cpu().double().numpy())
    steps = curves.steps.cpu().double().numpy()
    drawn = thinned(len(steps))
    rows = _kept_rows(ensemble, len(values))
    label = _label(ensemble, curves, several_units)
    lines: list[Mark] = [
        Line(steps[drawn], values[row, drawn], label, role, member=_replica_name(ensemble, row), faint=True)
        for row in rows
        if np.isfinite(values[row, drawn]).any()
    ]
    points: list[Mark] = []
    sets = [("lowest training loss", ensemble.train, marker_of(role))]
    if ensemble.test is not None:
        sets.append((f"lowest {ensemble.selected_on} loss", ensemble.test, "diamond"))
    for words, weights, marker in sets:
        x, y, names = _chosen(ensemble, weights, values, rows)
        if x:
            points.append(Points(x, y, f"{optimizer_name(role)}, {words}", role, marker, tuple(names)))
    return lines, points


def curve_panel(ensembles: Sequence[Ensemble], curve_name: str, title: str) -> Panel | None:
    """Draw one kind of curve of all kept replicas of one network.

    Args:
        ensembles: one per optimizer.
        curve_name: ``"train_loss"`` or ``"test_loss"``.
        title: heading of the panel.

    Returns:
        The panel, lines behind points; None where no such curve has been stored.
    """
    several_units = len({e.curves.unit for e in ensembles if e.curves is not None}) > 1
    marks = [_marks(ensemble, curve_name, several_units) for ensemble in ensembles]
    lines = [line for part, _ in marks for line in part]
    points = [point for _, part in marks for point in part]
    if not lines:
        return None
    names: Mapping[str, str] = {"train_loss": "Training loss", "test_loss": "Test loss"}
    label = names.get(curve_name, curve_name.replace("_", " ").capitalize())
    return Panel(title, time_axis(ensembles), Axis(label, loss_unit(ensembles[0]), "log"), (*lines, *points))
