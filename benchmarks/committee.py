"""The equations of one-pass SGD against the same formulas entry by entry, and the time of a search for minima."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from benchmarks.timing import compare, seconds
from lossatlas.theory.committee import Committee, Dynamics, find_minima, random_student
from lossatlas.theory.committee.orthants import NODES

__all__ = ["COMMITTEE"]

Result = dict[str, Any]
Matrix = list[list[float]]

_RATE, _NOISE, _UNITS, _STARTS, _MINUTE = 0.5, 0.1, 10, 1000, 60.0
_RULE = [(float(x + 1) / 2, float(w) / 2) for x, w in zip(*np.polynomial.legendre.leggauss(NODES), strict=True)]


def _asin(x: float) -> float:
    return math.asin(max(-1.0, min(1.0, x)))


def _orthant(c: Matrix) -> float:
    """Probability that all are positive, by the reduction of four variables to a sum of integrals."""
    n = len(c)
    if n <= 1:
        return 0.5**n
    rho = [[c[i][j] / math.sqrt(c[i][i] * c[j][j]) for j in range(n)] for i in range(n)]
    pairs = list(itertools.combinations(range(n), 2))
    total = 0.5**n + sum(_asin(rho[i][j]) for i, j in pairs) / (math.pi * 2 ** (n - 1))
    if n == 4:
        for (i, j), (k, m) in zip(pairs, reversed(pairs), strict=True):
            r, ki, kj, mi, mj, km = rho[i][j], rho[k][i], rho[k][j], rho[m][i], rho[m][j], rho[k][m]
            for t, w in _RULE:
                rest = 1 - t * t * r * r
                shared = t * km * rest - t * t * (ki * mi + kj * mj - t * r * (ki * mj + kj * mi))
                first = rest - t * t * (ki * ki + kj * kj - 2 * t * r * ki * kj)
                second = rest - t * t * (mi * mi + mj * mj - 2 * t * r * mi * mj)
                inner = _asin(shared / math.sqrt(first * second))
                total += w * r / math.sqrt(rest) * inner / (4 * math.pi**2)
    return total


def _given(c: Matrix, m: int) -> Matrix:
    kept = [i for i in range(len(c)) if i != m]
    return [[c[i][j] - c[i][m] * c[j][m] / c[m][m] for j in kept] for i in kept]


def _first(c: Matrix, i: int) -> float:
    return sum(
        c[i][m] / math.sqrt(2 * math.pi * c[m][m]) * (_orthant(_given(c, m)) if len(c) > 1 else 1.0)
        for m in range(len(c))
    )


def _second(c: Matrix, i: int, j: int) -> float:
    return c[i][j] * _orthant(c) + sum(
        c[i][m] / math.sqrt(2 * math.pi * c[m][m]) * _first(_given(c, m), j - (m < j)) for m in range(len(c)) if m != j
    )


def _four(omega: Matrix, j: int, m: int, a: int, b: int) -> float:
    units = sorted({j, m, a, b})
    return _second([[omega[x][y] for y in units] for x in units], units.index(a), units.index(b))


def _three(omega: Matrix, j: int, m: int, a: int) -> float:
    gate = 0.5 if j == a else 0.25 + _asin(omega[j][a] / math.sqrt(omega[j][j] * omega[a][a])) / (2 * math.pi)
    area = math.sqrt(max(0.0, omega[j][j] * omega[a][a] - omega[j][a] ** 2))
    return omega[j][m] * area / (2 * math.pi * omega[j][j]) + omega[m][a] * gate


def entry_by_entry(omega: Matrix, k: int) -> tuple[Matrix, Matrix]:
    """dQ/dt and dR/dt, each entry a sum over scalar correlators; equal entries are computed once."""
    n = len(omega)
    sign = [1.0] * k + [-1.0] * (n - k)
    drift = [[-_RATE * sum(sign[a] * _three(omega, j, m, a) for a in range(n)) for m in range(n)] for j in range(k)]
    dq = [[0.0] * k for _ in range(k)]
    for j in range(k):
        for m in range(j, k):
            noise = _NOISE * _orthant([[omega[x][y] for y in {j, m}] for x in {j, m}])
            for a in range(n):
                for b in range(a, n):
                    noise += (1 if a == b else 2) * sign[a] * sign[b] * _four(omega, j, m, a, b)
            dq[j][m] = dq[m][j] = drift[j][m] + drift[m][j] + _RATE**2 * noise
    return dq, [row[k:] for row in drift]


def rates_against_entry_by_entry() -> Result:
    """The right-hand side at ten students and ten teachers."""
    p = torch.eye(_UNITS, dtype=torch.float64)
    q, r = random_student(_UNITS, p, 40)
    dynamics = Dynamics(p, _RATE, _NOISE)
    omega: Matrix = torch.cat([torch.cat([q, r], 1), torch.cat([r.T, p], 1)]).tolist()
    apart = max(
        float((torch.tensor(b, dtype=torch.float64) - a).abs().max())
        for a, b in zip(dynamics.rates(q, r), entry_by_entry(omega, _UNITS), strict=True)
    )
    found = compare(lambda: dynamics.rates(q, r), lambda: entry_by_entry(omega, _UNITS), pairs=3)
    note = f"apart by {apart:.1e}; {1e3 * found.ours:.0f} ms"
    return {
        "benchmark": "committee equations at K = M = 10 against entry by entry",
        "ratio": found.ratio,
        "wanted": 20.0,
        "note": note,
        **asdict(found),
    }


def thousand_starts() -> Result:
    """A thousand starts of the search for minima at k = 10, as a part of a minute."""
    landscape = Committee(_UNITS)
    found = None

    def search() -> None:
        nonlocal found
        found = find_minima(landscape, _STARTS)

    ratio = _MINUTE / seconds(search)
    assert found is not None
    bad = found.bad_fraction()
    return {
        "benchmark": "minute / 1 000 starts of the search for minima at k = 10",
        "ratio": ratio,
        "wanted": 1.0,
        "low": ratio,
        "high": ratio,
        "note": f"{bad.count} bad, {int(found.converged.sum())} converged",
    }


COMMITTEE: list[Callable[[], Result]] = [rates_against_entry_by_entry, thousand_starts]
