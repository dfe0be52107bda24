"""Table of how sharp minima are."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from lossatlas.analysis.uncertainty import mean_of_runs
from lossatlas.core.table import Column, Table

__all__ = ["sharpness_table"]


def sharpness_table(found: Mapping[tuple[str, str, str, str], tuple[Tensor, Tensor, Tensor]]) -> Table:
    """Mean top eigenvalue and trace of the Hessian over the minima of each set.

    Args:
        found: by network, optimizer, weight set and scaling: top eigenvalues ``(n,)``, traces ``(n,)`` and whether
            both met their tolerances ``(n,)``.

    Example:
        >>> import torch
        >>> numbers = (torch.tensor([1.0, 3.0]), torch.tensor([10.0, 20.0]), torch.tensor([True, False]))
        >>> table = sharpness_table({("fcp", "sgd", "train", "none"): numbers})
        >>> table.column("top_mean"), table.column("trace_mean"), table.column("converged")
        ([2.0], [15.0], [1])
    """
    columns = (
        Column("network", "Network"),
        Column("optimizer", "Optimizer"),
        Column("weight_set", "Weight set"),
        Column("scaling", "Coordinates"),
        Column("minima", "Minima", "", "d"),
        Column("top_mean", "Largest eigenvalue", "", ".3g"),
        Column("top_error", "± s.e.", "", ".1g"),
        Column("trace_mean", "Trace", "", ".3g"),
        Column("trace_error", "± s.e.", "", ".1g"),
        Column("converged", "Converged", "", "d"),
    )
    rows = []
    for key, (top, trace, converged) in found.items():
        largest, total = mean_of_runs(top.tolist()), mean_of_runs(trace.tolist())
        numbers = (largest.mean, largest.error, total.mean, total.error)
        shown = tuple(number if math.isfinite(number) else None for number in numbers)
        rows.append((*key, len(top), *shown, int(converged.sum())))
    return Table(
        "sharpness",
        "Sharpness of the minima",
        "Largest eigenvalue and trace of the Hessian of the training loss, in float64, means over minima. Coordinates "
        "none: the weights as they are. Coordinates parameter: in units of the weights' own sizes, which rescaling the "
        "layers of a ReLU network does not change.",
        columns,
        tuple(rows),
    )
