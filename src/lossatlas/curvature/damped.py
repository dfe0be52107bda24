"""Damped Newton models of |g|² in Krylov spaces, grown for many searches by the same calls for products."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossatlas.core.linalg import row_norm
from lossatlas.core.randomness import generator
from lossatlas.curvature.krylov import Krylov
from lossatlas.curvature.operator import CurvatureOperator

__all__ = ["DampedModel", "damped_models"]

# A Krylov space is large enough where its step leaves so much of g that it could remove, or where the products since
# the last look took away so little of it. Looks come each time the space has grown by a quarter.
_LEFT, _STALLED = 1e-3, 1e-4
_FEWEST = 8


class DampedModel:
    """min_p |g + H p|² + μ² |p|² over a Krylov space of H and g.

    Args:
        space: begun at g.
        norm: |g|.
    """

    def __init__(self, space: Krylov, norm: float) -> None:
        self.space, self.norm = space, norm
        matrix = space.extended
        self.left, self.sizes, self.right = torch.linalg.svd(matrix, full_matrices=False)
        self.onto = self.left[0] * norm

    @property
    def stiffness(self) -> float:
        """Largest |θ| seen."""
        return float(self.sizes[0])

    @property
    def flatness(self) -> float:
        """|H g| / (|θ|_max |g|): zero where |g|² has no slope."""
        slope = float(torch.linalg.vector_norm(self.space.extended[:, 0]))
        return slope / self.stiffness if self.stiffness > 0 else 0.0

    def step(self, coordinates: Tensor) -> Tensor:
        """The step itself, ``(m,) -> (d,)``."""
        return self.space.vectors(coordinates[:, None])[0]

    def solve(self, damping: float) -> tuple[Tensor, float]:
        """Coordinates of the step, and |g + H p| as promised; ``damping`` is μ over the largest |θ|."""
        shift = (damping * self.stiffness) ** 2
        factors = self.sizes / (self.sizes**2 + shift) if self.stiffness > 0 else torch.zeros_like(self.sizes)
        y = -(self.right.T @ (factors * self.onto))
        kept = (1 - self.sizes * factors) * self.onto
        outside = max(0.0, self.norm**2 - float(self.onto.square().sum()))
        return y, (float(kept.square().sum()) + outside) ** 0.5


def damped_models(
    operator: CurvatureOperator, gradients: Tensor, dampings: Sequence[float], most: int, seed: int
) -> list[DampedModel | None]:
    """One model for each matrix; None where a product was not finite.

    Args:
        operator: n matrices.
        gradients: ``(n, d)``.
        dampings: μ over the largest |θ| for which each space must be large enough.
        most: products with each matrix.
        seed: names the random vectors of spaces that are invariant.
    """
    dim = operator.dim
    norms = row_norm(gradients).tolist()
    spaces = [Krylov(g[None], min(most + 1, dim), generator(seed, "invariant spaces", dim)) for g in gradients]
    models: list[DampedModel | None] = [None] * len(spaces)
    trails: list[list[float]] = [[] for _ in spaces]
    looks = [1] * len(spaces)
    open_rows = list(range(len(spaces)))
    for _ in range(min(most, dim)):
        images = operator.multiply(torch.cat([spaces[i].block for i in open_rows]), torch.tensor(open_rows))
        remaining = []
        for i, image in zip(open_rows, images, strict=True):
            models[i] = None
            if not bool(image.isfinite().all()):
                continue
            spaces[i].absorb(image[None])
            size = spaces[i].size
            if size < min(most, dim) and size < looks[i]:
                remaining.append(i)
                continue
            looks[i] = size + max(1, size // 4)
            models[i] = model = DampedModel(spaces[i], norms[i])
            trails[i].append(model.solve(dampings[i])[1])
            if not _enough(trails[i], norms[i], size):
                remaining.append(i)
        open_rows = remaining
        if not open_rows:
            break
    return models


def _enough(trail: list[float], norm: float, size: int) -> bool:
    if trail[-1] <= _LEFT * norm:
        return True
    return size >= _FEWEST and trail[-2] - trail[-1] <= _STALLED * norm
