"""Kernel PCA of the minima of two optimizers, as in Figs. 6 and S4 of the paper."""

from __future__ import annotations

import math

import numpy as np

from lossatlas.analysis import KernelPCA, Separation
from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.comparisons import KINDS, Compared, compared, set_label
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Mark, Points
from lossatlas.report.palette import marker_of
from lossatlas.report.wording import listing, number
from lossatlas.study.results import StudyResults

__all__ = ["build", "kernel_panel"]

_NAMES = {"rbf": "RBF", "poly": "polynomial", "sigmoid": "sigmoid", "linear": "linear"}


def _component(pca: KernelPCA, which: int) -> Axis:
    share = float(pca.explained[which])
    return Axis(f"Component {which + 1}", f"{100 * share:.3g} %" if math.isfinite(share) else "")


def kernel_panel(one: Compared, pca: KernelPCA, title: str, *, plain: bool = False) -> Panel:
    """Draw the first two components of a kernel, coloured by optimizer.

    Args:
        one: the two sets.
        pca: their components, rows of the first set before those of the second.
        title: heading of the panel.
        plain: labels are names of optimizers alone.
    """
    points = pca.coordinates.numpy()
    second = points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))
    marks: list[Mark] = []
    start = 0
    for side, distances in zip(one.sides, one.pair.origin.distances, strict=True):
        rows = slice(start, start + len(distances))
        start = rows.stop
        label = side.name if plain else set_label(side, one.kind)
        marks.append(
            Points(points[rows, 0], second[rows], label, side.optimizer, marker_of(side.optimizer), side.members)
        )
    across = _component(pca, 1) if points.shape[1] > 1 else Axis("Component 2", "there is none")
    return Panel(title, _component(pca, 0), across, tuple(marks))


def _title(one: Compared, kernel: str, separation: Separation, *, named: bool) -> str:
    score, p = f"{separation.score:.2f}", f"p = {number(separation.p_value)}"
    # Short, where three panels stand side by side.
    return f"{one.title}, {_NAMES[kernel]}: {score} ({p})" if named else f"{one.title}: separation {score}, {p}"


def _panels(members: list[Compared], *, rbf: bool) -> list[Panel]:
    return [
        kernel_panel(one, pca, _title(one, pca.kernel.name, separation, named=not rbf))
        for one in members
        for pca, separation in one.pair.components
        if (pca.kernel.name == "rbf") == rbf
    ]


def _scores(members: list[Compared]) -> str:
    by_chance = sorted({separation.null_score for one in members for _, separation in one.pair.components})
    low, high = f"{by_chance[0]:.2f}", f"{by_chance[-1]:.2f}"
    return (
        "Above each panel: the separation |2A − 1| along component 1, with A the probability that a minimum of the one "
        "set lies beyond one of the other, and the p of Mann and Whitney's test; 1 is complete separation, and "
        f"{low if low == high else f'{low} to {high}'} is what chance gives on average for so few minima."
    )


def _of_rbf(members: list[Compared]) -> list[tuple[Compared, KernelPCA]]:
    return [(one, pca) for one in members for pca, _ in one.pair.components if pca.kernel.name == "rbf"]


def _rbf(kind: str, members: list[Compared]) -> Figure | None:
    panels = _panels(members, rbf=True)
    if not panels:
        return None
    kernels = [(pca.kernel.gamma or 0.0) * pca.dim for _, pca in _of_rbf(members)]
    width = "2σ² = number of parameters" if np.allclose(kernels, 1.0) else "2σ² = 1/γ"
    radial = [f"{one.title} {number(float(pca.radial[0]))}" for one, pca in _of_rbf(members)]
    caption = (
        f"Each point is one minimum in the first two principal components of the kernel exp(−|x − y|²/2σ²), {width}; "
        "axes give their shares of the variance. "
        f"Rank correlation of component 1 with the distance from the common mean: {listing(radial)}. Where it is near "
        "1, sets that part along component 1 lie in shells of different radius. "
        f"{_scores(members)}"
    )
    title = f"Kernel PCA with the RBF kernel, {KINDS[kind]}"
    return Figure(f"kernel-pca-rbf-{kind}", title, caption, tuple(panels), columns=2)


def _others(kind: str, members: list[Compared]) -> Figure | None:
    panels = _panels(members, rbf=False)
    if not panels:
        return None
    caption = (
        "The same minima with kernels that are functions of inner products. Vectors that are nearly orthogonal look "
        "alike to them whatever their lengths, so radii alone do not separate sets here. " + _scores(members)
    )
    title = f"Kernel PCA with other kernels, {KINDS[kind]}"
    return Figure(f"kernel-pca-others-{kind}", title, caption, tuple(panels), columns=3)


def build(results: StudyResults) -> Section | None:
    """Draw the components of every kernel for each kind of comparison, and show the table of scores."""
    blocks: list[Block] = []
    for kind, members in compared(results).items():
        blocks += [figure for figure in (_rbf(kind, members), _others(kind, members)) if figure is not None]
    if not blocks:
        return None
    intro = Prose(
        "Can minima of two optimizers be told apart without being told which is which? Kernel PCA knows no labels: it "
        "finds the coordinates in which the minima of both together vary most. Signs are fixed so that minima far from "
        "the mean have positive first components."
    )
    table = results.tables.get("separation")
    shown = (table,) if table is not None and table.rows else ()
    return Section("kernel-pca", "Kernel PCA of the minima", (intro, *blocks, *shown))
