"""Block structure of minima: students that play the same part, minima made from a block structure, split neurons."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.landscape.analytic.energy import check_count
from lossatlas.theory.committee.landscape import Committee
from lossatlas.theory.committee.polish import newton_polish

__all__ = ["block_minimum", "block_sizes", "split_neuron"]


def block_sizes(q: Tensor, r: Tensor, *, tolerance: float = 1e-6) -> list[tuple[int, ...]]:
    """Sizes of the groups of students with the same length Q_jj and the same Σ_m R_jm, ascending.

    Args:
        q: ``(*b, K, K)``.
        r: ``(*b, K, M)``.
        tolerance: what counts as the same.

    Returns:
        One tuple for each point of the flattened batch.

    Example:
        >>> q = torch.diag(torch.tensor([1.0, 2.0, 1.0]))
        >>> block_sizes(q, q)
        [(1, 2)]
    """
    length = q.diagonal(dim1=-2, dim2=-1)
    marks = torch.stack([length, r.sum(-1)], -1).reshape(-1, length.shape[-1], 2)
    same = ((marks[:, :, None] - marks[:, None]).abs() < tolerance).all(-1)
    # A student's group is named by its first member, so that groups are counted once.
    first = same.to(torch.uint8).argmax(-1)
    return [tuple(sorted(torch.unique(each, return_counts=True)[1].tolist())) for each in first]


def block_minimum(k: int, p: int = 1, *, max_steps: int = 20_000) -> Tensor:
    """The bad minimum of k students and k orthonormal teachers whose blocks have sizes (p, k − p).

    Descent from a start with that symmetry keeps it; Newton's method then finds the point to rounding.

    Args:
        k: units.
        p: size of the smaller block, from 1 to k − 1.
        max_steps: of gradient descent.

    Returns:
        Rows, ``(k, k)``; stability is for the caller to ask: below k = 6 these are saddles.

    Raises:
        InputError: impossible sizes.
        DivergenceError: descent led to the global minimum, so that there is no such point, or did not settle.

    Example:
        >>> x = block_minimum(7)
        >>> Committee(7).value(x.flatten())
        tensor(0.0232, dtype=torch.float64)
    """
    check_count(k, "k", 2)
    if isinstance(p, bool) or not isinstance(p, int) or not 1 <= p < k:
        raise InputError(f"expected a block of 1 to {k - 1} units, got {p!r}: the other block takes the rest")
    landscape = Committee(k)
    rows = torch.eye(k, dtype=torch.float64)
    rows[:p, :p] -= 2 * torch.eye(p, dtype=torch.float64)
    rows[:p, p:] += 1 / k
    rows[p:, :p] += 1 / k
    x = rows.reshape(1, -1)
    # The largest eigenvalue is about (k + 1)/4, of the direction in which all students grow.
    step = 4 / (k + 4)
    for taken in range(max_steps):
        grad = landscape.gradient(x)
        x = x - step * grad
        if taken % 20 == 0 and float(grad.norm()) < 1e-4:
            break
    found = newton_polish(landscape, x)
    if float(found.grad_norm) > 1e-12 or float(landscape.value(found.x)) < 1e-6:
        raise DivergenceError(
            f"expected a bad minimum with blocks ({p}, {k - p}), got loss {float(landscape.value(found.x)):.2g} and a "
            f"gradient of {float(found.grad_norm):.2g}: there may be none for these sizes, or take more max_steps"
        )
    return found.x.reshape(k, k)


def split_neuron(rows: Tensor, which: int, share: float = 0.5) -> Tensor:
    """Replace one ReLU student u by share·u and (1 − share)·u: one unit more, the same function.

    Args:
        rows: ``(K, d)``.
        which: the student.
        share: strictly between 0 and 1.

    Returns:
        ``(K + 1, d)``, the second part last.

    Raises:
        InputError: no such student, or a share outside (0, 1).

    Example:
        >>> split_neuron(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), 0)
        tensor([[1., 0.],
                [0., 1.],
                [1., 0.]])

    Source: Fukumizu & Amari 2000, *Local minima and plateaus in hierarchical structures of multilayer perceptrons*.
    """
    if rows.ndim != 2 or isinstance(which, bool) or not isinstance(which, int) or not 0 <= which < len(rows):
        raise InputError(f"expected a student of rows {tuple(rows.shape)}, got {which!r}: count from 0")
    if not 0 < share < 1:
        raise InputError(f"expected a share strictly between 0 and 1, got {share!r}: both parts must keep a direction")
    result = torch.cat([rows, (1 - share) * rows[which : which + 1]])
    result[which] = share * rows[which]
    return result
