"""Tables of what sets of weights look like: sizes, distances, separation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lossatlas.analysis.kernel_pca import KernelPCA
from lossatlas.analysis.separation import Separation
from lossatlas.analysis.spread import CommonOrigin
from lossatlas.analysis.uncertainty import Estimate
from lossatlas.analysis.weight_statistics import ComponentStatistics, WeightStatistics
from lossatlas.core.table import Column, Table

__all__ = ["SetKey", "TwoSets", "distance_table", "separation_table", "tensor_table", "weight_table"]

SetKey = tuple[str, str, str]
"""Network, optimizer, weight set."""

TwoSets = tuple[str, str, str]
"""Network, first set, second set, such as ``("fcp", "bfgs-train", "sgd-test")``."""


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _pair(estimate: Estimate) -> tuple[float | None, float | None]:
    return _number(estimate.mean), _number(estimate.error)


def _sizes(found: ComponentStatistics) -> tuple[float | None, ...]:
    return (*_pair(found.mean), *_pair(found.deviation))


_SET = (Column("network", "Network"), Column("optimizer", "Optimizer"), Column("weight_set", "Weight set"))
_SIZES = (
    Column("mean", "Mean μ", "", ".2e"),
    Column("mean_error", "± s.e.", "", ".0e"),
    Column("deviation", "Standard deviation σ", "", ".2e"),
    Column("deviation_error", "± s.e.", "", ".0e"),
)


def weight_table(statistics: Mapping[SetKey, WeightStatistics]) -> Table:
    """Table S1 of the paper, with errors over minima and the lengths of the vectors.

    Args:
        statistics: by network, optimizer and weight set.

    Example:
        >>> import torch
        >>> from lossatlas.analysis import weight_statistics
        >>> table = weight_table({("fcp", "sgd", "train"): weight_statistics(torch.tensor([[1.0, 3.0], [2.0, 6.0]]))})
        >>> table.column("mean"), table.column("mean_error")
        ([3.0], [1.0])
    """
    columns = (
        *_SET,
        Column("minima", "Minima", "", "d"),
        Column("parameters", "Parameters", "", ",d"),
        *_SIZES,
        Column("norm_mean", "Length |w|", "", ".4g"),
        Column("norm_error", "± s.e.", "", ".1g"),
        Column("norm_deviation", "Its standard deviation", "", ".3g"),
        Column("norm_deviation_error", "± s.e.", "", ".1g"),
    )
    rows = tuple(
        (
            *key,
            found.minima,
            found.components.size,
            *_sizes(found.components),
            *_pair(found.norm),
            *_pair(found.norm_deviation),
        )
        for key, found in statistics.items()
    )
    return Table(
        "table_s1",
        "Weight statistics",
        "Mean and standard deviation of all components of all weight vectors of a set, and of the lengths of the "
        "vectors. Standard errors are over minima: the components of one minimum are not independent.",
        columns,
        rows,
    )


def tensor_table(statistics: Mapping[SetKey, WeightStatistics]) -> Table:
    """Mean and standard deviation of the components of each parameter tensor.

    Args:
        statistics: by network, optimizer and weight set, made with a spec; those without have no rows.
    """
    columns = (*_SET, Column("tensor", "Parameter"), Column("parameters", "Components", "", ",d"), *_SIZES)
    rows = tuple(
        (*key, part.name, part.size, *_sizes(part)) for key, found in statistics.items() for part in found.tensors
    )
    return Table(
        "weights_by_tensor",
        "Weight statistics by parameter tensor",
        "As in the table of weight statistics, for each parameter tensor of the network.",
        columns,
        rows,
    )


def distance_table(origins: Mapping[TwoSets, CommonOrigin]) -> Table:
    """Distances of two sets from their common origin, and the test for a preferred direction.

    Args:
        origins: by network, first and second set.
    """
    columns = (
        Column("network", "Network"),
        Column("first", "First set"),
        Column("second", "Second set"),
        Column("first_minima", "Minima of the first", "", "d"),
        Column("second_minima", "of the second", "", "d"),
        Column("first_radius", "Distance of the first", "", ".4g"),
        Column("first_radius_error", "± s.e.", "", ".1g"),
        Column("second_radius", "of the second", "", ".4g"),
        Column("second_radius_error", "± s.e.", "", ".1g"),
        Column("centroid_distance", "of the centroids", "", ".3g"),
        Column("null_distance", "expected without preferred direction", "", ".3g"),
        Column("ratio", "Ratio", "", ".3f"),
        Column("p_value", "p", "", ".2g"),
        Column("between", "Between members of the two", "", ".4g"),
        Column("between_error", "± s.e.", "", ".1g"),
    )
    rows = tuple(
        (
            *key,
            len(found.distances[0]),
            len(found.distances[1]),
            *_pair(found.radii[0]),
            *_pair(found.radii[1]),
            found.centroid_distance,
            found.null_distance,
            _number(found.test.ratio),
            found.test.p_value,
            *_pair(found.between),
        )
        for key, found in origins.items()
    )
    return Table(
        "distances",
        "Distances from the common origin",
        "The common origin is the mean of the two centroids. Centroids of finitely many independent vectors never "
        "coincide: beside their distance stands the one expected without a preferred direction, and p, the probability "
        "of a ratio at least as large if the two sets had the same mean.",
        columns,
        rows,
    )


def separation_table(found: Mapping[TwoSets, Sequence[tuple[KernelPCA, Separation]]]) -> Table:
    """How well kernel PCA tells two sets apart, kernel by kernel.

    Args:
        found: components and their scores for each kernel, by network, first and second set.
    """
    columns = (
        Column("network", "Network"),
        Column("first", "First set"),
        Column("second", "Second set"),
        Column("kernel", "Kernel"),
        Column("gamma", "γ", "", ".3g"),
        Column("degree", "Degree", "", "d"),
        Column("coef0", "Constant", "", "g"),
        Column("explained_1", "Explained by component 1", "", ".1%"),
        Column("explained_2", "by component 2", "", ".1%"),
        Column("radial", "Rank correlation of component 1 with the radius", "", ".3f"),
        Column("score", "Separation |2A − 1|", "", ".3f"),
        Column("score_low", "95 % from", "", ".3f"),
        Column("score_high", "to", "", ".3f"),
        Column("null_score", "By chance", "", ".3f"),
        Column("p_value", "p", "", ".2g"),
        Column("balanced_accuracy", "Balanced accuracy", "", ".1%"),
    )
    rows = []
    for key, kernels in found.items():
        for pca, score in kernels:
            kernel, explained = pca.kernel, pca.explained.tolist()
            rows.append(
                (
                    *key,
                    kernel.name,
                    None if kernel.name == "linear" else kernel.gamma,
                    kernel.degree if kernel.name == "poly" else None,
                    kernel.coef0 if kernel.name in {"poly", "sigmoid"} else None,
                    explained[0],
                    explained[1] if len(explained) > 1 else None,
                    _number(float(pca.radial[0])),
                    score.score,
                    *score.score_interval,
                    score.null_score,
                    score.p_value,
                    score.balanced_accuracy,
                )
            )
    return Table(
        "separation",
        "Separation by kernel PCA",
        "A is the probability that a minimum of one set lies beyond one of the other along component 1, so |2A − 1| is "
        "1 for complete separation; p is that of the exact Mann-Whitney test. Balanced accuracy is that of linear "
        "discriminants in the first components, leaving out the minimum judged; 50 % is chance.",
        columns,
        tuple(rows),
    )
