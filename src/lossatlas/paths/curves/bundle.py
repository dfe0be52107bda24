"""Bundle: the curves of many pairs while they are relaxed together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lossatlas.core.curve import Curve
from lossatlas.paths.curves.modes import Modes
from lossatlas.paths.finder import Ends

__all__ = ["Bundle"]


@dataclass(frozen=True)
class Bundle:
    """w_i(t) = (1 - t) start_i + t end_i + Σ_n ψ_n(t) b_in for every pair i.

    Args:
        start: ``(p, d)``.
        end: ``(p, d)``.
        b: ``(p, K, d)``.
        modes: the functions ψ.
    """

    start: Tensor
    end: Tensor
    b: Tensor
    modes: Modes

    @classmethod
    def between(cls, ends: Ends, modes: Modes) -> Bundle:
        """Straight lines, or the first guesses as far as the family can follow them."""
        if ends.initial is None:
            b = ends.start.new_zeros(len(ends), len(modes), ends.start.shape[1])
        else:
            b = modes.through(ends.initial)
        return cls(ends.start, ends.end, b, modes)

    def __len__(self) -> int:
        return len(self.start)

    def keep(self, rows: Tensor) -> Bundle:
        """The pairs of a mask ``(p,)``."""
        return replace(self, start=self.start[rows], end=self.end[rows], b=self.b[rows])

    def with_modes(self, b: Tensor) -> Bundle:
        """The curves between the same ends with other coefficients, ``(p, K, d)``."""
        return replace(self, b=b)

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Points and the modes there, float64 ``(p, m) -> (p, m, d), (p, m, K)``."""
        psi = self.modes.at(t).to(self.b)
        share = t.to(self.b)[..., None]
        return (1 - share) * self.start[:, None] + share * self.end[:, None] + psi @ self.b, psi

    def slopes(self, t: Tensor) -> Tensor:
        """Derivatives by t, float64 ``(p, m) -> (p, m, d)``."""
        return (self.end - self.start)[:, None] + self.modes.slopes(t).to(self.b) @ self.b

    def even(self, share: Tensor) -> Tensor:
        """Values of t at given shares of the arc length, float64 ``(p, m) -> (p, m)``."""
        fine = torch.linspace(0, 1, 16 * (len(self.modes) + 1) + 1, dtype=torch.float64, device=self.b.device)
        steps = torch.cat([fine[:, None], self.modes.at(fine)], dim=1).diff(dim=0).to(self.b)
        # |Δw|² = Δa G Δaᵀ with the Gram matrix G of chord and coefficients: no point is made.
        frame = torch.cat([(self.end - self.start)[:, None], self.b], dim=1)
        squares = torch.einsum("sk,pkl,sl->ps", steps, frame @ frame.mT, steps).double().clamp(min=0)
        # A trace of the mean step keeps the length increasing where a curve rests, so that it can be inverted.
        lengths = squares.sqrt()
        lengths = lengths + 1e-9 * lengths.mean(1, keepdim=True) + torch.finfo(torch.float64).tiny
        arc = torch.cat([lengths.new_zeros(len(lengths), 1), lengths.cumsum(1)], dim=1)
        wanted = share.to(arc.device) * arc[:, -1:]
        above = torch.searchsorted(arc, wanted).clamp(1, arc.shape[1] - 1)
        low, high = arc.gather(1, above - 1), arc.gather(1, above)
        return fine[above - 1] + ((wanted - low) / (high - low)).clamp(0, 1) * (fine[above] - fine[above - 1])

    def curve(self, i: int) -> Curve:
        """The curve of one pair, in its family's own coefficients."""
        coefficients = self.modes.transform.to(self.b) @ self.b[i]
        return Curve(self.modes.basis, self.start[i], self.end[i], coefficients)
