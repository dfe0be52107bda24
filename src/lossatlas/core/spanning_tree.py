"""Trees in a matrix of pair weights: the fewest pairs that connect all, and the lowest pass over any chain of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor

from lossatlas.core.errors import InputError

__all__ = ["Matrix", "doubles", "known_pairs", "minimax", "minimum_spanning_forest"]

Matrix: TypeAlias = Tensor | NDArray[np.floating] | Sequence[Sequence[float]]
"""A square matrix as a tensor, an array or nested lists."""


def doubles(values: Matrix | Sequence[float]) -> NDArray[np.float64]:
    """Numbers as a float64 array of their own; a list does not lose digits on the way, as in ``torch.as_tensor``.

    Example:
        >>> float(doubles([0.1])[0])
        0.1
    """
    return np.array(values.detach().cpu().double().numpy() if isinstance(values, Tensor) else values, dtype=np.float64)


def known_pairs(matrix: Matrix, what: str = "heights") -> NDArray[np.float64]:
    """Fold a matrix of pairs onto itself: M_ij = M_ji = the lower of the two that are known.

    Args:
        matrix: ``(n, n)``; NaN where nothing was computed, inf where nothing was found. One triangle is enough.
        what: its name in messages.

    Returns:
        ``(n, n)``, symmetric, a copy in float64.

    Raises:
        InputError: not a square matrix, or minus infinity in it.

    Example:
        >>> known_pairs([[0.0, 3.0], [float("nan"), 1.0]]).tolist()
        [[0.0, 3.0], [3.0, 1.0]]
    """
    array = doubles(matrix)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise InputError(
            f"expected {what} as a matrix (n, n) with one row and one column per minimum, got shape {array.shape}"
        )
    if np.isneginf(array).any():
        raise InputError(f"expected {what} as numbers, NaN (not computed) or inf (not connected), got minus infinity")
    folded: NDArray[np.float64] = np.fmin(array, array.T)
    return folded


def minimum_spanning_forest(weights: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of least total weight that connect whatever can be connected.

    Pairs of equal weight are taken in the order (i, j), so the answer is unique. Zero and negative weights are
    weights like any other.

    Args:
        weights: ``(n, n)``, symmetric; NaN or inf where there is no pair. The diagonal is not read.

    Returns:
        Pairs ``(m, 2)`` with i < j and their weights ``(m,)``, ascending; m = n − 1 where all are connected.

    Reference:
        Kruskal 1956, *On the shortest spanning subtree of a graph*, Proceedings of the AMS 7, 48.

    Example:
        >>> pairs, weights = minimum_spanning_forest(np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 0.0], [5.0, 0.0, 0.0]]))
        >>> pairs.tolist(), weights.tolist()
        ([[1, 2], [0, 1]], [0.0, 1.0])
    """
    n = len(weights)
    i, j = np.triu_indices(n, 1)
    known = np.isfinite(weights[i, j])
    i, j = i[known], j[known]
    order = np.lexsort((j, i, weights[i, j]))
    i, j = i[order], j[order]
    # scipy takes a zero for "no edge" and leaves the order of ties open; ranks from 1 have neither problem.
    ranks = np.arange(1, len(i) + 1, dtype=np.float64)
    tree = minimum_spanning_tree(coo_array((ranks, (i, j)), shape=(n, n)).tocsr())
    chosen = np.sort(tree.data.astype(np.int64)) - 1
    pairs = np.stack([i[chosen], j[chosen]], axis=1).astype(np.int64)
    return pairs, weights[pairs[:, 0], pairs[:, 1]]


def minimax(n: int, pairs: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lowest weight that must be passed between any two, over every chain of pairs.

    M_ij = min over chains i = k₀, k₁, …, k_r = j of max_s w(k_s, k_{s+1}), which a spanning forest of least weight
    contains: M_ij is the weight of the pair that first joins i and j.

    Args:
        n: how many there are.
        pairs: ``(m, 2)``, from :func:`minimum_spanning_forest`.
        weights: ``(m,)``, ascending.

    Returns:
        ``(n, n)``, inf where no chain exists, minus infinity on the diagonal.

    Example:
        >>> minimax(3, *minimum_spanning_forest(np.array([[0, 1.0, 5], [1, 0, 2], [5, 2, 0]])))[0].tolist()
        [-inf, 1.0, 2.0]
    """
    lowest = np.full((n, n), np.inf)
    np.fill_diagonal(lowest, -np.inf)
    members = {k: [k] for k in range(n)}
    home = list(range(n))
    for (i, j), weight in zip(pairs.tolist(), weights.tolist(), strict=True):
        small, large = sorted((home[i], home[j]), key=lambda k: len(members[k]))
        lowest[np.ix_(members[small], members[large])] = weight
        lowest[np.ix_(members[large], members[small])] = weight
        moved = members.pop(small)
        members[large] += moved
        for k in moved:
            home[k] = large
    return lowest
