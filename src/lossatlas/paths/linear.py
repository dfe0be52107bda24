"""Straight lines between two points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.path import Path
from lossatlas.landscape.contract import AffineRows, Landscape, SupportsMetrics, check_rows

__all__ = ["LinearPathFinder"]


@dataclass(frozen=True)
class LinearPathFinder:
    """The straight line w(t) = (1 - t) w_start + t w_end, sampled at equal steps.

    Nothing is optimized: the height is an upper bound on the lowest pass, and between two samples the loss may be
    higher than at either.

    Args:
        points: number of samples, both ends included.

    Raises:
        InputError: fewer than 2 points.

    Example:
        >>> from lossatlas.landscape import from_function
        >>> double_well = from_function(lambda x: (x[0] ** 2 - 1) ** 2, dim=1)
        >>> ends = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
        >>> LinearPathFinder(points=5).find(double_well, *ends).barrier
        1.0
    """

    points: int = 51

    def __post_init__(self) -> None:
        if self.points < 2:
            raise InputError(f"expected at least 2 points on a line, got {self.points}")

    def find(self, landscape: Landscape, start: Tensor, end: Tensor) -> Path:
        """Sample the line in float64.

        Args:
            landscape: where.
            start: ``(d,)``, t = 0.
            end: ``(d,)``, t = 1.

        Returns:
            The path, with the landscape's metrics along it.

        Raises:
            InputError: ends that are not points of the landscape.
        """
        for end_point in (start, end):
            check_rows(end_point, landscape)
            if end_point.ndim != 1:
                raise InputError(f"expected ends of shape ({landscape.dim},), got {tuple(end_point.shape)}")
        exact = landscape.to(dtype=torch.float64)
        ends = torch.stack([start, end]).to(torch.float64)
        t = torch.linspace(0, 1, self.points, dtype=torch.float64, device=ends.device)
        # Weights 0 and 1 leave the ends exact, which start + t (end - start) would not.
        rows = AffineRows(torch.zeros_like(ends[0]), torch.stack([1 - t, t], dim=1), ends)
        metrics: dict[str, Tensor] | None = None
        if isinstance(exact, SupportsMetrics):
            metrics = {name: values.cpu() for name, values in exact.metrics(rows).items()}
            loss = metrics.pop("loss")
        else:
            loss = exact.value(rows).cpu()
        distance = float(torch.linalg.vector_norm(ends[1] - ends[0]))
        return Path(
            method="linear",
            t=t.cpu(),
            loss=loss,
            length=distance,
            distance=distance,
            evaluations={"values": self.points, "gradients": 0},
            metrics=metrics or None,
            message=f"straight line, {self.points} samples; the height between samples is not known",
        )
