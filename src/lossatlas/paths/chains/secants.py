"""What gradients already evaluated say about curvature: a quasi-Newton model for every image of a chain."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.paths.chains.forces import sizes

__all__ = ["Model", "Secants"]

# A secant tells something new when at least this part of it is outside of those that came before it.
_NEW = 0.6
# Secants further away than this, in spacings (the sum of the distances to both of its points), are not used.
_NEAR = 4.0
# Curvatures count at least this part of the one taken outside, so that no step along a flat direction is wild.
_FLOOR = 0.2
_MOST = 40
# Numbers that the secants sorted for each image may hold; fewer are kept in many dimensions.
_ROOM = 1 << 22


@dataclass(frozen=True)
class Model:
    """The curvature of the landscape at every image, known in a few directions: B = Σ_jk v_j T_jk v_k + c (1 - Σ v v).

    Args:
        basis: ``(p, n, k, d)``, orthonormal v_j; zero where there are fewer.
        products: ``(p, n, k, d)``, the Hessian times each of them.
    """

    basis: Tensor
    products: Tensor

    def outside(self, vectors: Tensor) -> Tensor:
        """The part in which nothing is known, ``(p, n, d) -> (p, n, d)``."""
        inside: Tensor = self.basis.mT @ (self.basis @ vectors[..., None])
        return vectors - inside.squeeze(-1)

    def times(self, steps: Tensor, curvature: Tensor) -> Tensor:
        """Change of the gradient over steps, ``(p, n, d), (p, n) -> (p, n, d)``; ``curvature`` is c."""
        known: Tensor = self.products.mT @ (self.basis @ steps[..., None])
        return known.squeeze(-1) + curvature[..., None] * self.outside(steps)

    def newton(self, force: Tensor, curvature: Tensor, tangents: Tensor) -> Tensor:
        """Newton steps |P B P|⁻¹ F with P = 1 - τ τ.

        Curvatures enter by their size, so that steps go down from a ridge and up where the force of a climbing image
        is reversed.

        Args:
            force: ``(p, n, d)``, orthogonal to the tangents.
            curvature: ``(p, n)``, c.
            tangents: ``(p, n, d)``, unit vectors; zero for no projection.

        Returns:
            ``(p, n, d)``.
        """
        c = curvature[..., None]
        small = self.basis @ self.products.mT
        used = sizes(self.basis) > 0
        extra = (small + small.mT) / 2 - torch.diag_embed(torch.where(used, c, 0))
        along = (self.basis @ tangents[..., None]).squeeze(-1)
        share = along.square().sum(-1, keepdim=True)
        tiny = torch.finfo(share.dtype).tiny
        direction = along / share.clamp(min=tiny).sqrt()
        # P v_j are not orthonormal: their Gram matrix is 1 - a a, of which this is the square root.
        shrink = (1 - share).clamp(min=torch.finfo(share.dtype).eps ** 0.5).sqrt()[..., None]
        outer = direction[..., :, None] * direction[..., None, :]
        eye = torch.eye(extra.shape[-1], dtype=extra.dtype, device=extra.device)
        root, inverse = eye - (1 - shrink) * outer, eye - (1 - 1 / shrink) * outer
        basis = inverse @ (self.basis - along[..., None] * tangents[..., None, :])
        inner = root @ extra @ root
        inner = (inner + inner.mT) / 2 + c[..., None] * eye
        curvatures, modes = torch.linalg.eigh(inner)
        within = basis @ force[..., None]
        stiff = torch.maximum(curvatures.abs(), _FLOOR * c)[..., None]
        step = modes @ ((modes.mT @ within) / stiff)
        rest = force - (basis.mT @ within).squeeze(-1)
        inside: Tensor = basis.mT @ step
        return inside.squeeze(-1) + rest / c


class Secants:
    """Steps of images and the changes of their gradients, y = ∇E(x + s) - ∇E(x) ≈ H s, newest first.

    Args:
        images: ``(p, m, d)``, the chains they belong to.
    """

    def __init__(self, images: Tensor) -> None:
        count, m, dim = images.shape
        none = images.new_zeros(count, 0, dim)
        self._most = max(m - 2, min(_MOST, _ROOM // ((m - 2) * dim)))
        self._from, self._steps, self._changes = none, none, none

    def add(self, start: Tensor, steps: Tensor, changes: Tensor) -> None:
        """Remember steps from ``start``, all ``(p, n, d)``; steps of no length are none."""
        most = self._most
        self._from = torch.cat([start, self._from], 1)[:, :most]
        self._steps = torch.cat([steps, self._steps], 1)[:, :most]
        self._changes = torch.cat([changes, self._changes], 1)[:, :most]

    def model(self, x: Tensor, spacing: Tensor) -> Model | None:
        """The model at every image, ``x`` ``(p, n, d)``, from the nearest secants first; None before there are any.

        All images share what was seen, wherever on the chain it was. ``spacing`` ``(p,)`` says what is near.
        """
        count = self._steps.shape[1]
        if count == 0:
            return None
        lengths = sizes(self._steps)
        far = torch.cdist(x, self._from) + torch.cdist(x, self._from + self._steps)
        unknown = (lengths == 0)[:, None] | (far > _NEAR * spacing[:, None, None])
        order = torch.where(unknown, torch.inf, far).argsort(dim=-1, stable=True)
        lengths = torch.where(unknown, 0, lengths[:, None]).gather(-1, order)
        rows = torch.arange(len(x), device=x.device)[:, None, None]
        steps, changes = self._steps[rows, order], self._changes[rows, order]
        basis, products = torch.zeros_like(steps), torch.zeros_like(steps)
        for j in range(count):
            v, hv = steps[:, :, j], changes[:, :, j]
            for _ in range(2 if j else 0):  # twice is enough to stay orthogonal
                part = basis[:, :, :j] @ v[..., None]
                v = v - (basis[:, :, :j].mT @ part).squeeze(-1)
                hv = hv - (products[:, :, :j].mT @ part).squeeze(-1)
            size, length = sizes(v)[..., None], lengths[:, :, j, None]
            new = (length > 0) & (size > _NEW * length)
            basis[:, :, j] = torch.where(new, v / size, 0)
            products[:, :, j] = torch.where(new, hv / size, 0)
        return Model(basis, products)
