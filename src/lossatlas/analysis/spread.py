"""Spread: how far the members of sets of weights are from each other and from a common origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from lossatlas.analysis.centroids import CentroidTest, centroid_test, checked_pairs, relative_offset
from lossatlas.analysis.gram import canonical_order, checked_sets, checked_weights, gram_matrix, squared_distances
from lossatlas.analysis.uncertainty import Estimate, mean_of_pairs, mean_of_runs
from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree

__all__ = ["CommonOrigin", "SetSpread", "common_origin", "set_spread"]


@dataclass(frozen=True, eq=False)
class SetSpread:
    """How far apart the members of one set are; made by :func:`set_spread`.

    Args:
        distances: ``(n, n)``, |w_i − w_j|, in float64.
        distance: their mean over pairs, with a jackknife over minima.
        cosine: mean over pairs of w_i · w_j / |w_i||w_j|, likewise.
        travelled: ``(n,)``, |w_i − its initial weights|, or None.
        travel: its mean, or None.
    """

    distances: Tensor
    distance: Estimate
    cosine: Estimate
    travelled: Tensor | None = None
    travel: Estimate | None = None

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which spreads are stored."""
        return asdict(self)

    @classmethod
    def from_tree(cls, tree: Tree) -> SetSpread:
        """Rebuild a spread from :meth:`to_tree`."""
        travel = tree["travel"]
        return cls(
            tree["distances"],
            Estimate(**tree["distance"]),
            Estimate(**tree["cosine"]),
            tree["travelled"],
            travel and Estimate(**travel),
        )


def set_spread(weights: Tensor, initial: Tensor | None = None, confidence: float = 0.95) -> SetSpread:
    """Distances and angles between the members of a set, and the way each came.

    Independent vectors without a preferred direction have cosines of mean 0 and standard deviation about 1/√d, where
    d counts the directions in which they vary.

    Args:
        weights: ``(n, d)``, at least two rows, in units of the parameters.
        initial: ``(n, d)``, where each run started.
        confidence: of the intervals.

    Raises:
        InputError: no set of weights, a vector of length zero, or initial weights of another shape.

    Example:
        >>> found = set_spread(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.zeros(2, 2))
        >>> found.distance.mean, found.cosine.mean, found.travelled.tolist()
        (5.0, 0.0, [3.0, 4.0])
    """
    rows = checked_weights(weights, least=2)
    raw = gram_matrix(rows)
    lengths = raw.diagonal().sqrt()
    zero = (lengths == 0).nonzero().flatten().tolist()
    if zero:
        raise InputError(f"expected weights that are not all zero, for angles between them, got zeros in rows {zero}")
    distances = squared_distances(gram_matrix(rows, rows.mean(0, dtype=torch.float64))).sqrt()
    cosines = raw / lengths[:, None] / lengths[None, :]
    travelled = travel = None
    if initial is not None:
        start = checked_weights(initial, what="initial weights")
        if start.shape != rows.shape or start.device != rows.device:
            raise InputError(
                f"expected initial weights of shape {tuple(rows.shape)} on {rows.device}, one row per minimum, got "
                f"{tuple(start.shape)} on {start.device}"
            )
        pairs_of_rows = zip(rows, start, strict=True)
        travelled = torch.stack([torch.linalg.vector_norm(w.double() - s.double()) for w, s in pairs_of_rows]).cpu()
        travel = mean_of_runs(travelled.tolist(), confidence)
    pairs = torch.triu_indices(len(rows), len(rows), offset=1)
    ends = [(int(i), int(j)) for i, j in pairs.T.tolist()]
    i, j = pairs
    return SetSpread(
        distances,
        mean_of_pairs(distances[i, j].tolist(), ends, confidence),
        mean_of_pairs(cosines[i, j].tolist(), ends, confidence),
        travelled,
        travel,
    )


@dataclass(frozen=True, eq=False)
class CommonOrigin:
    """Two sets of weights seen from the mean of their centroids; made by :func:`common_origin`.

    Args:
        distances: ``(n,)`` and ``(m,)``, |w_i − w̄| of the first and of the second set, in float64.
        radii: their means.
        centroid_distance: |w̄_A − w̄| = |w̄_B − w̄|, the dotted line of the paper's figure 5.
        null_distance: what it would be without a preferred direction, about r/√(2n) for two sets of n vectors each of
            spread r: ½ √(s_A²/n_A + s_B²/n_B).
        test: of equal means, in distances between the centroids (twice those from the origin).
        between: mean distance of a member of one set to one of the other, with a jackknife over minima.
        offset: (|w̄_A − w̄| / r)² without the bias that finite sets bring, r the mean of the two radii, with a jackknife
            over minima; about 0 without a preferred direction, 1 for two sets that lie on either side of their common
            origin. None in results stored before it was computed.
    """

    distances: tuple[Tensor, Tensor]
    radii: tuple[Estimate, Estimate]
    centroid_distance: float
    null_distance: float
    test: CentroidTest
    between: Estimate
    offset: Estimate | None = None

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which this is stored."""
        return asdict(self)

    @classmethod
    def from_tree(cls, tree: Tree) -> CommonOrigin:
        """Rebuild from :meth:`to_tree`."""
        first, second = tree["radii"]
        of_first, of_second = tree["distances"]
        return cls(
            (of_first, of_second),
            (Estimate(**first), Estimate(**second)),
            tree["centroid_distance"],
            tree["null_distance"],
            CentroidTest(**tree["test"]),
            Estimate(**tree["between"]),
            Estimate(**tree["offset"]) if tree.get("offset") else None,
        )


def common_origin(
    first: Tensor,
    second: Tensor,
    *,
    pairs: Sequence[tuple[int, int]] = (),
    permutations: int = 9999,
    seed: int = 0,
    confidence: float = 0.95,
) -> CommonOrigin:
    """Distances of two sets from w̄ = (w̄_A + w̄_B)/2, and whether their centroids differ.

    The centroid of n independent vectors of spread r lies about r/√n from their mean whatever their number of
    coordinates, so two centroids are never equal. "No preferred direction" is the hypothesis that the two means are;
    :func:`~lossatlas.analysis.centroids.centroid_test` tests it.

    Args:
        first: ``(n, d)``, at least two rows, in units of the parameters.
        second: ``(m, d)``, at least two rows.
        pairs: (i, j), row i of the first set and row j of the second, of runs that share their initial weights; they
            resemble each other, and without this the test would seldom find anything. Of two ensembles:
            ``matching_rows(one.initial, other.initial)``.
        permutations: random relabellings of the test.
        seed: names them.
        confidence: of the intervals.

    Returns:
        Distances in the order of the rows. The order changes no number by more than rounding, and p not at all.

    Raises:
        InputError: no sets of weights, or of different networks, or pairs of rows that are not there or occur twice.

    Reference:
        Yu & Morozov 2026, arXiv 2602.21276, figures 5 and S3.

    Example:
        >>> a, b = torch.tensor([[2.0, 0.0], [-2.0, 0.0]]), torch.tensor([[0.0, 3.0], [0.0, -1.0]])
        >>> found = common_origin(a, b, permutations=99)
        >>> found.centroid_distance, [round(r, 4) for r in found.distances[1].tolist()]
        (0.5, [2.5, 1.5])
    """
    stacked = checked_sets(first, second)
    n, total = len(first), len(stacked)
    own = [canonical_order(first), canonical_order(second)]
    order = torch.cat([own[0], own[1] + n])
    rows = stacked[order.to(stacked.device)]
    origin = (rows[:n].mean(0, dtype=torch.float64) + rows[n:].mean(0, dtype=torch.float64)) / 2
    gram = gram_matrix(rows, origin)
    back = order.argsort()
    placed = sorted((int(back[i]), int(back[n + j]) - n) for i, j in checked_pairs(pairs, n, total - n))
    test = centroid_test(gram, n, pairs=placed, permutations=permutations, seed=seed)
    radii = gram.diagonal().clamp(min=0).sqrt()[back]
    distances = squared_distances(gram).sqrt()[:n, n:]
    cross = [(i, j) for i in range(n) for j in range(n, total)]
    return CommonOrigin(
        (radii[:n], radii[n:]),
        (mean_of_runs(radii[:n].tolist(), confidence), mean_of_runs(radii[n:].tolist(), confidence)),
        test.distance / 2,
        test.null_distance / 2,
        test,
        mean_of_pairs(distances.flatten().tolist(), cross, confidence),
        relative_offset(gram, n, pairs=placed, confidence=confidence),
    )
