"""generalisation: do sharp minima generalise worse? Measures of sharpness beside the gap, over an ensemble."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.analysis.rank_interval import RankMethod
from lossatlas.analysis.rank_order import RankCorrelation, rank_correlation
from lossatlas.core.errors import InputError
from lossatlas.core.table import Column, Table
from lossatlas.curvature.measures import measure, measures
from lossatlas.landscape.contract import Landscape, SupportsMetrics, accept_rows, check_rows

__all__ = ["GapOf", "Generalisation", "generalisation", "generalisation_table"]

GapOf: TypeAlias = Literal["loss", "error"]
"""Test minus training loss, or training minus test accuracy."""


@dataclass(frozen=True)
class Generalisation:
    """Sharpness of minima beside their generalisation gaps.

    Args:
        gap: ``(n,)``, test minus training loss, or training minus test accuracy.
        gap_of: which.
        train: ``(n,)``, training loss or accuracy.
        test: ``(n,)``, the same on the test data.
        sharpness: name of the measure to ``(n,)``.
        correlations: name of the measure to its rank correlation with the gap.
    """

    gap: Tensor
    gap_of: GapOf
    train: Tensor
    test: Tensor
    sharpness: Mapping[str, Tensor]
    correlations: Mapping[str, RankCorrelation]


def generalisation(
    train: Landscape,
    test: Landscape,
    w: Tensor,
    *,
    names: Sequence[str] | None = None,
    gap: GapOf = "loss",
    method: RankMethod = "kendall",
    confidence: float = 0.95,
    seed: int = 0,
) -> Generalisation:
    """Correlate measures of sharpness with the generalisation gap over an ensemble of minima.

    A correlation over minima of one network is a statement about that network, those data and the way the minima were
    made; it is no law, and no cause. Of few minima the intervals are wide: 10 tell τ to within about ±0.5.

    Args:
        train: loss over the training data, of which the sharpness is measured.
        test: loss over the test data.
        w: minima ``(n, d)``, n ≥ 2.
        names: of :data:`lossatlas.curvature.measures`; None: all.
        gap: ``"loss"``, or ``"error"`` where the landscapes report accuracies.
        method: ``"kendall"`` or ``"spearman"``.
        confidence: of the intervals.
        seed: names the random numbers.

    Returns:
        The measures, the gaps, and their rank correlations with intervals.

    Raises:
        InputError: not at least two minima, landscapes of different networks, or no accuracy.

    Example:
        >>> from lossatlas import landscape
        >>> train = landscape.get("quadratic", dim=1, eigenvalues=[1.0])
        >>> test = landscape.get("quadratic", dim=1, eigenvalues=[3.0])
        >>> w = torch.linspace(1, 2, 6, dtype=torch.float64)[:, None]
        >>> found = generalisation(train, test, w, names=["relative trace"])
        >>> found.correlations["relative trace"].value
        1.0
    """
    w = accept_rows(w, train)
    check_rows(w, test)
    if w.ndim != 2 or len(w) < 2:
        raise InputError(f"expected at least two minima as (n, {train.dim}), got shape {tuple(w.shape)}")
    before, after = (_score(each, w, gap) for each in (train, test))
    difference = after - before if gap == "loss" else before - after
    sharpness = measure(train, w, names, seed=seed)
    correlations = {
        name: rank_correlation(values.tolist(), difference.tolist(), method=method, confidence=confidence, seed=seed)
        for name, values in sharpness.items()
    }
    return Generalisation(difference, gap, before, after, sharpness, correlations)


def _score(landscape: Landscape, w: Tensor, gap: GapOf) -> Tensor:
    exact = landscape.to(dtype=torch.float64)
    if gap == "loss":
        return exact.value(w.double()).cpu()
    found = exact.metrics(w.double()) if isinstance(exact, SupportsMetrics) else {}
    if gap != "error" or "accuracy" not in found:
        raise InputError(f"expected gap 'loss', or 'error' of landscapes with an accuracy, got '{gap}'")
    return found["accuracy"].double().cpu()


def generalisation_table(found: Generalisation) -> Table:
    """One row per measure: its range over the minima and its rank correlation with the gap.

    Args:
        found: what :func:`generalisation` returned.

    Example:
        >>> numbers = torch.tensor([1.0, 2.0, 3.0, 4.0])
        >>> one = {"trace": rank_correlation(numbers.tolist(), numbers.tolist())}
        >>> table = generalisation_table(Generalisation(numbers, "loss", numbers, numbers, {"trace": numbers}, one))
        >>> table.column("correlation"), table.column("invariant")
        ([1.0], [False])
    """

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    rows = [
        (
            name, measures[name].invariant if name in measures else None, float(values.min()), float(values.max()),
            finite(r.value), finite(r.low), finite(r.high), finite(r.p_value), r.minima,
        )
        for name, values in found.sharpness.items()
        for r in (found.correlations[name],)
    ]  # fmt: skip
    first = next(iter(found.correlations.values()), None)
    words = "Spearman's ρ" if first is not None and first.method == "spearman" else "Kendall's τ"
    gap = "test minus training loss" if found.gap_of == "loss" else "training minus test accuracy"
    return Table(
        "generalisation",
        "Sharpness and the generalisation gap",
        f"{words} of each measure with the gap ({gap}) over the minima, with its interval (jackknife over minima, not "
        "shorter than that of normal numbers) and the p-value of no association by permutation. Invariant: the measure "
        "stays where the layers of a ReLU network are rescaled.",
        (
            Column("measure", "Measure"),
            Column("invariant", "Invariant"),
            Column("lowest", "Lowest", "", ".3g"),
            Column("highest", "Highest", "", ".3g"),
            Column("correlation", words, "", ".2f"),
            Column("low", "from", "", ".2f"),
            Column("high", "to", "", ".2f"),
            Column("p_value", "p", "", ".2g"),
            Column("minima", "Minima", "", "d"),
        ),
        tuple(rows),
    )
