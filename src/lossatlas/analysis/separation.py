"""Separation: how well coordinates tell two sets of minima apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree

__all__ = ["Separation", "separation"]

Array = NDArray[np.float64]

_EDGE = 1e-12


@dataclass(frozen=True)
class Separation:
    """How well coordinates tell two sets apart; made by :func:`separation`.

    Args:
        sets: names of the two sets, A and B, in alphabetical order.
        counts: their numbers of minima.
        auc: A = P(y_b > y_a) + P(y_b = y_a)/2 along the first coordinate; 1/2: not at all, 0 or 1: completely.
        low: lower end of its interval.
        high: upper end.
        p_value: two-sided, of the hypothesis that the labels mean nothing.
        balanced_accuracy: of linear discriminants in the first coordinates, each fitted without the point it judges.
        features: number of coordinates that the discriminants use.
    """

    sets: tuple[str, str]
    counts: tuple[int, int]
    auc: float
    low: float
    high: float
    p_value: float
    balanced_accuracy: float
    features: int

    @property
    def score(self) -> float:
        """|2A − 1|, from 0 to 1: whichever side a set is on."""
        return abs(2 * self.auc - 1)

    @property
    def score_interval(self) -> tuple[float, float]:
        """Interval of the score, from that of A."""
        low, high = sorted((abs(2 * self.low - 1), abs(2 * self.high - 1)))
        return (0.0, high) if self.low <= 0.5 <= self.high else (low, high)

    @property
    def null_score(self) -> float:
        """What the score is on average where labels mean nothing: √(2(n+m+1) / 3π nm), of the normal limit."""
        n, m = self.counts
        return math.sqrt(2 * (n + m + 1) / (3 * math.pi * n * m))

    def to_tree(self) -> Tree:
        """Return a dict of numbers and strings, the form in which separations are stored."""
        return asdict(self)

    @classmethod
    def from_tree(cls, tree: Tree) -> Separation:
        """Rebuild a separation from :meth:`to_tree`."""
        return cls(**(tree | {"sets": tuple(tree["sets"]), "counts": tuple(tree["counts"])}))


def separation(
    coordinates: Tensor, labels: Sequence[str], *, features: int = 2, confidence: float = 0.95
) -> Separation:
    """Score how far two sets are apart in coordinates, such as principal components.

    *Along the first coordinate*: the area A under the ROC curve, U/nm of Mann & Whitney, and |2A − 1| (the absolute
    rank-biserial correlation), which no monotone map of the coordinate changes. Where labels mean nothing, its mean is
    ``null_score``: 0.095 for 48 and 48 minima. p is exact (all relabellings), since principal components do not know
    the labels; where values tie, from the normal limit with the correction for ties. The interval is Newcombe's
    (2006, method 5): all A whose standard deviation, with N = (n+m)/2,
    √(A(1−A)/nm · [1 + (N−1)((1−A)/(2−A) + A/(1+A))]), reaches the A that was found; it has a width at A = 1 too. It
    takes the coordinate as given.

    *In the first two*: balanced accuracy, the mean of the two sets' shares put right, by linear discriminant analysis
    with equal priors (Fisher's), leaving out one point at a time. Chance is 1/2, give or take 0.1 for 48 and 48 minima.
    It is no test: of a compact set amid a scattered one, a line beside the first puts 3/4 right.

    Args:
        coordinates: ``(n,)`` or ``(n, k)``, one row per minimum.
        labels: the set of each row; two different ones.
        features: how many coordinates the discriminants may use; those that are constant are left out.
        confidence: of the interval.

    Raises:
        InputError: not two sets, fewer than two minima in one, or coordinates that are not finite.

    Reference:
        Mann & Whitney 1947, Ann. Math. Statist. 18, 50; Newcombe 2006, Statistics in Medicine 25, 559; Fisher 1936,
        Ann. Eugenics 7, 179.

    Example:
        >>> import torch
        >>> found = separation(torch.tensor([0.0, 1.0, 2.0, 5.0, 6.0, 7.0]), ["sgd"] * 3 + ["bfgs"] * 3)
        >>> found.sets, found.auc, found.score, found.p_value, found.balanced_accuracy
        (('bfgs', 'sgd'), 0.0, 1.0, 0.1, 1.0)
    """
    points = coordinates.detach().cpu().double().numpy()
    points = points[:, None] if points.ndim == 1 else points
    names = sorted(set(labels))
    counts = [sum(label == name for label in labels) for name in names]
    if points.ndim != 2 or len(points) != len(labels) or points.shape[1] == 0 or not np.isfinite(points).all():
        raise InputError(
            f"expected finite coordinates (n, k) for {len(labels)} labels, got shape {tuple(coordinates.shape)}"
        )
    if len(names) != 2 or min(counts) < 2 or features < 1:
        raise InputError(
            f"expected two sets of at least 2 minima and at least 1 feature, got sets {names} of {counts} minima and "
            f"{features} features"
        )
    second = np.array([label == names[1] for label in labels])
    line = points[:, 0]
    auc, p_value = _mann_whitney(line[~second], line[second])
    low, high = auc_interval(auc, counts[0], counts[1], confidence)
    chosen = points[:, :features]
    chosen = chosen[:, np.ptp(chosen, axis=0) > 0]
    return Separation(
        (names[0], names[1]),
        (counts[0], counts[1]),
        auc,
        low,
        high,
        p_value,
        _accuracy(chosen, second),
        chosen.shape[1],
    )


def _mann_whitney(a: Array, b: Array) -> tuple[float, float]:
    values = np.concatenate([a, b])
    if np.ptp(values) == 0:
        return 0.5, 1.0
    method = "exact" if len(np.unique(values)) == len(values) else "asymptotic"
    found = stats.mannwhitneyu(b, a, alternative="two-sided", method=method)
    return float(found.statistic) / (len(a) * len(b)), float(found.pvalue)


def auc_interval(auc: float, n: int, m: int, confidence: float = 0.95) -> tuple[float, float]:
    """Newcombe's interval of an area under the ROC curve, from the area and the sizes of the two sets alone.

    Example:
        >>> [round(end, 3) for end in auc_interval(1.0, 8, 8)]
        [0.756, 1.0]
    """
    z = stats.norm.ppf(0.5 + confidence / 2)
    half = (n + m) / 2 - 1

    def excess(a: float) -> float:
        variance = a * (1 - a) / (n * m) * (1 + half * ((1 - a) / (2 - a) + a / (1 + a)))
        return float(abs(a - auc) - z * math.sqrt(max(variance, 0)))

    # At A = 0 and 1 the standard deviation vanishes, which is no bound of the interval.
    inner = min(max(auc, _EDGE), 1 - _EDGE)
    low = 0.0 if auc == 0 else float(optimize.brentq(excess, 0, inner, xtol=_EDGE))
    high = 1.0 if auc == 1 else float(optimize.brentq(excess, inner, 1, xtol=_EDGE))
    return low, high


def _accuracy(points: Array, second: NDArray[np.bool_]) -> float:
    """Balanced accuracy of Fisher's linear discriminants, each fitted to all points but the one that it judges."""
    n, features = points.shape
    if features == 0:
        return 0.5
    points = points - points.mean(axis=0)
    points = points / np.abs(points).max(axis=0)
    others = 1 - np.eye(n)

    def means(members: NDArray[np.bool_]) -> Array:
        kept = others[:, members]
        found: Array = kept @ points[members] / kept.sum(axis=1, keepdims=True)
        return found

    a, b, centre = means(~second), means(second), others @ points / (n - 1)
    # Of all scatter, not of that within the sets, which may be zero; the direction is the same. The pseudo-inverse:
    # coordinates may depend on each other.
    products = np.einsum("nk,nl->nkl", points, points)
    scatter = products.sum(axis=0) - products - (n - 1) * np.einsum("nk,nl->nkl", centre, centre)
    direction = np.einsum("nkl,nl->nk", np.linalg.pinv(scatter, rcond=1e-10, hermitian=True), b - a)
    correct = ((direction * (points - (a + b) / 2)).sum(axis=1) > 0) == second
    return float((correct[~second].mean() + correct[second].mean()) / 2)
