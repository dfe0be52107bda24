"""The memory of L-BFGS: recent steps and gradient changes, and the direction they imply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from lossatlas.core.files import Tree
from lossatlas.optimize.optimizer import to_device
from lossatlas.optimize.rows import stable_dot

__all__ = ["Pairs"]


@dataclass(frozen=True)
class Pairs:
    """Pairs s = Δw, y = Δg of n rows, oldest first; the newest ``count`` of each row are in use.

    A row's pairs are always its newest ones, because a row that adds none forgets all: so one shared sequence with a
    count per row suffices, and adding a pair copies nothing.

    Args:
        steps: s, k tensors ``(n, d)``, k at most the history's length.
        changes: y, likewise.
        products: s·y, k tensors ``(n,)``.
        scales: γ = s·y / y·y, k tensors ``(n,)``.
        count: ``(n,)`` int64, pairs in use.
    """

    steps: tuple[Tensor, ...]
    changes: tuple[Tensor, ...]
    products: tuple[Tensor, ...]
    scales: tuple[Tensor, ...]
    count: Tensor

    @classmethod
    def empty(cls, x: Tensor) -> Self:
        """Return the memory of rows ``(n, d)`` that have made no step."""
        return cls((), (), (), (), torch.zeros(len(x), dtype=torch.int64, device=x.device))

    def add(self, step: Tensor, change: Tensor, rows: Tensor, length: int, minimum_cosine: float) -> Self:
        """Remember one more pair, or forget everything where that is called for.

        A row forgets when s·y/(|s||y|) < ``minimum_cosine`` or |s||y| = 0: its next direction is steepest descent.

        Args:
            step: s, ``(n, d)``; 0 in rows without a pair.
            change: y, ``(n, d)``; 0 in rows without a pair.
            rows: ``(n,)`` bool, rows that have a pair; the others forget theirs.
            length: pairs to keep, m.
            minimum_cosine: smallest cosine between s and y.
        """
        product, square = stable_dot(step, change), stable_dot(change, change)
        lengths = stable_dot(step, step).sqrt() * square.sqrt()
        # NaN compares false, so a pair that is not finite is forgotten too.
        usable = rows & (lengths != 0) & lengths.isfinite() & (product >= minimum_cosine * lengths)
        count = torch.where(usable, (self.count + 1).clamp(max=length), 0)
        scale = torch.where(usable, product / square, torch.ones_like(product))
        if not bool(usable.all()):
            # An unused pair is multiplied by 0, which would not silence an infinity.
            step = torch.where(usable[:, None], step, torch.zeros_like(step))
            change = torch.where(usable[:, None], change, torch.zeros_like(change))
            product = torch.where(usable, product, torch.zeros_like(product))
        return type(self)(
            (*self.steps, step)[-length:],
            (*self.changes, change)[-length:],
            (*self.products, product)[-length:],
            (*self.scales, scale)[-length:],
            count,
        )

    def direction(self, gradient: Tensor, regularisation: float) -> Tensor:
        """Multiply by minus the implied inverse Hessian (two-loop recursion), ``(n, d) -> (n, d)``.

        d = −Hg, where H starts as γ of the newest pair (1 without pairs) and each pair, oldest first, makes it
        (1 − ρ s yᵀ) H (1 − ρ y sᵀ) + ρ s sᵀ with ρ = 1/(s·y + ``regularisation``).

        Reference:
            Nocedal & Wright, Numerical Optimization, Algorithm 7.4.
        """
        # Separate products and sums throughout: a fused one may round differently at the end of a thread's share,
        # and a row's bits would depend on where it lies.
        d = gradient.clone()
        weights: list[Tensor] = []
        for age, (s, y, product) in enumerate(
            zip(reversed(self.steps), reversed(self.changes), reversed(self.products), strict=True)
        ):
            rho = 1 / (product + regularisation)
            weight = torch.where(age < self.count, rho * stable_dot(s, d), torch.zeros_like(product))
            d -= weight[:, None] * y
            weights.append(weight)
        if self.scales:
            d *= torch.where(self.count > 0, self.scales[-1], torch.ones_like(self.scales[-1]))[:, None]
        for age, (s, y, product) in reversed(
            list(enumerate(zip(reversed(self.steps), reversed(self.changes), reversed(self.products), strict=True)))
        ):
            rho = 1 / (product + regularisation)
            correction = weights[age] - rho * stable_dot(y, d)
            d += torch.where(age < self.count, correction, torch.zeros_like(correction))[:, None] * s
        return d.neg_()

    def to_tree(self) -> Tree:
        """Return nested tuples of tensors."""
        return {
            "steps": self.steps,
            "changes": self.changes,
            "products": self.products,
            "scales": self.scales,
            "count": self.count,
        }

    @classmethod
    def from_tree(cls, tree: Tree, device: str | torch.device | None = None) -> Self:
        """Rebuild the memory from :meth:`to_tree`."""
        return cls(**to_device(tree, device))
