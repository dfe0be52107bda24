"""Where the branches of a disconnectivity graph run: leaves in an order without crossings, joins at their heights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lossatlas.analysis import Superbasin

__all__ = ["Branch", "branches", "leaf_order", "roots"]

# Part of the height of the picture that branches take to lean towards the node they join.
_SHOULDER = 0.05


@dataclass(frozen=True)
class Branch:
    """The line from a node up to the node that it joins.

    Args:
        node: position of the lower node.
        x: places along the horizontal axis.
        y: energies, upwards.
        joined: whether it ends at another node; if not, no known path leads on.
    """

    node: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    joined: bool = True


def roots(nodes: Sequence[Superbasin]) -> list[int]:
    """Positions of the nodes that join no other: one where all minima are connected.

    Example:
        >>> roots([Superbasin(0.0, (0,)), Superbasin(1.0, (1,)), Superbasin(2.0, (0, 1), (0, 1))])
        [2]
    """
    children = {child for node in nodes for child in node.children}
    return [k for k in range(len(nodes)) if k not in children]


def leaf_order(nodes: Sequence[Superbasin], energies: Sequence[float]) -> list[int]:
    """Minima from left to right: every superbasin is an interval, so that no branches cross.

    The largest child of a node, the deepest among equals, stands in the middle, the others on alternate sides, which
    are exchanged from node to node: a trunk with twigs on both sides rather than a staircase.

    Args:
        nodes: of :meth:`BarrierTree.nodes`.
        energies: ``(n,)`` of the minima.

    Returns:
        The numbers of the n minima.

    Example:
        >>> leaf_order([Superbasin(0.0, (0,)), Superbasin(1.0, (1,)), Superbasin(2.0, (0, 1), (0, 1))], [0.0, 1.0])
        [0, 1]
    """

    def size(k: int) -> tuple[int, float]:
        return -len(nodes[k].minima), min(energies[m] for m in nodes[k].minima)

    order: list[int] = []
    # A list in place of recursion: a thousand minima may hang from each other one by one.
    waiting = [(k, 0) for k in sorted(roots(nodes), key=size, reverse=True)]
    while waiting:
        k, depth = waiting.pop()
        if not nodes[k].children:
            order.append(k)
            continue
        row: list[int] = []
        for rank, child in enumerate(sorted(nodes[k].children, key=size)):
            row.insert(len(row) if (rank + depth) % 2 else 0, child)
        waiting += [(child, depth + 1) for child in reversed(row)]
    return order


def branches(
    nodes: Sequence[Superbasin], order: Sequence[int], *, log: bool = False, levels: Sequence[float] | None = None
) -> list[Branch]:
    """Lines of a disconnectivity graph.

    A branch goes straight up from its node and leans, on the last part of its way, towards the node that it joins;
    no node lies beside the leaning parts, so lines meet at their ends only.

    Args:
        nodes: of :meth:`BarrierTree.nodes`.
        order: of the minima, from :func:`leaf_order`.
        log: lay out for a logarithmic axis.
        levels: energies at which superbasins were formed, if any: branches then lean all the way from the level below.

    Returns:
        One branch per node that joins another; where several trees stand side by side, also one for the top of each.

    Example:
        >>> nodes = [Superbasin(0.0, (0,)), Superbasin(1.0, (1,)), Superbasin(2.0, (0, 1), (0, 1))]
        >>> [(branch.x, branch.y) for branch in branches(nodes, [0, 1])]
        [((0.0, 0.0, 0.5), (0.0, 1.9, 2.0)), ((1.0, 1.0, 0.5), (1.0, 1.9, 2.0))]
    """
    to_axis: Callable[[float], float] = (lambda y: float(np.log(y))) if log else float
    from_axis: Callable[[float], float] = (lambda y: float(np.exp(y))) if log else float
    place = {minimum: float(position) for position, minimum in enumerate(order)}
    x = [place[k] for k in range(len(order))]
    for basin in nodes[len(order) :]:
        # Squares keep the trunk straight where a twig joins it, and put the fork of two equals in the middle.
        weights = [len(nodes[k].minima) ** 2 for k in basin.children]
        x.append(float(np.average([x[k] for k in basin.children], weights=weights)))
    heights = [node.height for node in nodes]
    lowest = min(heights)
    top, bottom = to_axis(max(heights)), to_axis(lowest)
    lean = _SHOULDER * (top - bottom)
    drawn = []
    for node, basin in enumerate(nodes):
        inner = [heights[k] for k in basin.children if nodes[k].children]
        below = [level for level in levels or () if lowest <= level < basin.height]
        start = to_axis(max(below)) if below else to_axis(basin.height) - lean
        start = max([start, *map(to_axis, inner)])
        for k in basin.children:
            shoulder = min(max(from_axis(start), heights[k]), basin.height)
            drawn.append(Branch(k, (x[k], x[k], x[node]), (heights[k], shoulder, basin.height)))
    tops = roots(nodes)
    if len(tops) > 1:
        ceiling = from_axis(top + (lean or 1.0))
        drawn += [Branch(k, (x[k], x[k]), (heights[k], ceiling), joined=False) for k in tops]
    return drawn
