"""Searching the ends of many spectra at once: thick-restart Lanczos, or the whole matrix where it is small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.hardware import memory_budget
from lossatlas.core.linalg import row_norm
from lossatlas.core.randomness import generator
from lossatlas.curvature.krylov import Krylov
from lossatlas.curvature.operator import CurvatureOperator

__all__ = ["ExtremeSearch", "Which"]

Which: TypeAlias = Literal["largest", "smallest", "both"]

# Up to here the whole matrix costs hardly more than a careful search.
_DENSE = 64
# Eigenvalues below this part of the largest |θ| are held to the accuracy of that part.
_FLOOR = 1e-3
# A search stops a little below the tolerance, so that the residual measured afterwards is not above it by rounding.
_MARGIN = 0.8
# Bytes for the bases of a group, where one alone does not need more. Larger groups are hardly faster, and several
# processes may be searching.
_BASIS_MEMORY = 512 << 20


@dataclass(frozen=True)
class ExtremeSearch:
    """A search for the ends of the spectra of many matrices.

    Args:
        operator: the matrices.
        k: how many eigenvalues, from each end that is asked for.
        which: which end.
        tolerance: of residuals.
        seed: names the starting vectors.
        max_products: for each matrix.
        width: products at a time with each matrix.

    Raises:
        InputError: arguments that cannot be.
    """

    operator: CurvatureOperator
    k: int
    which: Which
    tolerance: float
    seed: int
    max_products: int
    width: int

    def __post_init__(self) -> None:
        if self.which not in ("largest", "smallest", "both"):
            raise InputError(f"expected which as 'largest', 'smallest' or 'both', got '{self.which}'")
        if not 0 < self.count <= self.operator.dim:
            raise InputError(
                f"expected 1 to {self.operator.dim} eigenvalues in all, got {self.count}: choose another k"
            )
        if self.width < 1 or self.max_products < 1 or not 0 < self.tolerance < 1:
            raise InputError(
                f"expected block and max_products of at least 1 and a tolerance in (0, 1), got {self.width}, "
                f"{self.max_products} and {self.tolerance}"
            )

    def run(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Values ``(n, k)``, vectors ``(n, k, d)``, residuals ``(n, k)`` and flags ``(n, k)``."""
        return self._dense() if self.whole else self._lanczos()

    @property
    def method(self) -> str:
        """The algorithm by name."""
        return "dense" if self.whole else "thick-restart Lanczos"

    @property
    def whole(self) -> bool:
        """Whether the whole matrix is diagonalised: it is known, or takes hardly more products than a basis."""
        return self.operator.known or self.operator.dim <= max(_DENSE, self.size)

    @property
    def count(self) -> int:
        """Eigenvalues wanted of each matrix, from both ends together."""
        return 2 * self.k if self.which == "both" else self.k

    @property
    def size(self) -> int:
        """Most vectors of a basis."""
        return max(40, 2 * self.count + 20) + 2 * self.width

    def _ends(self, total: int, count: int) -> Tensor:
        """Positions of ``count`` wanted values among ``total`` ascending ones, in the order of the result."""
        places = torch.arange(total)
        if self.which == "smallest":
            return places[:count]
        if self.which == "largest":
            return places.flip(0)[:count]
        low = count // 2
        return torch.cat([places.flip(0)[: count - low], places[:low].flip(0)])

    def _goal(self, values: Tensor, scale: Tensor) -> Tensor:
        """The residual at which each value counts as settled; ``scale`` is the largest |θ| seen."""
        return self.tolerance * torch.maximum(values.abs(), _FLOOR * scale)

    def _dense(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        matrices = self.operator.dense().reshape(-1, self.operator.dim, self.operator.dim)
        finite = matrices.isfinite().flatten(1).all(1)
        values, columns = torch.linalg.eigh(matrices.where(finite[:, None, None], torch.zeros_like(matrices)))
        places = self._ends(self.operator.dim, self.count).to(values.device)
        scale = values.abs().amax(1, keepdim=True) if len(values) else values[:, :1]
        values, vectors = values[:, places], columns.mT[:, places]
        residuals = row_norm(vectors @ matrices - values[..., None] * vectors)
        converged = (residuals <= self._goal(values, scale)) | (scale == 0)
        nan = torch.full_like(values, torch.nan)
        return values.where(finite[:, None], nan), _signed(vectors), residuals, converged & finite[:, None]

    def _lanczos(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # One basis for each minimum of a group; several groups where memory asks for it.
        each = self.size * self.operator.dim * 8
        group = max(1, memory_budget(self.operator.device, ceiling=_BASIS_MEMORY) // each)
        found = [
            self._group(list(range(low, min(low + group, self.operator.rows))))
            for low in range(0, self.operator.rows, group)
        ]
        if not found:
            empty = torch.empty(0, self.count, dtype=torch.float64)
            return empty, empty[..., None].expand(-1, -1, self.operator.dim), empty, empty.bool()
        values, vectors, residuals, converged = (torch.cat(parts) for parts in zip(*found, strict=True))
        return values, vectors, residuals, converged

    def _group(self, rows: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dim, device = self.operator.dim, self.operator.device
        start = torch.randn(self.width, dim, dtype=torch.float64, generator=generator(self.seed, "eigenvalues", dim))
        spaces = {
            row: Krylov(start.to(device), self.size, generator(self.seed, "invariant spaces", dim)) for row in rows
        }
        values = torch.full((len(rows), self.count), torch.nan, dtype=torch.float64, device=device)
        vectors = torch.full((len(rows), self.count, dim), torch.nan, dtype=torch.float64, device=device)
        scales = torch.zeros(len(rows), 1, dtype=torch.float64, device=device)
        spent, active = 0, list(rows)
        while active:
            blocks = torch.cat([spaces[row].block for row in active])
            images = self.operator.multiply(blocks, torch.tensor(active).repeat_interleave(self.width))
            spent += self.width
            last = spent + self.width + self.count > self.max_products
            remaining = []
            for row, image in zip(active, images.reshape(len(active), self.width, dim), strict=True):
                if not bool(image.isfinite().all()):
                    continue  # stays NaN
                space, place = spaces[row], row - rows[0]
                space.absorb(image)
                if self._advance(space, last):
                    remaining.append(row)
                    continue
                theta, coordinates, _ = space.ritz()
                ends = self._ends(len(theta), self.count)
                values[place, : len(ends)] = theta[ends].to(device)
                vectors[place, : len(ends)] = space.vectors(coordinates[:, ends])
                scales[place] = theta.abs().max()
                del spaces[row]
            active = remaining
        vectors = _signed(vectors)
        # The certificate: products with the vectors themselves, not the recurrence's word.
        images = self.operator.multiply(vectors.reshape(-1, dim), torch.tensor(rows).repeat_interleave(self.count))
        residuals = row_norm(images.reshape(vectors.shape) - values[..., None] * vectors)
        converged = (residuals <= self._goal(values, scales)) | ((residuals == 0) & (scales == 0))
        return values, vectors, residuals, converged

    def _advance(self, space: Krylov, last: bool) -> bool:
        """Whether a search goes on; restarted if it has no room left."""
        if last:
            return False
        if space.size < self.count and not space.full:
            return True
        values, coordinates, residuals = space.ritz()
        ends = self._ends(len(values), self.count)
        scale = values.abs().max()
        if len(ends) == self.count and bool((residuals[ends] <= _MARGIN * self._goal(values[ends], scale)).all()):
            return False
        if space.full:
            keep = self._ends(len(values), self.count + (self.size - 2 * self.width - self.count) // 2)
            space.restart(values[keep], coordinates[:, keep])
        return True


def _signed(vectors: Tensor) -> Tensor:
    """Make the component of largest magnitude positive."""
    peak = vectors.gather(-1, vectors.abs().argmax(-1, keepdim=True))
    return vectors * peak.sign().where(peak != 0, torch.ones_like(peak))
