"""Do two sets of points have the same centroid? A test for many more coordinates than points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.analysis.comparison import welch
from lossatlas.analysis.uncertainty import Estimate, estimate_from_error
from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator

__all__ = ["CentroidTest", "centroid_test", "checked_pairs", "relative_offset"]

# Permutations at a time: 256 rows of some hundred points keep the products small.
_BLOCK = 256
# Statistics that are equal in exact arithmetic, such as that of the labels turned round, differ by rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class CentroidTest:
    """Whether two centroids differ by more than independent draws do; made by :func:`centroid_test`.

    Args:
        distance: |w̄_A − w̄_B|.
        null_distance: root mean square of the distance when both sets are independent draws about one mean:
            √(s_A²/n_A + s_B²/n_B), with s² = Σ_i |w_i − w̄|² / (n − 1); less where points come in pairs.
        offset_squared: |w̄_A − w̄_B|² − null_distance², which estimates the squared distance of the two means without
            bias; negative about half the time where they are equal.
        p_value: share of relabellings that are at least as far apart.
        permutations: random relabellings drawn.
    """

    distance: float
    null_distance: float
    offset_squared: float
    p_value: float
    permutations: int

    @property
    def ratio(self) -> float:
        """Ratio of distance to null_distance: about 1 without a preferred direction; NaN where nothing varies."""
        return self.distance / self.null_distance if self.null_distance > 0 else math.nan


def centroid_test(
    gram: Tensor, first: int, *, pairs: Sequence[tuple[int, int]] = (), permutations: int = 9999, seed: int = 0
) -> CentroidTest:
    """Test whether two sets share their mean, from inner products alone.

    The squared distance of the means is estimated without bias by
    T = Σ_{i≠j∈A} G_ij / n_A(n_A−1) + Σ_{i≠j∈B} G_ij / n_B(n_B−1) − 2 Σ_{i∈A,j∈B} G_ij / n_A n_B
    (Chen & Qin 2010), which equals |w̄_A − w̄_B|² − s_A²/n_A − s_B²/n_B. It is divided by its standard deviation under
    equal means, with G about the common mean,
    Var T ≈ 2 Σ_{i≠j∈A} G_ij²/(n_A(n_A−1))² + 2 Σ_{i≠j∈B} G_ij²/(n_B(n_B−1))² + 4 Σ_{i∈A,j∈B} G_ij²/(n_A n_B)²,
    and compared with its values under random relabellings: p = (1 + #{T* ≥ T}) / (1 + permutations). Divided so, sets
    of different spread and size are compared fairly although relabelling mixes them (Chung & Romano 2013): what is
    tested is the means, not the spreads.

    A run of one set and a run of the other that share their initial weights are alike, which draws the centroids
    together. Such pairs are left out of the last sum, and relabelling swaps their members only with one another.

    Args:
        gram: ``(n, n)``, float64, inner products about an origin near the points, the first set before the second; see
            :func:`~lossatlas.analysis.gram.gram_matrix`.
        first: n_A, how many rows are of the first set.
        pairs: (i, j), row i of the first set and row j of the second, that are not independent of one another.
        permutations: random relabellings; the smallest p is 1/(1 + permutations).
        seed: names the relabellings.

    Raises:
        InputError: fewer than two points in a set, no permutations, or pairs of points that are not there or occur
            twice.

    Reference:
        Chen & Qin 2010, *A two-sample test for high-dimensional data with applications to gene-set testing*,
        Ann. Statist. 38, 808; Chung & Romano 2013, *Exact and asymptotically robust permutation tests*,
        Ann. Statist. 41, 484.

    Example:
        >>> points = torch.eye(8, dtype=torch.float64)  # eight directions, none preferred
        >>> found = centroid_test(points @ points.T, 4)
        >>> round(found.ratio, 12), found.p_value
        (1.0, 1.0)
    """
    n, m = first, len(gram) - first
    if min(n, m) < 2 or permutations < 1:
        raise InputError(
            f"expected at least 2 points in each set and at least 1 permutation, got {n}, {m} and {permutations}"
        )
    together = checked_pairs(pairs, n, m)
    left, right = [i for i, _ in together], [n + j for _, j in together]
    independent = torch.ones(n + m, n + m, dtype=torch.float64).fill_diagonal_(0)
    independent[left, right] = independent[right, left] = 0
    products = _centred_products(gram, independent)
    squares = products.square()
    inside, outside, across = n * (n - 1), m * (m - 1), n * m - len(pairs)

    def statistics(members: Tensor) -> tuple[Tensor, Tensor]:
        """T and its variance for ``(P, n + m)`` indicators of the first set."""
        others = 1 - members

        def forms(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            own, other = members @ matrix, others @ matrix
            return (own * members).sum(-1), (other * others).sum(-1), (own * others).sum(-1)

        a, b, ab = forms(products)
        t = a / inside + b / outside - 2 * ab / across
        a, b, ab = forms(squares)
        return t, 2 * a / inside**2 + 2 * b / outside**2 + 4 * ab / across**2

    labels = torch.zeros(1, n + m, dtype=torch.float64)
    labels[0, :n] = 1
    offset, variance = statistics(labels)
    observed = _studentised(offset, variance)
    stream = generator(seed, "relabellings", n, m)
    free = torch.tensor(sorted(set(range(n + m)) - {*left, *right}), dtype=torch.int64)
    beyond, slack = 0, _ROUNDING * max(1.0, abs(float(observed)))
    for start in range(0, permutations, _BLOCK):
        count = min(_BLOCK, permutations - start)
        order = torch.rand(count, len(free), generator=stream, dtype=torch.float64).argsort(dim=1)
        members = labels.repeat(count, 1)
        members[:, free] = labels[0, free][order]
        members[:, left] = torch.randint(2, (count, len(pairs)), generator=stream).double()
        members[:, right] = 1 - members[:, left]
        t, variance = statistics(members)
        beyond += int((_studentised(t, variance) >= observed - slack).sum())
    indicator = labels[0] / n - (1 - labels[0]) / m
    squared = float((indicator @ gram @ indicator).clamp(min=0))
    null = _variance_of_mean(gram[:n, :n]) + _variance_of_mean(gram[n:, n:])
    if pairs:
        null = max(squared - float(offset), 0.0)
    return CentroidTest(
        math.sqrt(squared), math.sqrt(null), squared - null, (1 + beyond) / (1 + permutations), permutations
    )


def relative_offset(
    gram: Tensor, first: int, *, pairs: Sequence[tuple[int, int]] = (), confidence: float = 0.95
) -> Estimate:
    """Squared distance of either centroid from the common origin over the squared mean radius, without bias.

    ρ² = T / 4r², with T the unbiased estimate of |μ_A − μ_B|² of :func:`centroid_test` and r the mean of the two sets'
    mean distances from the origin. Its variance is that of a jackknife over the points of either set,
    V = Σ_k (n_k − 1)/n_k Σ_{i∈k} (ρ²_(i) − ρ̄²_k)².

    Args:
        gram: ``(n, n)``, float64, inner products about the common origin, the first set before the second.
        first: how many rows are of the first set.
        pairs: row i of the first set and row j of the second that are not independent of one another.
        confidence: of the interval.

    Returns:
        The estimate; it may be negative where the means are equal.

    Raises:
        InputError: fewer than two points in a set, or pairs of points that are not there or occur twice.

    Reference:
        Chen & Qin 2010 for T; Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, section 11.3.

    Example:
        >>> points = torch.eye(8, dtype=torch.float64)
        >>> abs(round(relative_offset(points @ points.T, 4).mean, 12))
        0.0
    """
    n, m = first, len(gram) - first
    if min(n, m) < 2:
        raise InputError(f"expected at least 2 points in each set, got {n} and {m}")
    allowed = torch.ones(n + m, n + m, dtype=torch.float64).fill_diagonal_(0)
    for i, j in checked_pairs(pairs, n, m):
        allowed[i, n + j] = allowed[n + j, i] = 0
    radii = gram.diagonal().clamp(min=0).sqrt()

    def found(keep: Tensor) -> float:
        own, others = keep[keep < n], keep[keep >= n]
        means = []
        for rows, columns in ((own, own), (others, others), (own, others)):
            weights = allowed[rows][:, columns]
            means.append(float((gram[rows][:, columns] * weights).sum() / weights.sum().clamp(min=1)))
        radius = float(radii[own].mean() + radii[others].mean()) / 2
        return (means[0] + means[1] - 2 * means[2]) / (4 * radius**2) if radius > 0 else math.nan

    everything = torch.arange(n + m)
    brought = []
    for members in (everything[:n], everything[n:]):
        # Of two points none is left to compare with when one is left out.
        if len(members) < 3:
            return estimate_from_error(found(everything), math.nan, n + m, df=math.nan, widened=1.0)
        without = torch.tensor([found(everything[everything != i]) for i in members.tolist()], dtype=torch.float64)
        size = len(members)
        brought.append((float((size - 1) * without.var(correction=0)), float(size - 1), size))
    if not sum(part[0] for part in brought) > 0:
        return estimate_from_error(found(everything), 0.0, n + m, df=n + m - 2, widened=1.0, confidence=confidence)
    variance, df, guard = welch(*brought)
    return estimate_from_error(
        found(everything), math.sqrt(variance), n + m, df=df, widened=guard, confidence=confidence
    )


def checked_pairs(pairs: Sequence[tuple[int, int]], n: int, m: int) -> list[tuple[int, int]]:
    """Pairs of a point of the first set and one of the second, none of them twice.

    Example:
        >>> checked_pairs([(0, 1)], 2, 2)
        [(0, 1)]
    """
    found = [(int(i), int(j)) for i, j in pairs]
    outside = any(not (0 <= i < n and 0 <= j < m) for i, j in found)
    if outside or len({i for i, _ in found}) < len(found) or len({j for _, j in found}) < len(found):
        raise InputError(f"expected pairs (i, j) of {n} and {m} points, each point once at most, got {found}")
    return found


def _centred_products(gram: Tensor, independent: Tensor) -> Tensor:
    """Inner products of independent points about the mean of all, as if both sets had that mean: this is tested.

    Products with the mean come from products of independent points. About the plain mean of all points every product
    would be off by that mean's squared error, which in many dimensions exceeds the products.
    """
    allowed = gram * independent
    rows = allowed.sum(1) / independent.sum(1)
    return (gram - rows[:, None] - rows[None, :] + allowed.sum() / independent.sum()) * independent


def _variance_of_mean(gram: Tensor) -> float:
    """s²/n of the points of one set."""
    size = len(gram)
    return max(float(gram.diagonal().mean() - gram.mean()) / (size - 1), 0.0)


def _studentised(offset: Tensor, variance: Tensor) -> Tensor:
    # No products at all: every relabelling is like every other.
    return torch.where(variance > 0, offset / variance.clamp(min=torch.finfo(torch.float64).tiny).sqrt(), 0.0)
