"""Where the images of a chain lie on it: equal or given shares of its length."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.paths.chains.tangents import unit

__all__ = ["resample", "spline_resample", "spline_tangents", "spread"]


def _arcs(images: Tensor) -> Tensor:
    """Arc length up to each image, ``(p, m, d) -> (p, m)``, strictly increasing, in float64."""
    steps = torch.linalg.vector_norm(images.diff(dim=1), dim=-1).double()
    # Two images at one place would make a segment of no length, on which no interpolation is defined.
    steps = steps.clamp(min=1e-9 * float(steps.max()) + torch.finfo(torch.float64).tiny)
    return torch.cat([steps.new_zeros(len(steps), 1), steps.cumsum(1)], dim=1)


def _locate(arcs: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The segment each wanted arc length lies in, and how far along it, ``(p, m), (p, n) -> (p, n), (p, n)``."""
    left = (torch.searchsorted(arcs, wanted.contiguous(), right=True) - 1).clamp(0, arcs.shape[1] - 2)
    low, high = arcs.gather(1, left), arcs.gather(1, left + 1)
    return left, ((wanted - low) / (high - low)).clamp(0, 1)


def resample(images: Tensor, count: int) -> Tensor:
    """Put ``count`` images at equal steps of the polygonal chain, ``(p, m, d) -> (p, count, d)``.

    Example:
        >>> resample(torch.tensor([[[0.0], [3.0], [4.0]]]), 5).flatten()
        tensor([0., 1., 2., 3., 4.])
    """
    arcs = _arcs(images)
    return _at(images, arcs, arcs[:, -1:] * torch.linspace(0, 1, count, dtype=arcs.dtype, device=arcs.device))


def spread(images: Tensor, shares: Tensor) -> Tensor:
    """Move images along the polygonal chain to given shares of its length, ``(p, m, d), (p, m - 1) -> (p, m, d)``."""
    arcs = _arcs(images)
    goal = torch.cat([shares.new_zeros(len(shares), 1), shares.cumsum(1)], dim=1).to(arcs)
    return _at(images, arcs, arcs[:, -1:] * goal / goal[:, -1:])


def _at(images: Tensor, arcs: Tensor, wanted: Tensor) -> Tensor:
    left, share = _locate(arcs, wanted)
    low = torch.take_along_dim(images, left[..., None], 1)
    high = torch.take_along_dim(images, left[..., None] + 1, 1)
    moved = torch.lerp(low, high, share.to(images)[..., None])
    moved[:, 0], moved[:, -1] = images[:, 0], images[:, -1]
    return moved


def spline_resample(images: Tensor, shares: Tensor, fixed: Tensor) -> Tensor:
    """Move images along the natural cubic spline through them to given shares of the length.

    Args:
        images: ``(p, m, d)``.
        shares: ``(p, m - 1)``, length wanted between neighbours, relative to each other.
        fixed: ``(p,)``, an image that stays, with the shares kept on either side of it; 0 for none.

    Returns:
        ``(p, m, d)``; the ends stay.

    Example:
        >>> chain = torch.tensor([[[0.0], [3.0], [4.0]]])
        >>> spline_resample(chain, torch.ones(1, 2), torch.zeros(1, dtype=torch.long)).flatten().round()
        tensor([0., 2., 4.])

    Source: E, Ren & Vanden-Eijnden, J. Chem. Phys. 126, 164103 (2007), Sec. II, step 2.
    """
    count = images.shape[1]
    if count < 3:
        return images
    arcs = _arcs(images)
    goal = torch.cat([shares.new_zeros(len(shares), 1), shares.cumsum(1)], dim=1).to(arcs)
    here, there = arcs.gather(1, fixed[:, None]), goal.gather(1, fixed[:, None])
    before = goal * (here / there.clamp(min=torch.finfo(arcs.dtype).tiny))
    after = here + (goal - there) * ((arcs[:, -1:] - here) / (goal[:, -1:] - there))
    wanted = torch.where(torch.arange(count, device=arcs.device) < fixed[:, None], before, after)
    moved = _spline_weights(arcs, wanted).to(images) @ images
    rows = torch.arange(len(images), device=images.device)
    for kept in (torch.zeros_like(fixed), fixed, torch.full_like(fixed, count - 1)):
        moved[rows, kept] = images[rows, kept]
    return moved


def spline_tangents(images: Tensor) -> Tensor:
    """Unit tangents at the inner images of the natural cubic spline through them, ``(p, m, d) -> (p, m - 2, d)``.

    Example:
        >>> spline_tangents(torch.tensor([[[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]]))
        tensor([[[1., 0.]]])
    """
    arcs = _arcs(images)
    h = arcs.diff(dim=1)[..., None]
    bends = _bends(arcs)
    slopes = torch.eye(arcs.shape[1], dtype=arcs.dtype, device=arcs.device).diff(dim=0) / h
    weights = slopes - h / 6 * (2 * bends[:, :-1] + bends[:, 1:])
    return unit(weights[:, 1:].to(images) @ images)


def _bends(knots: Tensor) -> Tensor:
    """Matrix of the second derivatives of the natural cubic spline, ``(p, m) -> (p, m, m)``.

    They solve h₋M₋ + 2(h₋ + h₊)M + h₊M₊ = 6 (slope₊ - slope₋), with zero at both ends.
    """
    count = knots.shape[1]
    h = knots.diff(dim=1)
    slopes = torch.eye(count, dtype=knots.dtype, device=knots.device).diff(dim=0) / h[..., None]
    system = torch.diag_embed(2 * (h[:, :-1] + h[:, 1:]))
    if count > 3:
        system = system + torch.diag_embed(h[:, 1:-1], 1) + torch.diag_embed(h[:, 1:-1], -1)
    return torch.nn.functional.pad(torch.linalg.solve(system, 6 * slopes.diff(dim=1)), (0, 0, 1, 1))


def _spline_weights(knots: Tensor, at: Tensor) -> Tensor:
    """Matrix that gives the natural cubic spline at ``at`` from its knots, ``(p, m), (p, n) -> (p, n, m)``."""
    eye = torch.eye(knots.shape[1], dtype=knots.dtype, device=knots.device).expand(len(knots), -1, -1)
    bends = _bends(knots)
    left, share = _locate(knots, at)
    b = share[..., None]
    a = 1 - b

    def rows(matrix: Tensor, index: Tensor) -> Tensor:
        return torch.take_along_dim(matrix, index[..., None], 1)

    width = knots.diff(dim=1).gather(1, left)[..., None] ** 2 / 6
    bent = (a**3 - a) * rows(bends, left) + (b**3 - b) * rows(bends, left + 1)
    return a * rows(eye, left) + b * rows(eye, left + 1) + width * bent
