"""Disconnectivity graph: the topography of an ensemble in one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lossatlas.analysis import BarrierTree, Superbasin
from lossatlas.core.errors import InputError
from lossatlas.report.figure import Axis, Figure, Panel, Scale
from lossatlas.report.marks import Line, Mark, Points
from lossatlas.report.palette import marker_of
from lossatlas.report.tree_layout import Branch, branches, leaf_order, roots
from lossatlas.report.wording import listing, number, optimizer_name

__all__ = ["disconnectivity_figure"]

# With more leaves than these, names of leaves collide, and markers at their ends merge.
_NAMED, _MARKED, _BOLD = 12, 60, 40
# A logarithmic axis pays where the numbers span more than this factor.
_DECADES = 100


def disconnectivity_figure(
    tree: BarrierTree,
    *,
    quantity: str = "Loss",
    unit: str = "",
    levels: Sequence[float] | int | None = None,
    leaves: int = 200,
    title: str = "Disconnectivity graph",
    name: str = "disconnectivity",
) -> Figure:
    """Draw which minima are joined at which height, coloured by group.

    Args:
        tree: of the minima.
        quantity: what the energies are.
        unit: of the energies.
        levels: energies at which minima are sorted into superbasins, or how many, evenly spaced; None: every pass
            at its own height.
        leaves: draw at most so many minima, the most persistent; passes over the others still count.
        title: heading.
        name: file name without suffix.

    Returns:
        A figure. Leaves hang at their energies, branches join at the heights of passes; the axis is logarithmic
        where all are positive and span more than two decades.

    Raises:
        InputError: fewer than one leaf or two levels, or levels that are not finite.

    Reference:
        Becker & Karplus 1997, J. Chem. Phys. 106, 1495; Wales, Miller & Walsh 1998, Nature 394, 758.

    Example:
        >>> from lossatlas.analysis import barrier_tree
        >>> tree = barrier_tree([0.0, 0.5], [[0.0, 2.0], [2.0, 0.5]], groups=["sgd", "adam"])
        >>> [entry.label for entry in disconnectivity_figure(tree).legend]
        ['SGD', 'Adam']
    """
    if leaves < 1:
        raise InputError(f"expected at least one leaf to draw, got {leaves}")
    drawn = tree.subset(_most_persistent(tree, leaves))
    heights = np.concatenate([drawn.energies.numpy(), drawn.merge_heights.numpy()])
    log = bool(heights.min() > 0 and heights.max() > _DECADES * heights.min())
    ladder = _ladder(levels, heights, log)
    nodes = drawn.nodes(ladder)
    order = leaf_order(nodes, drawn.energies.tolist())
    lines = branches(nodes, order, log=log, levels=ladder)
    scale: Scale = "log" if log else "linear"
    named = len(order) <= _NAMED
    categories = tuple(drawn.labels[k] if named else "" for k in order)
    panel = Panel(
        f"{len(order)} minima",
        Axis("Minima", "their order has no meaning", categories=categories),
        Axis(quantity, unit, scale),
        (*_points(drawn, order), *_lines(drawn, nodes, lines)),
    )
    return Figure(name, title, _caption(tree, len(drawn), len(roots(nodes)), ladder), (panel,))


def _most_persistent(tree: BarrierTree, count: int) -> list[int]:
    births, deaths = tree.persistence.numpy().T
    return sorted(int(k) for k in np.lexsort((births, births - deaths))[:count])


def _ladder(levels: Sequence[float] | int | None, heights: NDArray[np.float64], log: bool) -> list[float] | None:
    if levels is None or not isinstance(levels, int):
        return None if levels is None else [float(level) for level in levels]
    if levels < 2:
        raise InputError(f"expected at least two levels, got {levels}")
    low, high = heights.min(), heights.max()
    spaced = np.geomspace(low, high, levels) if log else np.linspace(low, high, levels)
    # The last is the highest pass itself, which rounding must not miss.
    return [*spaced[:-1].tolist(), float(high)]


def _group_name(tree: BarrierTree, minima: Sequence[int]) -> tuple[str, str]:
    """Label and role of a set of minima."""
    if tree.groups is None:
        return "minima", "path"
    groups = {tree.groups[m] for m in minima}
    return ("several groups", "neutral") if len(groups) > 1 else (optimizer_name(group := groups.pop()), group)


def _points(tree: BarrierTree, order: Sequence[int]) -> list[Mark]:
    if len(order) > _MARKED:
        return []
    sets: dict[tuple[str, str], list[int]] = {_group_name(tree, [minimum]): [] for minimum in range(len(tree))}
    for position, minimum in enumerate(order):
        sets[_group_name(tree, [minimum])].append(position)
    return [
        Points(
            positions,
            tree.energies[[order[p] for p in positions]],
            label,
            role,
            marker_of(role) if tree.groups else "circle",
            tuple(tree.labels[order[p]] for p in positions),
        )
        for (label, role), positions in sets.items()
    ]


def _lines(tree: BarrierTree, nodes: Sequence[Superbasin], lines: Sequence[Branch]) -> list[Mark]:
    marks = []
    for line in lines:
        minima = nodes[line.node].minima
        label, role = _group_name(tree, minima) if line.joined else ("no path known", "neutral")
        member = tree.labels[minima[0]] if len(minima) == 1 else f"{len(minima)} minima"
        faint = len(tree) > _BOLD
        marks.append(Line(line.x, line.y, label, role, member, dashed=not line.joined, faint=faint))
    # Neighbours of one label become one trace.
    labels = [_group_name(tree, [m])[0] for m in range(len(tree))] + ["several groups", "no path known"]
    return sorted(marks, key=lambda mark: labels.index(mark.label))


def _caption(tree: BarrierTree, drawn: int, trees: int, levels: Sequence[float] | None) -> str:
    parts = ["Each branch ends at one minimum and joins others at the height of the lowest known pass between them."]
    if levels is not None:
        parts.append(f"Heights are rounded up to {len(levels)} levels.")
    groups = list(dict.fromkeys(tree.groups or ()))
    if 1 < len(groups) <= 4:
        of = {group: [k for k, own in enumerate(tree.groups or ()) if own == group] for group in groups}
        for group, members in of.items():
            block = tree.minimax[members][:, members]
            if len(members) > 1 and bool(block.isfinite().all()):
                height = number(float(block.max()))
                parts.append(f"The {len(members)} minima of {optimizer_name(group)} are all joined at {height}.")
        between = min(
            (float(tree.minimax[of[a]][:, of[b]].min()) for i, a in enumerate(groups) for b in groups[:i]),
            default=float("inf"),
        )
        if np.isfinite(between):
            names = listing([optimizer_name(group) for group in groups])
            parts.append(f"Minima of different groups ({names}) first meet at {number(between)}.")
    if trees > 1:
        parts.append(f"Dashed: {trees} sets that no known path joins.")
    if drawn < len(tree):
        parts.append(f"The {drawn} most persistent of {len(tree)} minima are drawn.")
    return " ".join(parts)
