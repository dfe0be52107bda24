"""Overlaps Q, R, P of student and teacher: made from weights, checked, and turned into weights again."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.core.errors import InputError, nearest
from lossatlas.core.randomness import generator
from lossatlas.theory.committee.activation import Activation
from lossatlas.theory.committee.correlators import ReLU
from lossatlas.theory.committee.erf import Erf

__all__ = ["activation_of", "check_overlaps", "check_teacher", "covariance", "overlaps", "random_student", "realise"]

_ACTIVATIONS: dict[str, Activation] = {"relu": ReLU(), "erf": Erf()}

# Rounding that a covariance of weights may show, as a part of its largest entry.
_ROUNDING = 1e-10


def activation_of(name: str) -> Activation:
    """The activation of this name, "relu" or "erf".

    Raises:
        InputError: no such activation.

    Example:
        >>> activation_of("erf").name
        'erf'
    """
    if name not in _ACTIVATIONS:
        raise InputError(f"expected a known activation, got {name!r}: {nearest(str(name), _ACTIVATIONS)}")
    return _ACTIVATIONS[name]


def overlaps(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q = UUᵀ, R = UTᵀ, P = TTᵀ of rows u = w/√d.

    Args:
        student: U, ``(*b, K, d)``.
        teacher: T, ``(M, d)``.

    Returns:
        ``(*b, K, K), (*b, K, M), (M, M)``.

    Raises:
        InputError: rows of different length.

    Example:
        >>> q, r, p = overlaps(2 * torch.eye(2), torch.eye(2))
        >>> r
        tensor([[2., 0.],
                [0., 2.]])
    """
    if student.ndim < 2 or teacher.ndim != 2 or student.shape[-1] != teacher.shape[-1]:
        raise InputError(
            f"expected student (*b, K, d) and teacher (M, d), got {tuple(student.shape)} and {tuple(teacher.shape)}: "
            "both see the same d inputs"
        )
    return student @ student.mT, student @ teacher.mT, teacher @ teacher.mT


def covariance(q: Tensor, r: Tensor, p: Tensor) -> Tensor:
    """Ω = [[Q, R], [Rᵀ, P]], ``(*b, K, K), (*b, K, M), (M, M) -> (*b, K+M, K+M)``; nothing is checked."""
    p = p.expand(*r.shape[:-2], *p.shape[-2:])
    return torch.cat([torch.cat([q, r], -1), torch.cat([r.mT, p], -1)], -2)


def check_teacher(p: Tensor) -> None:
    """Refuse what cannot be the overlaps of a teacher, ``(M, M)``.

    Raises:
        InputError: not float64, not square, not symmetric, indefinite, or a teacher unit of length zero.
    """
    if not isinstance(p, Tensor) or p.ndim != 2 or p.shape[0] != p.shape[1] or p.dtype != torch.float64:
        got = f"{tuple(p.shape)} of {p.dtype}" if isinstance(p, Tensor) else type(p).__name__
        raise InputError(f"expected teacher overlaps P as a float64 tensor (M, M), got {got}: use rows @ rows.T")
    _check_matrix(p, "P")


def check_overlaps(q: Tensor, r: Tensor, p: Tensor) -> None:
    """Refuse overlaps that no weights have.

    Args:
        q: student with student, ``(*b, K, K)``.
        r: student with teacher, ``(*b, K, M)``.
        p: teacher with teacher, ``(M, M)``.

    Raises:
        InputError: shapes that do not fit, another type than float64, values that are not finite, a Q that is not
            symmetric, a unit of length zero, or an indefinite Ω.

    Example:
        >>> one = torch.ones(1, 1, dtype=torch.float64)
        >>> check_overlaps(one, 2 * one, one)
        Traceback (most recent call last):
        lossatlas.core.errors.InputError: expected Ω = [[Q, R], [Rᵀ, P]] positive semidefinite, got an eigenvalue ...
    """
    check_teacher(p)
    k, m = (r.shape[-2], p.shape[-1]) if r.ndim >= 2 else (0, 0)
    if k == 0 or r.shape[-1] != m or q.shape != (*r.shape[:-1], k):
        raise InputError(
            f"expected Q (*b, K, K) and R (*b, K, M) with M = {p.shape[-1]}, got {tuple(q.shape)} and "
            f"{tuple(r.shape)}: R has a row for each student and a column for each teacher"
        )
    if q.dtype != torch.float64 or r.dtype != torch.float64:
        raise InputError(f"expected Q and R of torch.float64, got {q.dtype} and {r.dtype}: convert with .double()")
    _check_matrix(covariance(q, r, p), "Ω = [[Q, R], [Rᵀ, P]]")


def _check_matrix(matrix: Tensor, name: str) -> None:
    if not bool(torch.isfinite(matrix).all()):
        raise InputError(f"expected finite numbers in {name}, got NaN or infinity: check the weights it was made from")
    if not torch.allclose(matrix, matrix.mT, atol=_ROUNDING):
        raise InputError(
            f"expected a symmetric {name}, got entries that differ by {float((matrix - matrix.mT).abs().max()):.2g}: "
            "use (A + A.T)/2"
        )
    lengths = matrix.diagonal(dim1=-2, dim2=-1)
    if not bool((lengths > 0).all()):
        raise InputError(
            f"expected units of positive length in {name}, got a diagonal entry {float(lengths.min()):.3g}: "
            "the direction of a unit without weights is undefined, leave it out"
        )
    least = torch.linalg.eigvalsh(matrix)[..., 0]
    if not bool((least >= -_ROUNDING * lengths.amax(-1)).all()):
        raise InputError(
            f"expected {name} positive semidefinite, got an eigenvalue {float(least.min()):.3g}: "
            "no weights have these overlaps, |R_jm| ≤ √(Q_jj P_mm) at least"
        )


def realise(q: Tensor, r: Tensor, p: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Rows with exactly these overlaps, in the first K + M of ``dim`` coordinates.

    Gaussian inputs look the same in every direction, so no generality is lost.

    Args:
        q: ``(K, K)``.
        r: ``(K, M)``.
        p: ``(M, M)``.
        dim: d, at least K + M.

    Returns:
        Student ``(K, d)`` and teacher ``(M, d)`` rows u = w/√d.

    Raises:
        InputError: impossible overlaps, or too few coordinates.

    Example:
        >>> one = torch.eye(1, dtype=torch.float64)
        >>> student, teacher = realise(one, 0.5 * one, one, 4)
        >>> round(float(student[0] @ teacher[0]), 12)
        0.5
    """
    check_overlaps(q, r, p)
    k, m = r.shape
    if dim < k + m:
        raise InputError(f"expected at least K + M = {k + m} coordinates, got {dim}: take a larger dim")
    values, vectors = torch.linalg.eigh(covariance(q, r, p))
    rows = q.new_zeros(k + m, dim)
    rows[:, : k + m] = vectors * values.clamp_min(0).sqrt()
    return rows[:k], rows[k:]


def random_student(
    students: int, p: Tensor, dim: int, *, scale: float = 1.0, seed: int = 0, batch: int | None = None
) -> tuple[Tensor, Tensor]:
    """Overlaps of random rows u ~ N(0, scale²/d) with a teacher.

    Args:
        students: K.
        p: teacher overlaps, ``(M, M)``.
        dim: d, at least M.
        scale: root mean square length of a row.
        seed: names the draw.
        batch: how many draws; None is one without a batch axis.

    Returns:
        Q ``(*b, K, K)`` and R ``(*b, K, M)``.

    Raises:
        InputError: an impossible teacher, or fewer coordinates than teachers.

    Example:
        >>> q, r = random_student(3, torch.eye(2, dtype=torch.float64), 1000)
        >>> q.shape, r.shape
        (torch.Size([3, 3]), torch.Size([3, 2]))
    """
    check_teacher(p)
    m = len(p)
    if dim < m:
        raise InputError(f"expected at least M = {m} coordinates, got {dim}: take a larger dim")
    values, vectors = torch.linalg.eigh(p)
    shape = (students, dim) if batch is None else (batch, students, dim)
    rows = torch.randn(shape, dtype=p.dtype, generator=generator(seed, "committee student", *shape)) * scale / dim**0.5
    return rows @ rows.mT, rows[..., :m] @ (vectors * values.clamp_min(0).sqrt()).mT
