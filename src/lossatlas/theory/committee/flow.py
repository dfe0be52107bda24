"""Population loss and gradient flow as functions of the overlaps, with their derivatives in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.theory.committee.activation import Activation

__all__ = ["Tangent", "flow_matrices", "flow_rates", "population_loss", "signed_weights"]


def _lengths(q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    return q.diagonal(dim1=-2, dim2=-1), p.diagonal(dim1=-2, dim2=-1)


def _without_diagonal(x: Tensor) -> Tensor:
    return x - torch.diag_embed(x.diagonal(dim1=-2, dim2=-1))


def population_loss(q: Tensor, r: Tensor, p: Tensor, g: Activation) -> Tensor:
    """L = ½ E[(Σ_k g(λ_k) − Σ_m g(ρ_m))²] = ½ Σ_ab s_a s_b I₂(Ω_aa, Ω_bb, Ω_ab).

    Args:
        q: student with student, ``(*b, K, K)``.
        r: student with teacher, ``(*b, K, M)``.
        p: teacher with teacher, ``(M, M)``.
        g: the activation.

    Returns:
        Losses, ``(*b,)``; nothing is checked.

    Example:
        >>> from lossatlas.theory.committee import ReLU
        >>> one = torch.eye(2, dtype=torch.float64)
        >>> bool(population_loss(one, one, one, ReLU()).abs() < 1e-15)
        True
    """
    a, t = _lengths(q, p)
    students = _without_diagonal(g.pair(a[..., :, None], a[..., None, :], q)).sum((-2, -1)) + g.own(a)[0].sum(-1)
    teachers = _without_diagonal(g.pair(t[..., :, None], t[..., None, :], p)).sum((-2, -1)) + g.own(t)[0].sum(-1)
    return (students + teachers) / 2 - g.pair(a[..., :, None], t[..., None, :], r).sum((-2, -1))


def flow_matrices(q: Tensor, r: Tensor, p: Tensor, g: Activation) -> tuple[Tensor, Tensor]:
    """A and B of the gradient ∇_U L = A U − B T.

    A_jl = ∂φ/∂c(j, l) for j ≠ l, B_jm = ∂φ/∂c(j, m), A_jj = ψ′ + 2 Σ_{l≠j} ∂φ/∂a(j, l) − 2 Σ_m ∂φ/∂a(j, m).

    Args:
        q: ``(*b, K, K)``.
        r: ``(*b, K, M)``.
        p: ``(M, M)``.
        g: the activation.

    Returns:
        ``(*b, K, K), (*b, K, M)``; nothing is checked.

    Example:
        >>> from lossatlas.theory.committee import ReLU
        >>> one = torch.eye(2, dtype=torch.float64)
        >>> flow_matrices(one, one, one, ReLU())[0]
        tensor([[0.5000, 0.2500],
                [0.2500, 0.5000]], dtype=torch.float64)
    """
    k = r.shape[-2]
    both = signed_weights(torch.cat([q, r], -1), p.diagonal(), g)
    return both[..., :k], -both[..., k:]


def signed_weights(overlaps: Tensor, teachers: Tensor, g: Activation) -> Tensor:
    """The gradient's weights [A, −B] on the rows of student and teacher, ∇_U L = [A, −B] [U; T].

    Args:
        overlaps: [Q, R], ``(*b, K, K+M)``.
        teachers: squared lengths of the teachers, ``(M,)``.
        g: the activation.

    Returns:
        ``(*b, K, K+M)``.

    Example:
        >>> from lossatlas.theory.committee import ReLU
        >>> signed_weights(torch.ones(1, 2), torch.ones(1), ReLU())
        tensor([[ 0.5000, -0.5000]])
    """
    a = overlaps.diagonal(dim1=-2, dim2=-1)
    k, m = a.shape[-1], len(teachers)
    lengths = torch.cat([a, teachers.expand(*a.shape[:-1], m)], -1)
    own, among = g.slopes(a[..., :, None], lengths[..., None, :], overlaps)
    signs = torch.cat([a.new_ones(k), -a.new_ones(m)])
    weights = among * signs
    apart = own @ signs - own.diagonal(dim1=-2, dim2=-1)
    weights.diagonal(dim1=-2, dim2=-1).copy_(g.own(a)[1] + 2 * apart)
    return weights


def flow_rates(q: Tensor, r: Tensor, p: Tensor, g: Activation) -> tuple[Tensor, Tensor]:
    """Gradient flow of the overlaps: Q̇ = −(AQ − BRᵀ) + transpose, Ṙ = −(AR − BP).

    Args:
        q: ``(*b, K, K)``.
        r: ``(*b, K, M)``.
        p: ``(M, M)``.
        g: the activation.

    Returns:
        Q̇ and Ṙ of the shapes of Q and R; time is learning rate × steps / d.

    Example:
        >>> from lossatlas.theory.committee import ReLU
        >>> one = torch.eye(2, dtype=torch.float64)
        >>> bool(flow_rates(one, one, one, ReLU())[0].abs().max() < 1e-15)
        True
    """
    a, b = flow_matrices(q, r, p, g)
    half = b @ r.mT - a @ q
    return half + half.mT, b @ p - a @ r


class Tangent:
    """Derivative of A and B at fixed overlaps; the second derivatives are made once for many directions.

    Args:
        q: ``(*b, K, K)``.
        r: ``(*b, K, M)``.
        p: ``(M, M)``.
        g: the activation.
    """

    def __init__(self, q: Tensor, r: Tensor, p: Tensor, g: Activation) -> None:
        a, t = _lengths(q, p)
        inner = g.curvatures(a[..., :, None], a[..., None, :], q)
        outer = g.curvatures(a[..., :, None], t[..., None, :], r)
        self._aa, self._ab, self._ac, self._bc, self._cc = (_without_diagonal(each) for each in inner)
        self._out_ac, self._out_cc = outer.ac, outer.cc
        # δA_jj / δa_j, summed over partners once.
        self._own = g.own(a)[2] + 2 * (self._aa.sum(-1) - outer.aa.sum(-1))

    def __call__(self, dq: Tensor, dr: Tensor) -> tuple[Tensor, Tensor]:
        """δA and δB for symmetric δQ and δR; their leading axes broadcast with those of Q and R."""
        da = dq.diagonal(dim1=-2, dim2=-1)
        left, right = da[..., :, None], da[..., None, :]
        among = self._ac * left + self._bc * right + self._cc * dq
        across = self._out_ac * left + self._out_cc * dr
        own = (self._ac * dq + self._ab * right).sum(-1) - (self._out_ac * dr).sum(-1)
        return among + torch.diag_embed(self._own * da + 2 * own), across
