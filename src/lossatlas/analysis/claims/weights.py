"""Numbers for claims from where two sets of weights lie."""

from __future__ import annotations

import math

from lossatlas.analysis.claims.inputs import Measured, Score, Scored
from lossatlas.analysis.sample import Sample
from lossatlas.analysis.separation import Separation, auc_interval
from lossatlas.analysis.spread import CommonOrigin

__all__ = ["origin_numbers", "separation_score"]

Set = tuple[str, str]

_SEEN = 4


def origin_numbers(
    origin: CommonOrigin, first: Set, second: Set, figure: str
) -> tuple[dict[Measured, Sample], dict[Scored, Score]]:
    """Lengths of two sets from their common origin, and how far apart their centroids are.

    Args:
        origin: of the two sets.
        first: optimizer and weight set of the first, ``("lbfgs-gss", "train")``.
        second: of the second.
        figure: ``"Fig. 5"`` (training set of L-BFGS-GSS) or ``"Fig. S3"`` (its test set).

    Returns:
        Samples and scores. The p-value of the centroids is of equal means, whatever the distance is beside the radii.

    Example:
        >>> import torch
        >>> from lossatlas.analysis.spread import common_origin
        >>> origin = common_origin(torch.eye(6)[:3], 2 * torch.eye(6)[3:], permutations=9)
        >>> samples, scores = origin_numbers(origin, ("lbfgs-gss", "train"), ("sgd", "test"), "Fig. 5")
        >>> [str(name) for name in (*samples, *scores)][1:]
        ['length, sgd test set, Fig. 5', 'centroid offset, lbfgs-gss train set and sgd test set']
    """
    samples = {
        Measured("length", *each, way=figure): Sample.of_runs(distances)
        for each, distances in zip((first, second), origin.distances, strict=True)
    }
    units = sum(len(distances) for distances in origin.distances)
    if origin.offset is None:
        return samples, {}
    low, high = (end if math.isfinite(end) else None for end in (origin.offset.low, origin.offset.high))
    score = Score(origin.offset.mean, low, high, origin.test.p_value, units)
    return samples, {Scored("centroid offset", first, second): score}


def separation_score(separation: Separation, *, seen: float | None = None) -> Score:
    """The score |2 AUC − 1| along the first component, with its interval.

    Args:
        separation: of the first component of kernel PCA; its name is
            ``Scored("separation, rbf kernel", ("lbfgs-gss", "train"), ("sgd", "test"))``, or another kernel's or set's.
        seen: n |r_A² − r_B²| / d, which must be above 4 for the RBF kernel to show radii along its first component (see
            :func:`~lossatlas.analysis.kernel_pca.kernel_pca`); None where that does not matter.
    """
    low, high = separation.score_interval
    sure = auc_interval(1.0, *separation.counts)[0]
    doubt = ""
    if seen is not None and seen < _SEEN:
        doubt = f"n |r₁² − r₂²| / d = {seen:.2g} is below {_SEEN}: too few minima to see radii in this component"
    return Score(separation.score, low, high, separation.p_value, sum(separation.counts), 2 * sure - 1, doubt)
