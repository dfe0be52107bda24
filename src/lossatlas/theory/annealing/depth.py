"""Critical depth of a landscape, and which logarithmic schedules it allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.spanning_tree import Matrix, doubles, known_pairs, minimax, minimum_spanning_forest
from lossatlas.theory.annealing.circle import Potential, circle_extrema

__all__ = ["CriticalDepth", "Verdict", "circle_depth", "critical_depth", "tree_depth"]

Numbers: TypeAlias = Tensor | NDArray[np.floating] | Sequence[float]


class Tree(Protocol):
    """What is read of a barrier tree, as ``lossatlas.analysis.barrier_tree`` makes it."""

    @property
    def energies(self) -> Tensor:
        """``(n,)``, of the minima."""
        ...

    @property
    def minimax(self) -> Tensor:
        """``(n, n)``, lowest height over all chains of paths."""
        ...


@dataclass(frozen=True)
class Verdict:
    """Whether β(t) = c log(e + t) finds the global minimum in the end.

    Args:
        c: of the schedule.
        critical: 1/d*.
        converges: c < 1/d*; None where d* is not known.
        message: in a sentence.
    """

    c: float
    critical: float
    converges: bool | None
    message: str


@dataclass(frozen=True)
class CriticalDepth:
    """d* = the largest of the depths of the minima that are not global; made by :func:`critical_depth`.

    Args:
        value: d*, in units of energy; 0 without traps, inf where a trap is not connected to anything deeper.
        depths: one per minimum: what must be climbed to reach something strictly deeper; inf for global minima.
        deepest_trap: number of the minimum that has d*; None without traps.
        global_minima: numbers of the minima of lowest energy.

    Example:
        >>> depth = critical_depth([0.0, 1.0], [[0.0, 3.0], [3.0, 1.0]])
        >>> depth.value, depth.critical_rate, depth.verdict(0.6).converges
        (2.0, 0.5, False)
    """

    value: float
    depths: tuple[float, ...]
    deepest_trap: int | None
    global_minima: tuple[int, ...]

    @property
    def critical_rate(self) -> float:
        """1/d*: the largest c of a logarithmic schedule; inf without traps, 0 where d* is not known."""
        return math.inf if self.value == 0 else 1 / self.value

    def verdict(self, c: float) -> Verdict:
        """Judge β(t) = c log(e + t): converges in probability iff c < 1/d*.

        Heights of paths that were found are at least those of the passes, so d* from a search is at least the true
        one: "converges" stays true whatever was missed between these minima, "trapped" may be too strict.

        Raises:
            InputError: c not a finite number above 0.

        Reference:
            Hajek 1988, *Cooling schedules for optimal annealing*, Math. Oper. Res. 13, 311, theorem 1 (which, for
            finite states, allows c = 1/d* too); Holley, Kusuoka & Stroock 1989, J. Funct. Anal. 83, 333.
        """
        if isinstance(c, bool) or not isinstance(c, int | float) or not 0 < c < math.inf:
            raise InputError(f"expected c of a logarithmic schedule as a finite number above 0, got {c!r}: give one")
        rate = self.critical_rate
        if self.value == math.inf:
            text = f"minimum {self.deepest_trap} is not connected to a deeper one, so d* is not known: find more paths"
            return Verdict(c, 0.0, None, text)
        if self.value == 0:
            return Verdict(c, rate, True, "no minimum but global ones: every logarithmic schedule converges")
        sign, end = ("<", "converges in probability") if c < rate else (">=", "may be trapped")
        trap = f"minimum {self.deepest_trap}, d* = {self.value:.6g}"
        return Verdict(c, rate, c < rate, f"c = {c:g} {sign} 1/d* = {rate:.6g} ({trap}): {end}")


def critical_depth(energies: Numbers, heights: Matrix, *, tolerance: float = 0.0) -> CriticalDepth:
    """Critical depth of a set of minima and the passes between them.

    depth(i) = min over j with E_j < E_i of M_ij − E_i, with M_ij the lowest height over all chains of passes, and
    d* = max of depth(i) over the minima that are not global.

    Args:
        energies: ``(n,)``, of the minima.
        heights: ``(n, n)``, of the best path known between two; NaN: not computed, inf: not connected. One triangle
            is enough; the diagonal is not read.
        tolerance: energies closer than this are equal; copies of a minimum by symmetry differ by rounding.

    Raises:
        InputError: shapes that do not fit, energies that are not finite, a pass below its ends, a negative tolerance.

    Example:
        >>> nan = float("nan")
        >>> depth = critical_depth([0.0, 1.0, 0.5], [[nan, 3.0, nan], [nan, nan, 2.0], [nan, nan, nan]])
        >>> depth.depths, depth.value, depth.deepest_trap
        ((inf, 1.0, 2.5), 2.5, 2)
    """
    e = doubles(energies)
    table = known_pairs(heights)
    if e.ndim != 1 or len(e) == 0 or len(table) != len(e):
        raise InputError(
            f"expected n energies and an (n, n) matrix of heights, got shapes {e.shape} and {table.shape}: "
            "give one energy per minimum"
        )
    if not np.isfinite(e).all():
        raise InputError("expected finite energies of minima, got NaN or infinity: leave out minima that diverged")
    if not 0 <= tolerance < math.inf:
        raise InputError(f"expected tolerance as a finite number of at least 0, got {tolerance!r}: give another")
    np.fill_diagonal(table, np.nan)
    # A path of which one end is the highest point may lie below it by rounding.
    ends = np.maximum(e[:, None], e[None, :])
    slack = np.maximum(tolerance, 1e-9 * (1 + np.abs(ends)))
    if (table < ends - slack).any():
        i, j = np.argwhere(table < ends - slack)[0].tolist()
        raise InputError(
            f"expected passes at least as high as both ends, got {table[i, j]:.6g} between minima {i} and {j} of "
            f"energies {e[i]:.6g} and {e[j]:.6g}: check that heights are not barriers"
        )
    lowest = minimax(len(e), *minimum_spanning_forest(np.fmax(table, np.where(np.isnan(table), np.nan, ends))))
    return _depth(e, lowest, tolerance)


def tree_depth(tree: Tree, *, tolerance: float = 0.0) -> CriticalDepth:
    """Critical depth of a barrier tree.

    Args:
        tree: from ``lossatlas.analysis.barrier_tree``.
        tolerance: energies closer than this are equal.

    Raises:
        InputError: a negative tolerance.

    Example:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> tree = SimpleNamespace(energies=torch.tensor([0.0, 1.0]), minimax=torch.tensor([[0.0, 3.0], [3.0, 1.0]]))
        >>> tree_depth(tree).value
        2.0
    """
    return critical_depth(tree.energies, tree.minimax, tolerance=tolerance)


def circle_depth(potential: Potential) -> CriticalDepth:
    """Critical depth of a potential on the circle, from all its minima and passes.

    Raises:
        InputError: a constant potential, or one that is not finite or not of period 2π.

    Example:
        >>> from lossatlas.theory.annealing import CircleToy
        >>> round(circle_depth(CircleToy()).value, 4)
        1.7578
    """
    extrema = circle_extrema(potential)
    span = float(extrema.pass_energies.max() - extrema.energies.min())
    return critical_depth(extrema.energies, extrema.heights(), tolerance=1e-12 * span)


def _depth(e: NDArray[np.float64], lowest: NDArray[np.float64], tolerance: float) -> CriticalDepth:
    depths = []
    for i, energy in enumerate(e.tolist()):
        deeper = lowest[i][e < energy - tolerance]
        depths.append(float(deeper.min() - energy) if len(deeper) else math.inf)
    best = tuple(np.flatnonzero(e <= e.min() + tolerance).tolist())
    traps = [i for i in range(len(e)) if i not in best]
    worst = max(traps, key=lambda i: depths[i], default=None)
    return CriticalDepth(0.0 if worst is None else max(depths[worst], 0.0), tuple(depths), worst, best)
