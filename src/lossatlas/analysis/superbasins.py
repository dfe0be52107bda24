"""Superbasins: sets of minima that reach each other below an energy, as the nodes of a disconnectivity graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

__all__ = ["Superbasin", "superbasin_nodes"]


@dataclass(frozen=True)
class Superbasin:
    """A node of a disconnectivity graph.

    Args:
        height: energy at which its minima are joined; of a single minimum, its energy.
        minima: which minima it holds, ascending.
        children: positions of the nodes that it joins, in the order of their lowest minimum index; none for a minimum.
    """

    height: float
    minima: tuple[int, ...]
    children: tuple[int, ...] = ()


def superbasin_nodes(
    energies: Sequence[float], heights: Sequence[float], pairs: Sequence[Sequence[int]]
) -> tuple[Superbasin, ...]:
    """Join minima in the order of heights; what is joined at one height becomes one node.

    Args:
        energies: of the n minima.
        heights: of the joins, ascending.
        pairs: two minima that each join connects.

    Returns:
        The n minima, then the joined sets by ascending height; those that are nobody's child are the roots.

    Example:
        >>> [(node.height, node.minima) for node in superbasin_nodes([0.0, 1.0, 0.5], [2.0, 2.0], [(0, 1), (1, 2)])][3:]
        [(2.0, (0, 1, 2))]
    """
    nodes = [Superbasin(energy, (k,)) for k, energy in enumerate(energies)]
    holder = list(range(len(nodes)))  # the topmost node that holds each minimum
    joins = zip(heights, pairs, strict=True)
    for height, group in groupby(joins, key=lambda join: join[0]):
        parts: dict[int, set[int]] = {}
        for _, (i, j) in group:
            joined = parts.get(holder[i], {holder[i]}) | parts.get(holder[j], {holder[j]})
            parts.update(dict.fromkeys(joined, joined))
        for chosen in sorted({tuple(sorted(part)) for part in parts.values()}):
            children = tuple(sorted(chosen, key=lambda k: nodes[k].minima))
            minima = tuple(sorted(m for k in children for m in nodes[k].minima))
            for m in minima:
                holder[m] = len(nodes)
            nodes.append(Superbasin(height, minima, children))
    return tuple(nodes)
