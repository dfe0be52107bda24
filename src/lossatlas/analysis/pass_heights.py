"""Energies of minima and heights of paths between them, checked at the door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.spanning_tree import Matrix, doubles, known_pairs

__all__ = ["Numbers", "checked_energies", "checked_heights"]

Numbers: TypeAlias = Tensor | NDArray[np.floating] | Sequence[float]
"""One number each, as a tensor, an array or a list."""

# A path may come out lower than its own end by the rounding of two evaluations of one loss, whose terms are about as
# large as the largest number here.
_ROUNDINGS = 256


def checked_energies(energies: Numbers) -> NDArray[np.float64]:
    """Energies of minima as an array of their own.

    Args:
        energies: ``(n,)``, finite.

    Returns:
        ``(n,)`` in float64, a copy.

    Raises:
        InputError: another shape, none at all, or one that is not finite.

    Example:
        >>> checked_energies(torch.tensor([1.0, 2.0]))
        array([1., 2.])
    """
    array = doubles(energies)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise InputError(
            f"expected finite energies (n,) of at least one minimum, got shape {array.shape} with "
            f"{int((~np.isfinite(array)).sum())} not finite: leave out minima that diverged"
        )
    return array


def checked_heights(energies: Numbers, heights: Matrix) -> NDArray[np.float64]:
    """Heights of paths that no end exceeds: H_ij ≥ max(E_i, E_j).

    Args:
        energies: ``(n,)``, finite.
        heights: ``(n, n)``; NaN: not computed, inf: not connected. Of two triangles the lower number counts. The
            diagonal is the energies, or NaN.

    Returns:
        ``(n, n)``, symmetric, the energies on its diagonal, in float64. What lies below an end by rounding alone
        (256 roundings of the coarser dtype, of the largest number given) is raised to it.

    Raises:
        InputError: shapes that do not fit, or a path lower than its ends.

    Example:
        >>> checked_heights([0.0, 1.0], [[float("nan"), 2.0], [3.0, float("nan")]]).tolist()
        [[0.0, 2.0], [2.0, 1.0]]
    """
    e, h = checked_energies(energies), known_pairs(heights)
    if len(h) != len(e):
        raise InputError(f"expected heights ({len(e)}, {len(e)}) for {len(e)} energies, got {h.shape}")
    types = [t.dtype for t in (energies, heights) if isinstance(t, Tensor) and t.dtype.is_floating_point]
    epsilon = max(torch.finfo(t).eps for t in (*types, torch.float64))
    slack = _ROUNDINGS * epsilon * max(np.abs(e).max(), np.abs(h[np.isfinite(h)]).max(initial=0.0))
    own = np.diag(h)
    wrong = np.flatnonzero(np.abs(own - e) > slack)
    if len(wrong):
        k = int(wrong[0])
        raise InputError(
            f"expected the energies, or NaN, on the diagonal of heights, got {own[k]:.9g} where minimum {k} has "
            f"{e[k]:.9g}"
        )
    floor = np.maximum.outer(e, e)
    lower = np.argwhere(h < floor - slack)
    if len(lower):
        i, j = lower[0].tolist()
        raise InputError(
            f"expected no path lower than its ends, got height {h[i, j]:.9g} between minima {i} and {j} of energies "
            f"{e[i]:.9g} and {e[j]:.9g}: evaluate ends and paths on the same data and in the same dtype"
        )
    raised = np.maximum(h, floor)
    np.fill_diagonal(raised, e)
    return raised
