"""Barrier tree: which minima are joined at which height, and how persistent each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossatlas.analysis.pass_heights import Numbers, checked_energies, checked_heights
from lossatlas.analysis.superbasins import Superbasin, superbasin_nodes
from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree
from lossatlas.core.spanning_tree import Matrix, doubles, minimax, minimum_spanning_forest

__all__ = ["BarrierTree", "Merge", "barrier_tree"]


@dataclass(frozen=True)
class Merge:
    """Two sets of minima become one.

    Args:
        height: of the lowest known path between the two sets.
        survivor: the deepest minimum of both, of the lower number among equals.
        absorbed: the deepest minimum of the other set; its life as a basin of its own ends here.
        pair: the two minima that the path connects.
    """

    height: float
    survivor: int
    absorbed: int
    pair: tuple[int, int]


@dataclass(frozen=True, eq=False)
class BarrierTree:
    """The disconnectivity graph of a set of minima; made by :func:`barrier_tree`.

    Args:
        energies: ``(n,)``, of the minima, in float64.
        heights: ``(n, n)``, of the best known path between two minima; NaN: not computed, inf: not connected.
        minimax: ``(n, n)``, lowest height over all chains of known paths; inf: unconnected; its diagonal
            is the energies.
        merge_heights: ``(m,)``, ascending; m = n − 1 where all are connected.
        merge_pairs: ``(m, 2)``, the minima whose path joins two sets.
        merge_minima: ``(m, 2)``, the deepest minima of the two sets: survivor, absorbed.
        labels: a name per minimum.
        groups: what each minimum belongs to, such as its optimizer, or None.

    Example:
        >>> nan = float("nan")
        >>> tree = barrier_tree([0.0, 1.0, 0.5], [[nan, 3.0, nan], [nan, nan, 2.0], [nan, nan, nan]])
        >>> [(merge.height, merge.survivor, merge.absorbed) for merge in tree.merges]
        [(2.0, 2, 1), (3.0, 0, 2)]
        >>> tree.minimax[0].tolist(), tree.persistence.tolist()
        ([0.0, 3.0, 3.0], [[0.0, inf], [1.0, 2.0], [0.5, 3.0]])
    """

    energies: Tensor
    heights: Tensor
    minimax: Tensor
    merge_heights: Tensor
    merge_pairs: Tensor
    merge_minima: Tensor
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.energies)

    @property
    def merges(self) -> tuple[Merge, ...]:
        """Every union of two sets, by ascending height; among equals by the pair of minima."""
        columns = zip(self.merge_heights.tolist(), self.merge_minima.tolist(), self.merge_pairs.tolist(), strict=True)
        return tuple(Merge(height, survivor, absorbed, (i, j)) for height, (survivor, absorbed), (i, j) in columns)

    @property
    def connected(self) -> bool:
        """Whether chains of known paths join all minima."""
        return len(self.merge_heights) == len(self) - 1

    @property
    def persistence(self) -> Tensor:
        """Birth and death of each minimum, ``(n, 2)``, as the sets {x: E(x) ≤ level} grow with the level.

        A minimum is born at its energy and dies where its set meets one with a deeper minimum (the elder rule); the
        deepest minimum of each connected part never dies: inf. The finite deaths are the heights of a minimum
        spanning tree, to the last bit.

        Edelsbrunner & Harer 2010, *Computational Topology*, section VII.1.
        """
        deaths = torch.full_like(self.energies, torch.inf)
        deaths[self.merge_minima[:, 1]] = self.merge_heights
        return torch.stack([self.energies, deaths], dim=1)

    def nodes(self, levels: Numbers | None = None) -> tuple[Superbasin, ...]:
        """Nodes of the disconnectivity graph.

        Args:
            levels: energies at which minima are sorted into superbasins (Becker & Karplus 1997), any order; a set
                then counts as joined from the first level at or above its pass, and what is joined above the last
                level stays apart. None: the passes themselves; passes of one height share a node.

        Returns:
            The n minima, in their order, then the sets by ascending height.

        Raises:
            InputError: no levels, or one that is not finite.

        Example:
            >>> tree = barrier_tree([0.0, 1.0, 0.5], [[0, 3.0, 9.0], [3.0, 1.0, 2.0], [9.0, 2.0, 0.5]])
            >>> [(node.height, node.minima) for node in tree.nodes()[3:]]
            [(2.0, (1, 2)), (3.0, (0, 1, 2))]
            >>> [(node.height, node.minima) for node in tree.nodes(levels=[2.5])[3:]]
            [(2.5, (1, 2))]
        """
        heights = self.merge_heights
        if levels is not None:
            ladder = _levels(levels)
            # Ascending heights: those above the last level are at the end.
            rung = torch.searchsorted(ladder, heights)
            heights = ladder[rung[rung < len(ladder)]]
        return superbasin_nodes(self.energies.tolist(), heights.tolist(), self.merge_pairs[: len(heights)].tolist())

    def superbasins(self, level: float) -> tuple[tuple[int, ...], ...]:
        """Sets of minima that reach each other without rising above a level, ordered by their deepest minima.

        Args:
            level: an energy; minima above it are in no set.

        Example:
            >>> barrier_tree([0.0, 1.0, 0.5], [[0, 3.0, 9.0], [3.0, 1.0, 2.0], [9.0, 2.0, 0.5]]).superbasins(2.0)
            ((0,), (1, 2))
        """
        below = (self.energies <= level).nonzero().flatten().tolist()
        reached = self.minimax <= level
        sets = {tuple(reached[k].nonzero().flatten().tolist()) for k in below}
        return tuple(sorted(sets, key=lambda s: (min(float(self.energies[k]) for k in s), s)))

    def subset(self, minima: Sequence[int]) -> BarrierTree:
        """The tree of some of the minima; passes over minima left out still count.

        Args:
            minima: which, in the order wanted; their numbers become 0, 1, ...

        Raises:
            InputError: none, one twice, or one that does not exist.
        """
        chosen = [int(k) for k in minima]
        if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= k < len(self) for k in chosen):
            raise InputError(f"expected different numbers of minima from 0 to {len(self) - 1}, got {chosen}")
        groups = None if self.groups is None else [self.groups[k] for k in chosen]
        return barrier_tree(
            self.energies[chosen], self.minimax[chosen][:, chosen], [self.labels[k] for k in chosen], groups
        )

    def to_tree(self) -> Tree:
        """Return a dict of tensors and strings, the form in which barrier trees are stored."""
        return dict(vars(self))

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> BarrierTree:
        """Rebuild a barrier tree from :meth:`to_tree`."""
        return cls(**tree)


def _levels(levels: Numbers) -> Tensor:
    ladder = np.unique(doubles(levels))
    if len(ladder) == 0 or not np.isfinite(ladder).all():
        raise InputError(f"expected finite energies as levels, got {ladder.tolist()}")
    return torch.from_numpy(ladder)


def _names(names: Sequence[str] | None, n: int, what: str) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str) or len(names) != n:
        raise InputError(f"expected one of {what} for each of {n} minima, got {len(names)}")
    return tuple(str(name) for name in names)


def _survivors(energies: Sequence[float], pairs: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """The deepest minima of the two sets that each pair joins, the deeper first."""
    parent = list(range(len(energies)))

    def deepest(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    found = []
    for i, j in pairs:
        survivor, absorbed = sorted((deepest(i), deepest(j)), key=lambda k: (energies[k], k))
        parent[absorbed] = survivor
        found.append((survivor, absorbed))
    return found


def barrier_tree(
    energies: Numbers, heights: Matrix, labels: Sequence[str] | None = None, groups: Sequence[str] | None = None
) -> BarrierTree:
    """Join minima in the order of the passes between them.

    M_ij = min over chains of known paths from i to j of the highest path of the chain. Minima in chains count as
    places to change paths, so M obeys M_ik ≤ max(M_ij, M_jk): it is a tree.

    Args:
        energies: ``(n,)``, of the minima.
        heights: ``(n, n)``, of the best path known between two minima; NaN: not computed, inf: not connected. One
            triangle is enough, of two the lower counts. The diagonal is the energies, or NaN.
        labels: a name per minimum; ``"0"``, ``"1"``, ... if None.
        groups: what each minimum belongs to, such as its optimizer.

    Returns:
        The tree; a forest where some minima are not connected.

    Raises:
        InputError: shapes that do not fit, energies that are not finite, or a path lower than its ends by more than
            rounding (less is raised to its higher end).

    Reference:
        Becker & Karplus 1997, *The topology of multidimensional potential energy surfaces*, J. Chem. Phys. 106, 1495;
        Wales, Miller & Walsh 1998, *Archetypal energy landscapes*, Nature 394, 758.

    Example:
        >>> from lossatlas.landscape import get
        >>> surface, nan = get("muller-brown"), float("nan")
        >>> passes = [[nan, nan, -40.6648435], [nan, nan, -72.2489401], [nan, nan, nan]]
        >>> tree = barrier_tree([minimum.value for minimum in surface.minima], passes, ["A", "B", "C"])
        >>> round(float(tree.minimax[0, 1]), 6), tree.superbasins(-60.0)
        (-40.664844, ((0,), (1, 2)))
    """
    e = checked_energies(energies)
    h = checked_heights(energies, heights)
    pairs, weights = minimum_spanning_forest(h)
    lowest = minimax(len(e), pairs, weights)
    np.fill_diagonal(lowest, e)
    return BarrierTree(
        torch.from_numpy(e.copy()),
        torch.from_numpy(h),
        torch.from_numpy(lowest),
        torch.from_numpy(weights),
        torch.from_numpy(pairs),
        torch.tensor(_survivors(e.tolist(), pairs.tolist()), dtype=torch.int64).reshape(-1, 2),
        _names(labels, len(e), "labels") or tuple(str(k) for k in range(len(e))),
        _names(groups, len(e), "groups"),
    )
