"""The two-well toy landscape on which the paper shows its path finder."""

from __future__ import annotations

import torch

from lossatlas.landscape.analytic.critical import CriticalPoint
from lossatlas.landscape.analytic.energy import Device
from lossatlas.landscape.analytic.exponentials import ExponentialSum

__all__ = ["PaperToy"]


class PaperToy(ExponentialSum):
    """Two wells behind two bumps, with three ways round.

    E(x, y) = 1.0190055296306975 − exp(−3((x−.5)² + y²)) − exp(−3((x+.5)² + (y+.5)²))
    + exp(−15((x+.2)² + (y+.4)²)) + exp(−15(x² + (y−.3)²)).

    The energy is slightly negative in the right well. :attr:`ends` are the paper's end points, which lie in the two
    wells but are not their minima. The straight line between them rises to 1.102346, the pass to 0.624393347187.

    Args:
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Reference:
        Yu & Morozov 2026, *Neural network optimization strategies and the topography of the loss landscape*,
        arXiv 2602.21276, Fig. 3.

    Example:
        >>> toy = PaperToy()
        >>> round(toy.passes[0].value, 9)
        0.624393347
    """

    def __init__(self, *, dtype: torch.dtype = torch.float64, device: Device = None) -> None:
        super().__init__(
            [
                (-1.0, -3.0, 0.0, -3.0, 0.5, 0.0),
                (-1.0, -3.0, 0.0, -3.0, -0.5, -0.5),
                (1.0, -15.0, 0.0, -15.0, -0.2, -0.4),
                (1.0, -15.0, 0.0, -15.0, 0.0, 0.3),
            ],
            offset=1.0190055296306975,
            name="paper-toy",
            dtype=dtype,
            device=device,
        )

        def point(x: float, y: float, value: float, index: int, name: str) -> CriticalPoint:
            return CriticalPoint(torch.tensor([x, y], dtype=torch.float64), value, index, name)

        self._know(
            [
                point(0.48810021800732815, -0.02225546063184096, -3.0904230562694691e-5, 0, "right"),
                point(-0.61380161251514842, -0.53541552505432526, 0.10870716788641514, 0, "left"),
                point(-0.16472654854043778, -0.069917182061878212, 0.62439334718699379, 1, "between the bumps"),
                point(0.052889530253715072, -0.68815820777136387, 0.63725723765600842, 1, "below"),
                point(-0.29270959985943767, 0.74362393016416919, 0.99606719567944829, 1, "above"),
            ],
            [("left", "right", "between the bumps")],
            ends=(torch.tensor([-0.62, -0.54], dtype=torch.float64), torch.tensor([0.49, -0.02], dtype=torch.float64)),
            bounds=((-1.2, 1.2), (-1.2, 1.2)),
        )
