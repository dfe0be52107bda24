"""Ways down from a ridge: a chain may be balanced on one, where no force across it says so."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from lossatlas.core.randomness import generator
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.chains.chain import Chain
from lossatlas.paths.chains.tangents import improved_tangents, unit

__all__ = ["push_off", "softest_across"]

# A curvature across the top counts as a way down below this, in units of rise over squared length.
_WAY_DOWN = -1.0
# How far a chain is pushed off a ridge, in units of its length.
_PUSH = 0.1
_MOST_PRODUCTS = 20
# A Ritz value is settled when its residual is below this part of the largest one.
_SETTLED = 1e-2


def push_off(
    landscape: Landscape, chains: list[Chain], names: list[tuple[int, ...]]
) -> tuple[list[Chain], list[Tensor | None]]:
    """Look for ways down beside the tops of chains and push the chains there.

    Args:
        landscape: where.
        chains: converged, with an inner top.
        names: seeds.

    Returns:
        The chains with the cost of looking added, and for each its images pushed to the lower side, ``(m, d)``, or
        None where there is no way down.
    """
    tops = [chain.top for chain in chains]
    x = torch.stack([chain.images[k] for chain, k in zip(chains, tops, strict=True)])
    grads = torch.stack([chain.grads[k - 1] for chain, k in zip(chains, tops, strict=True)])
    tangents = torch.stack(
        [improved_tangents(c.images[None], c.values[None])[0, k - 1] for c, k in zip(chains, tops, strict=True)]
    )
    lengths = x.new_tensor([chain.length for chain in chains])
    rises = x.new_tensor([chain.rise for chain in chains])
    bounds = _WAY_DOWN * rises / lengths**2
    lowest, directions, spent = softest_across(landscape, x, grads, tangents, scale=lengths, bound=bounds, names=names)
    ways = (lowest * lengths**2 <= _WAY_DOWN * rises).nonzero().flatten().tolist()
    asked = [replace(c, gradients=c.gradients + n) for c, n in zip(chains, spent, strict=True)]
    pushed: list[Tensor | None] = [None] * len(chains)
    for i in ways:
        side = _PUSH * float(lengths[i]) * directions[i]
        beside = landscape.value(torch.stack([x[i] + side, x[i] - side])).nan_to_num(nan=math.inf)
        asked[i] = replace(asked[i], loss_values=asked[i].loss_values + 2)
        pushed[i] = _displaced(chains[i].images, tops[i], side if float(beside[0]) <= float(beside[1]) else -side)
    return asked, pushed


def softest_across(
    landscape: Landscape,
    x: Tensor,
    grads: Tensor,
    tangents: Tensor,
    *,
    scale: Tensor,
    bound: Tensor,
    names: list[tuple[int, ...]],
) -> tuple[Tensor, Tensor, list[int]]:
    """Lowest curvature across a direction, by Lanczos with differences of gradients.

    H v ≈ (∇E(x + εv) - ∇E(x)) / ε, projected on what is orthogonal to the tangent. Ritz values are never below the
    lowest eigenvalue, so a negative one proves that there is a way down. That there is none cannot be proved by a few
    products; it is believed after ln d of them, once the lowest Ritz value is above ``bound`` by more than its
    residual.

    Args:
        landscape: where.
        x: ``(p, d)``.
        grads: ``(p, d)``, gradients there.
        tangents: ``(p, d)``, unit vectors.
        scale: ``(p,)``, a length; ε is a small part of it.
        bound: ``(p,)``, the curvature below which there is a way down.
        names: seeds of the first vectors.

    Returns:
        Curvatures ``(p,)``, their directions ``(p, d)``, unit vectors, and the gradients spent on each.

    Example:
        >>> from lossatlas.landscape import from_function
        >>> saddle = from_function(lambda x: x[0] ** 2 - 3 * x[1] ** 2 - 5 * x[2] ** 2, dim=3)
        >>> x = torch.zeros(1, 3, dtype=torch.float64)
        >>> along = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
        >>> one = torch.ones(1)
        >>> lowest, direction, spent = softest_across(saddle, x, x, along, scale=one, bound=-one, names=[(0,)])
        >>> round(float(lowest), 6), direction.abs().round(decimals=3), spent
        (-6.0, tensor([[0., 1., 0.]], dtype=torch.float64), [2])

    Source: Golub & Van Loan, *Matrix Computations*, Sec. 10.1.
    """
    count, dim = x.shape
    epsilon = (torch.finfo(x.dtype).eps ** (1 / 3) * scale).to(x)[:, None]
    first = torch.stack([torch.randn(dim, generator=generator(*name, "escape"), dtype=torch.float64) for name in names])
    v = first.to(x)
    v = unit(v - (v * tangents).sum(-1, keepdim=True) * tangents)
    basis, products = [v], []
    lowest, directions = x.new_zeros(count), v
    settled = torch.zeros(count, dtype=torch.bool, device=x.device)
    spent = [0] * count
    enough = max(1, math.floor(math.log(dim)))
    for _ in range(max(1, min(dim - 1, _MOST_PRODUCTS))):
        ask = (~settled).nonzero().flatten()
        if dim < 2 or len(ask) == 0:
            break
        v = basis[-1]
        product = torch.zeros_like(v)
        _, there = landscape.value_and_grad(x[ask] + epsilon[ask] * v[ask])
        product[ask] = (there - grads[ask]) / epsilon[ask]
        product = product - (product * tangents).sum(-1, keepdim=True) * tangents
        for i in ask.tolist():
            spent[i] += 1
        products.append(product)
        v_all, h_all = torch.stack(basis, 1), torch.stack(products, 1)
        small = (v_all @ h_all.mT).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        ritz, vectors = torch.linalg.eigh((small + small.mT) / 2)
        mode = vectors[..., :1]
        new = (v_all.mT @ mode).squeeze(-1)
        left = torch.linalg.vector_norm((h_all.mT @ mode).squeeze(-1) - ritz[:, :1] * new, dim=-1)
        lowest = torch.where(settled, lowest, ritz[:, 0])
        directions = torch.where(settled[:, None], directions, new)
        following = product
        for _ in range(2):  # twice is enough to stay orthogonal
            following = following - (v_all.mT @ (v_all @ following[..., None])).squeeze(-1)
            following = following - (following * tangents).sum(-1, keepdim=True) * tangents
        size = torch.linalg.vector_norm(following, dim=-1)
        largest = ritz.abs().amax(1)
        decided = lowest - bound > left if len(products) >= enough else torch.zeros_like(settled)
        settled = (
            settled | decided | (left <= _SETTLED * largest) | (size <= 1e-6 * largest) | ~product.isfinite().all(-1)
        )
        basis.append(unit(following))
    return lowest, unit(directions), spent


def _displaced(images: Tensor, top: int, side: Tensor) -> Tensor:
    """Push a chain sideways, most at its top, ``(m, d), (d,) -> (m, d)``; the ends stay.

    x_i + sin(π t_i / 2 t_top) side before the top and mirrored after it, t_i = i/(m - 1).
    """
    t = torch.linspace(0, 1, len(images), dtype=images.dtype, device=images.device)
    at = top / (len(images) - 1)
    shape = torch.sin(math.pi / 2 * torch.minimum(t / at, (1 - t) / (1 - at)))
    shape[0] = shape[-1] = 0
    return images + shape[:, None] * side
