"""Inner products of weight vectors in float64, and an order of rows that is theirs alone."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from lossatlas.core.errors import InputError

__all__ = ["canonical_order", "checked_sets", "checked_weights", "gram_matrix", "matching_rows", "squared_distances"]

# Columns at a time: 150 rows of 8192 float64 numbers are 10 MB, whatever the number of parameters.
_COLUMNS = 8192


def checked_weights(weights: Tensor, least: int = 1, what: str = "weights") -> Tensor:
    """A set of weights as it was given, once it is known to be one.

    Args:
        weights: ``(n, d)``, real, finite, of any floating dtype.
        least: fewest rows that make sense.
        what: its name in messages.

    Returns:
        The same numbers without their graph; no copy.

    Raises:
        InputError: another shape, fewer rows, integers or complex numbers, or a number that is not finite.

    Example:
        >>> checked_weights(torch.zeros(2, 3)).shape
        torch.Size([2, 3])
    """
    if not isinstance(weights, Tensor) or not weights.is_floating_point() or weights.ndim != 2:
        got = f"{weights.dtype} {tuple(weights.shape)}" if isinstance(weights, Tensor) else type(weights).__name__
        raise InputError(f"expected {what} as a floating-point tensor (n, d), one row per minimum, got {got}")
    if len(weights) < least or weights.shape[1] == 0:
        raise InputError(
            f"expected at least {least} minima of at least one parameter in {what}, got shape {tuple(weights.shape)}"
        )
    diverged = (~torch.isfinite(weights).all(dim=1)).nonzero().flatten().tolist()
    if diverged:
        raise InputError(
            f"expected finite {what}, got NaN or infinity in rows {diverged[:8]}: leave out minima that diverged"
        )
    return weights.detach()


def checked_sets(first: Tensor, second: Tensor, least: int = 2) -> Tensor:
    """Two sets of weights of one network on top of each other.

    Args:
        first: ``(n, d)``.
        second: ``(m, d)``.
        least: fewest rows of each.

    Returns:
        ``(n + m, d)``, a copy, in the wider of the two dtypes.

    Raises:
        InputError: see :func:`checked_weights`; or sets of different networks or on different devices.

    Example:
        >>> checked_sets(torch.zeros(2, 3), torch.ones(4, 3)).shape
        torch.Size([6, 3])
    """
    a, b = checked_weights(first, least, "the first set"), checked_weights(second, least, "the second set")
    if a.shape[1] != b.shape[1] or a.device != b.device:
        raise InputError(
            f"expected two sets of one network on one device, got {a.shape[1]} parameters on {a.device} and "
            f"{b.shape[1]} on {b.device}"
        )
    return torch.cat([a, b])


def canonical_order(weights: Tensor) -> Tensor:
    """An order of rows that depends on their contents only, not on the order in which they come.

    Sums in floating point, eigenvectors of equal eigenvalues and random relabellings depend on the order of rows;
    worked on in this order, they do not, to the last bit.

    Args:
        weights: ``(n, d)``.

    Returns:
        ``(n,)``, positions, on the CPU: ``weights[order]`` is the same for any order of equal rows.

    Example:
        >>> rows = torch.tensor([[3.0], [1.0], [2.0]])
        >>> torch.equal(rows[canonical_order(rows)], rows.flip(0)[canonical_order(rows.flip(0))])
        True
    """
    keys = _digests(weights)
    return torch.tensor(sorted(range(len(keys)), key=keys.__getitem__), dtype=torch.int64)


def matching_rows(first: Tensor, second: Tensor) -> list[tuple[int, int]]:
    """Rows that two tensors share bit for bit, such as the initial weights of runs of two optimizers.

    Args:
        first: ``(n, d)``.
        second: ``(m, d)``, of the same dtype.

    Returns:
        (i, j) with ``first[i]`` equal to ``second[j]``, ascending; no row occurs twice.

    Example:
        >>> matching_rows(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[3.0], [4.0], [1.0]]))
        [(0, 2), (2, 0)]
    """
    there: dict[bytes, list[int]] = {}
    for j, key in reversed(list(enumerate(_digests(second)))):
        there.setdefault(key, []).append(j)
    return [(i, there[key].pop()) for i, key in enumerate(_digests(first)) if there.get(key)]


def _digests(weights: Tensor) -> list[bytes]:
    rows = weights.detach().cpu().contiguous()
    return [hashlib.blake2b(row.view(torch.uint8).numpy().tobytes(), digest_size=16).digest() for row in rows]


def gram_matrix(weights: Tensor, origin: Tensor | None = None) -> Tensor:
    """Inner products G_ij = (w_i − o) · (w_j − o), accumulated in float64.

    Args:
        weights: ``(n, d)``, any floating dtype; converted some columns at a time.
        origin: ``(d,)``, o; None: zero.

    Returns:
        ``(n, n)``, symmetric to the last bit, in float64, on the CPU.

    Example:
        >>> gram_matrix(torch.tensor([[3.0, 4.0], [1.0, 0.0]])).tolist()
        [[25.0, 3.0], [3.0, 1.0]]
    """
    total = torch.zeros(len(weights), len(weights), dtype=torch.float64, device=weights.device)
    for start in range(0, weights.shape[1], _COLUMNS):
        block = weights[:, start : start + _COLUMNS].double()
        if origin is not None:
            block = block - origin[start : start + _COLUMNS].double()
        total += block @ block.T
    return ((total + total.T) / 2).cpu()


def squared_distances(gram: Tensor) -> Tensor:
    """Squared distances |w_i − w_j|² = G_ii + G_jj − 2 G_ij.

    Args:
        gram: ``(n, n)``, about an origin near the points, such as their mean; far away digits cancel.

    Returns:
        ``(n, n)``, never negative, zero on the diagonal.

    Example:
        >>> squared_distances(gram_matrix(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))).tolist()
        [[0.0, 25.0], [25.0, 0.0]]
    """
    squares = gram.diagonal()
    distances = (squares[:, None] + squares[None, :] - 2 * gram).clamp(min=0)
    return distances.fill_diagonal_(0)
