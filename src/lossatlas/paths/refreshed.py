"""Networks with normalisation layers: scores with given statistics, and with statistics recomputed on the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from lossatlas.core.curve import Curve
from lossatlas.core.errors import InputError
from lossatlas.core.path import Path
from lossatlas.landscape.contract import Landscape, SupportsMetrics, SupportsRefresh, accept_rows
from lossatlas.landscape.network import NetworkLandscape

__all__ = ["Buffers", "Score", "keeps_statistics", "refreshed_line", "refreshed_score", "score"]

Buffers: TypeAlias = Mapping[str, Tensor]
"""Normalisation statistics by name, as :meth:`NetworkLandscape.refresh` returns them for one row."""


@dataclass(frozen=True)
class Score:
    """How good one network is.

    Args:
        loss: its loss, in float64.
        metrics: other figures of merit, such as ``{"accuracy": 0.98}``.
    """

    loss: float
    metrics: dict[str, float]


def score(landscape: Landscape, row: Tensor, buffers: Buffers) -> Score:
    """Loss and metrics at one row ``(d,)`` with given normalisation statistics; empty: those of the landscape."""
    if buffers and isinstance(landscape, NetworkLandscape):
        landscape = landscape.with_buffers(
            {name: x.double() if x.is_floating_point() else x for name, x in buffers.items()}
        )
    if isinstance(landscape, SupportsMetrics):
        found = {name: float(value) for name, value in landscape.metrics(row).items()}
        return Score(found.pop("loss"), found)
    return Score(float(landscape.value(row)), {})


def refreshed_score(landscape: Landscape, row: Tensor) -> Score:
    """Loss and metrics at one row ``(d,)`` with normalisation statistics recomputed on the data."""
    return score(landscape, row, landscape.refresh(row) if isinstance(landscape, SupportsRefresh) else {})


def keeps_statistics(landscape: Landscape, row: Tensor) -> bool:
    """Whether the model keeps normalisation statistics."""
    return isinstance(landscape, SupportsRefresh) and bool(landscape.refresh(row))


def refreshed_line(landscape: Landscape, a: Tensor, b: Tensor, points: int = 21) -> Path | None:
    """Loss along a straight line when normalisation statistics are recomputed at each of its points.

    Args:
        landscape: where.
        a: ``(d,)``, t = 0.
        b: ``(d,)``, t = 1.
        points: of the line.

    Returns:
        The line as a path of method ``"linear, statistics refreshed"``; None where the model keeps no statistics.

    Raises:
        InputError: not two points of the landscape, or fewer than 2 points on the line.
    """
    a, b = accept_rows(a, landscape), accept_rows(b, landscape)
    if points < 2:
        raise InputError(f"expected at least 2 points on a path, got {points}")
    exact = landscape.to(dtype=torch.float64)
    if not keeps_statistics(exact, a.double()):
        return None
    curve = Curve.straight(a.double(), b.double())
    t = torch.linspace(0, 1, points, dtype=torch.float64)
    scores = [refreshed_score(exact, row) for row in curve.at(t)]
    metrics = {name: torch.tensor([each.metrics[name] for each in scores]).double() for name in scores[0].metrics}
    arc = curve.arc_length(t).cpu()
    loss = torch.tensor([each.loss for each in scores], dtype=torch.float64)
    finite = bool(loss.isfinite().all())
    return Path(
        method="linear, statistics refreshed",
        t=t,
        loss=loss,
        length=float(arc[-1]),
        distance=curve.distance,
        evaluations={"values": 2 * points, "gradients": 0},
        metrics=metrics or None,
        message="straight line, normalisation statistics recomputed at each point",
        status="not optimized" if finite else "not finite",
        arc=arc,
    )
