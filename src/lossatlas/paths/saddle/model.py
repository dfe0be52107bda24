"""QuadraticModel: the loss near a point on a small subspace, where the Hessian is known."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.paths.saddle.probe import Probe

__all__ = ["QuadraticModel"]

# A vector of which less than this is left outside the subspace adds only rounding errors.
_SPENT = 1e-8


class QuadraticModel:
    """L(x + s) ≈ L + g·s + ½ s·H s for s in a subspace that grows one Hessian product per dimension.

    The basis is kept as Ritz vectors: H v_i = θ_i v_i + r_i with r_i outside the subspace. Growing it by residuals is
    the block Lanczos method; once it spans everything the model is exact.

    Args:
        probe: the landscape.
        x: ``(d,)``.
        value: loss at ``x``.
        gradient: ``(d,)`` at ``x``; components along the null space are dropped.
        starts: ``(n, d)``, further first directions, such as a mode known from before.

    Attributes:
        values: ``(m,)``, θ, ascending.
        vectors: ``(m, d)``, orthonormal Ritz vectors.
        images: ``(m, d)``, H v_i.
    """

    def __init__(self, probe: Probe, x: Tensor, value: float, gradient: Tensor, starts: Tensor) -> None:
        self._probe = probe
        self.x, self.value = x, value
        self.null = probe.null_space(x)
        self.gradient = self._inside(gradient)
        self.values = x.new_empty(0)
        self.vectors = self.images = x.new_empty(0, len(x))
        self.grow(torch.cat([starts, self.gradient[None]]))

    @property
    def gradient_norm(self) -> float:
        """|g|."""
        return float(torch.linalg.vector_norm(self.gradient))

    @property
    def slopes(self) -> Tensor:
        """v_i·g, ``(m,)``."""
        return self.vectors @ self.gradient

    @property
    def stiffness(self) -> float:
        """The largest |θ_i|, a lower bound of |H|; 0 for an empty or flat model."""
        return float(self.values.abs().max()) if len(self.values) else 0.0

    @property
    def complete(self) -> bool:
        """Whether the subspace is the whole space."""
        return len(self.values) >= len(self.x) - len(self.null)

    def grow(self, directions: Tensor) -> bool:
        """Add directions ``(n, d)``; False where all of them lie in the subspace already."""
        fresh: list[Tensor] = []
        for direction in directions:
            length = torch.linalg.vector_norm(direction)
            if not bool(length.isfinite()) or float(length) == 0:
                continue
            rest = direction / length
            for _ in range(2):  # once more, because the first pass leaves rounding errors of what it removed
                rest = self._inside(rest)
                rest = rest - self.vectors.T @ (self.vectors @ rest)
                for other in fresh:
                    rest = rest - other * (other @ rest)
            left = torch.linalg.vector_norm(rest)
            if float(left) > _SPENT and len(self.values) + len(fresh) < len(self.x) - len(self.null):
                fresh.append(rest / left)
        if not fresh:
            return False
        basis = torch.stack(fresh)
        images = self._probe.multiply(self.x, basis)
        images = images - (images @ self.null.T) @ self.null
        self.vectors, self.images = torch.cat([self.vectors, basis]), torch.cat([self.images, images])
        self._diagonalise()
        return True

    def keep(self, count: int) -> None:
        """Forget all but the ``count`` lowest Ritz vectors."""
        self.values, self.vectors, self.images = self.values[:count], self.vectors[:count], self.images[:count]

    def residual(self, mode: int) -> Tensor:
        """H v - θ v of one Ritz vector, ``-> (d,)``: its norm bounds the error of θ."""
        return self.images[mode] - self.values[mode] * self.vectors[mode]

    def outside(self, coefficients: Tensor) -> Tensor:
        """The part of H s that leaves the subspace, for s = Σ c_i v_i, ``(m,) -> (d,)``."""
        image = coefficients @ self.images
        return image - (self.vectors @ image) @ self.vectors

    def _inside(self, vector: Tensor) -> Tensor:
        return vector - (self.null @ vector) @ self.null

    def _diagonalise(self) -> None:
        matrix = self.vectors @ self.images.T
        # A Hessian that is not finite has no eigenvectors; zeros make the step a plain gradient step.
        matrix = (0.5 * (matrix + matrix.T)).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        self.values, rotation = torch.linalg.eigh(matrix)
        self.vectors, self.images = rotation.T @ self.vectors, rotation.T @ self.images
