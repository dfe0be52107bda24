"""Which minima the pairs of a study share, and what that does to the variance of a mean over pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lossatlas.core.errors import InputError

__all__ = ["PairDesign", "PairMoments"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairMoments:
    """Mean over pairs, and what its variance is made of; made by :meth:`PairDesign.moments`.

    Args:
        mean: ``(*b,)``.
        variance: ``(*b,)``, of the mean; NaN where the pairs cannot tell.
        df: ``(*b,)``, degrees of freedom of the variance.
        left_out: ``(*b, n)``, mean over the pairs without minimum i.
        noise: ``(*b,)``, mean square that the minima's own effects do not explain; 0 where the pairs cannot tell.
    """

    mean: Array
    variance: Array
    df: Array
    left_out: Array
    noise: Array


@dataclass(frozen=True, eq=False)
class PairDesign:
    """P pairs of n minima.

    A number of a pair, such as the height of its path, is taken to be

        Y_ij = μ + a_i + a_j + e_ij,

    with a_i what minimum i brings to all its pairs, of variance σ_a², and e_ij what the pair alone has, of variance
    σ_e². Over all pairs the variance of the mean is 4 σ_a²/n + σ_e²/P. The jackknife over minima,
    V_J = (n−1)/n Σ_i (m_i − m̄)² with m_i the mean over the pairs without minimum i, has the expectation
    A σ_a² + B σ_e². Over all pairs A = 4/n is right, but B = 4/(n(n−2)) is 2(n−1)/(n−2) times 1/P: each pair goes
    with either of its minima, so what it alone has counts twice. :meth:`moments` takes that second count away.

    Args:
        pairs: the two minima of each pair, by any numbers.

    Raises:
        InputError: no pairs, a pair of a minimum with itself, or a pair that comes twice.

    References:
        Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, eq. 11.5 (jackknife);
        Aronow, Samii & Assenova 2015, *Cluster-robust variance estimation for dyadic data*, Political Analysis 23, 564
        (the second count);
        Satterthwaite 1946, *An approximate distribution of estimates of variance components*, Biometrics 2, 110.

    Example:
        >>> design = PairDesign([(0, 1), (0, 2), (1, 2)])
        >>> design.minima, design.degrees.tolist()
        ((0, 1, 2), [2.0, 2.0, 2.0])
    """

    pairs: Sequence[tuple[int, int]]

    def __post_init__(self) -> None:
        ends = np.asarray(self.pairs)
        if ends.ndim != 2 or ends.shape[1] != 2 or len(ends) == 0 or ends.dtype.kind not in "iu":
            raise InputError(f"expected pairs of two minima, by their numbers, and at least one, got {self.pairs!r}")
        same = ends[ends[:, 0] == ends[:, 1]]
        if len(same):
            raise InputError(f"expected pairs of two different minima, got {tuple(same[0].tolist())}")
        different, counts = np.unique(np.sort(ends, axis=1), axis=0, return_counts=True)
        if counts.max() > 1:
            raise InputError(
                f"expected every pair once, got {tuple(different[counts.argmax()].tolist())} {counts.max()} times: "
                "average the numbers of one pair first"
            )

    @cached_property
    def minima(self) -> tuple[int, ...]:
        """The numbers of the minima, ascending."""
        return tuple(np.unique(np.asarray(self.pairs)).tolist())

    @cached_property
    def incidence(self) -> Array:
        """Which minima each pair has, ``(P, n)``, of zeros and ones."""
        place = np.searchsorted(self.minima, np.asarray(self.pairs))
        matrix = np.zeros((len(place), len(self.minima)))
        np.put_along_axis(matrix, place, 1.0, axis=1)
        return matrix

    @cached_property
    def degrees(self) -> Array:
        """Number of pairs of each minimum, ``(n,)``."""
        return np.asarray(self.incidence.sum(axis=0))

    @property
    def estimable(self) -> bool:
        """Whether there are three minima, and pairs are left whichever of them is left out."""
        return len(self.minima) >= 3 and bool((self.degrees < len(self.pairs)).all())

    @cached_property
    def _spreads(self) -> tuple[Array, Array]:
        """Covariance of the centred, scaled left-out means for σ_a = 1 and for σ_e = 1; V_J is their sum of squares."""
        count, n, d = len(self.pairs), len(self.minima), self.degrees
        shared = self.incidence.T @ self.incidence  # degrees on the diagonal, pairs of i and k beside it
        left = 1 / (count - d)
        effects = left[:, None] * (d[None, :] - shared)
        own = np.outer(left, left) * (count - np.add.outer(d, d) + shared)
        centring = (np.eye(n) - 1 / n) * np.sqrt((n - 1) / n)
        rows = centring @ effects
        return rows @ rows.T, centring @ own @ centring

    @cached_property
    def weights(self) -> tuple[float, float, float]:
        """A, B and the factor f on σ_a² in the variance of the mean, f σ_a² + σ_e²/P."""
        by_minima, by_pairs = self._spreads
        share = float(np.square(self.degrees).sum() / len(self.pairs) ** 2)
        return float(np.trace(by_minima)), float(np.trace(by_pairs)), share

    def moments(self, values: Array) -> PairMoments:
        """Mean over the pairs with its variance.

        V = (f/A) V_J − s² (B f/A − 1/P), with s² the mean square of what least squares for μ and all a_i leave; its
        expectation is the variance of the mean, whatever the pairs. s² is kept at or below V_J/B, where nothing would
        be left for the minima: V is then V_J/(B P) or more. Degrees of freedom are Satterthwaite's for V_J.

        Args:
            values: ``(*b, P)``, finite; several studies of the same pairs at once.
        """
        count, n = len(self.pairs), len(self.minima)
        origin = values[..., :1]
        centred = values - origin  # equal values leave exact zeros
        mean = centred.mean(axis=-1)
        nothing = np.full(mean.shape, np.nan)
        if not self.estimable:
            return PairMoments(
                mean + origin[..., 0], nothing, nothing, np.full((*mean.shape, n), np.nan), np.zeros(mean.shape)
            )
        sums = centred @ self.incidence
        left_out = (centred.sum(axis=-1, keepdims=True) - sums) / (count - self.degrees)
        jackknife = (n - 1) / n * np.square(left_out - left_out.mean(axis=-1, keepdims=True)).sum(axis=-1)
        a, b, share = self.weights
        noise = np.minimum(self._residual(centred, sums), jackknife / b)
        variance = share / a * jackknife - noise * (b * share / a - 1 / count)
        df = self._degrees_of_freedom((jackknife - b * noise) / a, noise)
        return PairMoments(mean + origin[..., 0], variance, df, left_out + origin, noise)

    @cached_property
    def _solver(self) -> tuple[NDArray[np.floating], int]:
        """Pseudo-inverse of the normal equations for a_i + μ/2, and how many numbers the pairs leave over."""
        normal = self.incidence.T @ self.incidence
        rank = int(np.linalg.matrix_rank(normal, hermitian=True))
        return np.asarray(np.linalg.pinv(normal, hermitian=True)), len(self.pairs) - rank

    def _residual(self, centred: Array, sums: Array) -> Array:
        inverse, free = self._solver
        if free == 0:
            return np.zeros(sums.shape[:-1])
        residual = centred - (sums @ inverse) @ self.incidence.T
        return np.asarray(np.square(residual).sum(axis=-1) / free)

    def _degrees_of_freedom(self, effects: Array, noise: Array) -> Array:
        """2 E[V_J]²/Var[V_J] of normal effects and noise of these variances."""
        g, h = self._spreads
        total = effects * np.trace(g) + noise * np.trace(h)
        squares = effects**2 * (g * g).sum() + 2 * effects * noise * (g * h).sum() + noise**2 * (h * h).sum()
        positive = squares > 0
        without_spread = np.full(total.shape, float(len(self.minima) - 1))
        return np.asarray(np.divide(np.square(total), squares, out=without_spread, where=positive))
