"""Rosenbrock's curved valley in any dimension."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.landscape.analytic.critical import CriticalPoint
from lossatlas.landscape.analytic.energy import Device, Energy, check_count

__all__ = ["Rosenbrock"]

# dimension: (second minimum, its value, saddle, its value), refined with 40 digits.
_SECOND: dict[int, tuple[tuple[float, ...], float, tuple[float, ...], float]] = {
    4: (
        (-0.775659226565352625, 0.61309336548504346, 0.382062846338393148, 0.145972018552194615),
        3.7014286104300173,
        (-0.656124635719445901, 0.443120040971572371, 0.204312248228364333, 0.0417434947761287646),
        3.70824199664726151,
    ),
    5: (
        (-0.962051020694750161, 0.935739395976710011, 0.880713604194320589, 0.777877675854406326, 0.605093678592652838),
        3.93083943413302808,
        (
            -0.557468315898848831,
            0.324740042833776252,
            0.116567321445339919,
            0.0233543964642982215,
            0.00054542783421162527,
        ),
        4.65737142820057433,
    ),
    6: (
        (
            -0.986574979570993729,
            0.983398228836181748,
            0.972106670053091911,
            0.947437436826436013,
            0.898651184851729634,
            0.807573952035417546,
        ),
        3.97394050093029491,
        (
            -0.555419727179032372,
            0.322493274297444974,
            0.1152070040989045,
            0.0235027704050307522,
            0.01044790120466494,
            0.000109158639582439104,
        ),
        5.64638396658795109,
    ),
    7: (
        (
            -0.99172257256140554,
            0.993555393503371264,
            0.992173321594692116,
            0.986898762690313917,
            0.975164756608873041,
            0.951431982704992671,
            0.905222817713953473,
        ),
        3.98360053642485396,
        (
            -0.555376976760588748,
            0.322446480222432665,
            0.115178799752652719,
            0.0235061269288693995,
            0.0106569734793995914,
            0.0100134367165748775,
            0.000100268914876849863,
        ),
        6.63626250756001825,
    ),
}


class Rosenbrock(Energy):
    """E(x) = Σ_{i<d} 100 (x_{i+1} − x_i²)² + (1 − x_i)².

    The minimum is (1, ..., 1) with E = 0, the only critical point for d = 2 and 3. From d = 4 on there is a second
    minimum near (−1, 1, ..., 1); it, the one saddle and hence the exact pass are listed for d = 4 to 7.

    Args:
        dim: number of coordinates d, at least 2.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Raises:
        InputError: fewer than two coordinates.

    Reference:
        Rosenbrock 1960, *An automatic method for finding the greatest or least value of a function*.
        Kok & Sandrock 2009, *Locating and characterizing the stationary points of the extended Rosenbrock function*.

    Example:
        >>> float(Rosenbrock(3).value(torch.ones(3, dtype=torch.float64)))
        0.0
    """

    def __init__(self, dim: int = 2, *, dtype: torch.dtype = torch.float64, device: Device = None) -> None:
        super().__init__(check_count(dim, "dim", least=2), name="rosenbrock", dtype=dtype, device=device)
        ones = torch.ones(dim, dtype=torch.float64)
        points, passes = [CriticalPoint(ones, 0.0, 0, "ones")], []
        # The customary start: -1.2 along odd coordinates, 1 along even ones.
        start = torch.where(torch.arange(dim) % 2 == 0, torch.tensor(-1.2, dtype=torch.float64), ones)
        if dim in _SECOND:
            minimum, low, saddle, high = _SECOND[dim]
            start = torch.tensor(minimum, dtype=torch.float64)
            points.append(CriticalPoint(start, low, 0, "second"))
            points.append(CriticalPoint(torch.tensor(saddle, dtype=torch.float64), high, 1, "saddle"))
            passes.append(("second", "ones", "saddle"))
        bounds = ((-2.0, 2.0), (-1.0, 3.0)) if dim == 2 else None
        self._know(points, passes, ends=(start, ones), bounds=bounds)

    def _energy(self, x: Tensor) -> Tensor:
        here, following = x[:, :-1], x[:, 1:]
        return (100 * (following - here.square()).square() + (1 - here).square()).sum(-1)

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        here, rest, short = x[:, :-1], x[:, 1:] - x[:, :-1].square(), 1 - x[:, :-1]
        grads = torch.zeros_like(x)
        grads[:, :-1] = -400 * here * rest - 2 * short
        grads[:, 1:] += 200 * rest
        return (100 * rest.square() + short.square()).sum(-1), grads
