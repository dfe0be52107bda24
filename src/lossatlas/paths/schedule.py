"""Schedules: which pairs of minima to connect, when there are more pairs than one can afford."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.core.randomness import derive_seed
from lossatlas.core.spanning_tree import Matrix, known_pairs, minimax, minimum_spanning_forest

__all__ = ["SpanningTree", "all_pairs", "distances", "random_pairs"]

Pair = tuple[int, int]


def all_pairs(n: int) -> list[Pair]:
    """Every pair of n minima, n(n−1)/2 of them.

    Args:
        n: number of minima.

    Returns:
        Pairs (i, j) with i < j.

    Example:
        >>> all_pairs(3)
        [(0, 1), (0, 2), (1, 2)]
    """
    return list(combinations(range(n), 2))


def random_pairs(n: int, count: int | None, seed: int, label: str = "") -> list[Pair]:
    """Pairs of n minima drawn without replacement, each set of ``count`` as likely as any other.

    Args:
        n: number of minima.
        count: how many pairs at most; None: all.
        seed: of the draw.
        label: names the draw, so that several draws of one seed differ.

    Returns:
        Pairs (i, j) with i < j, ascending.

    Raises:
        InputError: a negative count.

    Example:
        >>> random_pairs(10, 3, seed=0) == random_pairs(10, 3, seed=0), random_pairs(3, None, seed=0)
        (True, [(0, 1), (0, 2), (1, 2)])
    """
    if count is not None and count < 0:
        raise InputError(f"expected a number of pairs of at least 0, got {count}")
    pairs = all_pairs(n)
    if count is None or count >= len(pairs):
        return pairs
    return sorted(random.Random(derive_seed(seed, "pairs", label)).sample(pairs, count))


def distances(points: Tensor) -> Tensor:
    """Euclidean distance between every two points.

    Args:
        points: ``(n, d)``.

    Returns:
        ``(n, n)``, of the points' dtype and device.

    Raises:
        InputError: not ``(n, d)``.

    Example:
        >>> distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))[0].tolist()
        [0.0, 5.0]
    """
    if points.ndim != 2:
        raise InputError(f"expected points (n, d), one row per minimum, got shape {tuple(points.shape)}")
    # Differences, not |a|² − 2ab + |b|², which loses all digits where minima are close.
    return torch.cdist(points.detach(), points.detach(), compute_mode="donot_use_mm_for_euclid_dist")


@dataclass(frozen=True)
class SpanningTree:
    """Connect all minima by short pairs, then try to lower the highest passes that remain.

    With M the lowest pass over chains of paths known so far (inf where there is none), the next pair is the untried
    one of the highest M_ij, the nearest first. While minima are unconnected these are the edges of a minimum spanning
    tree of the distances. Afterwards they are the pairs across the cut that the highest edge of the tree of heights
    makes: only these can lower it. When all across one cut have been tried, the next lower edge has its turn. A pair
    whose ends are as high as M_ij cannot lower anything, and comes last.

    Args:
        budget: paths to spend in all; None: all n(n−1)/2 pairs.
        batch: pairs per call, for finders that relax many at once. A batch is what single calls would propose if
            every path connected (first stage) or none lowered a pass (second stage).

    Raises:
        ConfigurationError: a budget or batch below one.

    Reference:
        Draxler et al. 2018, *Essentially no barriers in neural network energy landscape*, ICML, section 3.3
        (arXiv 1803.00885), whose tree is improved by replacing its worst edge.

    Example:
        >>> nan = float("nan")
        >>> heights = torch.full((4, 4), nan)
        >>> apart = distances(torch.tensor([[0.0], [1.0], [3.0], [7.0]]))
        >>> schedule = SpanningTree(budget=5)
        >>> while pairs := schedule.next(apart, heights):
        ...     for i, j in pairs:
        ...         heights[i, j] = 1.0 if (i, j) != (1, 2) else 2.0
        ...     print(pairs)
        [(0, 1)]
        [(1, 2)]
        [(2, 3)]
        [(0, 2)]
        [(1, 3)]
    """

    budget: int | None = None
    batch: int = 1

    def __post_init__(self) -> None:
        for name, value in (("budget", self.budget), ("batch", self.batch)):
            if value is not None and value < 1:
                raise ConfigurationError(f"expected a {name} of at least one path, got {value}")

    def next(self, distances: Matrix, heights: Matrix) -> list[Pair]:
        """Propose the pairs to connect next; a function of its arguments alone.

        Args:
            distances: ``(n, n)``, between the minima.
            heights: ``(n, n)``, of the paths found so far; NaN: not tried, inf: tried without success. One triangle
                is enough. The energies of the minima may stand on the diagonal (NaN otherwise): then pairs that
                cannot lower a pass are left for the end.

        Returns:
            At most ``batch`` untried pairs (i, j) with i < j; none when the budget is spent or all are tried.

        Raises:
            InputError: shapes that do not fit, distances that are not finite, or a budget that cannot connect all.
        """
        near, known = known_pairs(distances, "distances"), known_pairs(heights)
        n = len(known)
        apart = near[np.triu_indices(len(near), 1)]
        if near.shape != known.shape or not (np.isfinite(apart) & (apart >= 0)).all():
            raise InputError(
                f"expected finite distances of at least 0, {known.shape} as the heights, got shape {near.shape} with "
                f"{int((~np.isfinite(apart)).sum())} not finite and {int((apart < 0).sum())} negative"
            )
        if self.budget is not None and self.budget < n - 1:
            raise InputError(
                f"expected a budget of at least {n - 1} paths to connect {n} minima, got {self.budget}: "
                "raise the budget, or give fewer minima"
            )
        untried = np.isnan(known)
        spent = int((~untried[np.triu_indices(n, 1)]).sum())
        room = min(self.batch, (len(all_pairs(n)) if self.budget is None else self.budget) - spent)
        if room <= 0:
            return []
        return (_connecting(near, known) or _improving(near, known))[:room]


def _connecting(near: NDArray[np.float64], known: NDArray[np.float64]) -> list[Pair]:
    """Untried pairs of the shortest tree that keeps all paths found so far, ascending in length."""
    # Less than any distance: what is connected already costs nothing.
    weights = np.where(np.isnan(known), near, np.where(np.isfinite(known), -1.0, np.inf))
    tree, _ = minimum_spanning_forest(weights)
    return [(i, j) for i, j in tree.tolist() if np.isnan(known[i, j])]


def _improving(near: NDArray[np.float64], known: NDArray[np.float64]) -> list[Pair]:
    """All untried pairs: those across the highest pass first, the nearest of them first."""
    lowest = minimax(len(known), *minimum_spanning_forest(known))
    i, j = np.triu_indices(len(known), 1)
    untried = np.isnan(known[i, j])
    i, j = i[untried], j[untried]
    # A comparison with NaN is false: without energies every pair may help.
    hopeless = np.fmax(known[i, i], known[j, j]) >= lowest[i, j]
    order = np.lexsort((j, i, near[i, j], -lowest[i, j], hopeless))
    return list(zip(i[order].tolist(), j[order].tolist(), strict=True))
