"""The Müller-Brown surface, the standard test of every method that looks for passes."""

from __future__ import annotations

import torch

from lossatlas.landscape.analytic.critical import CriticalPoint
from lossatlas.landscape.analytic.energy import Device
from lossatlas.landscape.analytic.exponentials import ExponentialSum

__all__ = ["MullerBrown"]


class MullerBrown(ExponentialSum):
    """Three minima in a bent valley: A (upper left), C (middle), B (right).

    E(x, y) = Σ_k A_k exp(a_k (x−x_k)² + b_k (x−x_k)(y−y_k) + c_k (y−y_k)²), with A = (−200, −100, −170, 15),
    a = (−1, −1, −6.5, .7), b = (0, 0, 11, .6), c = (−10, −10, −6.5, .7), x = (1, 0, −.5, −1), y = (0, .5, 1.5, 1).

    The pass from A to B, and from A to C, is −40.664843508657; that from C to B −72.248940112325. The straight line
    from A to B rises to 12.676228. Far from the origin the last term overflows, as the formula does.

    Args:
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Reference:
        Müller & Brown 1979, *Location of saddle points and minimum energy paths by a constrained simplex optimization
        procedure*, Theoretica Chimica Acta 53, 75.

    Example:
        >>> surface = MullerBrown()
        >>> [(minimum.name, round(minimum.value, 3)) for minimum in surface.minima]
        [('A', -146.7), ('B', -108.167), ('C', -80.768)]
    """

    def __init__(self, *, dtype: torch.dtype = torch.float64, device: Device = None) -> None:
        super().__init__(
            [
                (-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
                (-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
                (-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
                (15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
            ],
            name="muller-brown",
            dtype=dtype,
            device=device,
        )

        def point(x: float, y: float, value: float, index: int, name: str) -> CriticalPoint:
            return CriticalPoint(torch.tensor([x, y], dtype=torch.float64), value, index, name)

        a = point(-0.55822363463302428, 1.4417258418046687, -146.69951720995401, 0, "A")
        b = point(0.62349940493087651, 0.028037758528685666, -108.1667241168523550, 0, "B")
        self._know(
            [
                a,
                b,
                point(-0.050010822998206058, 0.46669410487197209, -80.767818129659028, 0, "C"),
                point(-0.82200155873273210, 0.62431280281487136, -40.664843508657404, 1, "A-C"),
                point(0.21248658200066201, 0.29298832510736777, -72.248940112325212, 1, "C-B"),
            ],
            [("A", "B", "A-C"), ("A", "C", "A-C"), ("C", "B", "C-B")],
            ends=(a.x, b.x),
            bounds=((-1.5, 1.2), (-0.3, 2.1)),
        )
