"""The path finder of Yu & Morozov 2026, as published and as in its notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lossatlas.core.randomness import generator
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.curves.bundle import Bundle
from lossatlas.paths.curves.crowd import Crowd
from lossatlas.paths.curves.modes import Modes
from lossatlas.paths.finder import Ends, Search

__all__ = ["Keep", "Length", "Objective", "PublishedSearch"]

Length = Literal["squared", "plain"]
Objective = Literal["loss", "squared loss"]
Keep = Literal["lowest loss", "lowest total", "last"]


@dataclass(frozen=True, kw_only=True)
class PublishedSearch:
    """Minimise Σ_m f(L(w(t_m))) + λ Σ_m |w(t_{m+1}) − w(t_m)|^q over b with Adam, at fixed t_m = m/(M−1).

    The gradient is ∂/∂b_n = Σ_m f'(L) ∇L(w(t_m)) sin(nπt_m) + 2λ Σ_m [w(t_{m+1}) − w(t_m)]
    [sin(nπt_{m+1}) − sin(nπt_m)] for q = 2, plus normal noise.

    Args:
        steps: of Adam.
        learning_rate: of Adam, in the units of the coordinates.
        penalty: λ.
        length: ``"squared"``, q = 2, or ``"plain"``, q = 1.
        noise: standard deviation of what is added to the gradient of b.
        objective: ``"loss"``, f(L) = L, or ``"squared loss"``, f(L) = L².
        keep: which iterate is returned: of those seen, the one with the lowest Σ f(L) or the lowest total with the
            penalty, or the last one.
        points: M.
        seed: of the noise, each pair its own.

    Reference:
        Yu & Morozov 2026, *Neural network optimization strategies and the topography of the loss landscape*,
        arXiv 2602.21276, Eq. 3-5.
    """

    steps: int
    learning_rate: float
    penalty: float
    length: Length
    noise: float
    objective: Objective
    keep: Keep
    points: int
    seed: int

    def run(self, landscape: Landscape, ends: Ends, modes: Modes) -> list[Search]:
        """Relax all pairs for the same number of steps."""
        bundle = Bundle.between(ends, modes)
        device = bundle.b.device
        grid = torch.linspace(0, 1, self.points, dtype=torch.float64)
        crowd = Crowd(bundle, best=bundle.b.clone(), least=torch.full((len(ends),), torch.inf, dtype=torch.float64))
        draws = [generator(self.seed, "gradient noise", number) for number in ends.numbers]
        rate = torch.full((1, 1, 1), self.learning_rate)
        for step in range(self.steps):
            if not len(crowd):
                break
            rows, psi = crowd.bundle.at(grid.to(device).expand(len(crowd), -1))
            loss, gradient = landscape.value_and_grad(rows)
            crowd.note(height=loss.amax(1))
            finite = loss.isfinite().all(1) & gradient.isfinite().flatten(1).all(1)
            if not bool(finite.all()):
                gone = ~finite.cpu()
                self._leave(crowd, gone, "not finite", "the loss or its gradient stopped being finite", step + 1)
                rows, psi, loss, gradient = rows[finite], psi[finite], loss[finite], gradient[finite]
            term, total, slope = self._objective(rows, psi, loss, gradient)
            crowd.note(objective=total)
            score = (total if self.keep == "lowest total" else term).double().cpu()
            better = score < crowd.known["least"]
            crowd.known["least"] = torch.where(better, score, crowd.known["least"])
            crowd.known["best"] = torch.where(better.to(device)[:, None, None], crowd.bundle.b, crowd.known["best"])
            if self.noise > 0:
                shape = slope.shape[1:]
                noise = [torch.randn(shape, dtype=torch.float64, generator=draws[i]) for i in crowd.places]
                if noise:
                    slope = slope + self.noise * torch.stack(noise).to(slope)
            crowd.step(slope, rate)
        everyone = torch.ones(len(crowd), dtype=torch.bool)
        self._leave(crowd, everyone, "iteration limit", f"{self.steps} steps of Adam, as published", self.steps)
        return crowd.results()

    def _objective(self, rows: Tensor, psi: Tensor, loss: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Σ f(L), the same with the penalty, ``(p,)`` each, and the gradient by b, ``(p, K, d)``."""
        term = loss.sum(1)
        if self.objective == "squared loss":
            term, gradient = loss.square().sum(1), 2 * loss[..., None] * gradient
        slope = torch.einsum("pmk,pmd->pkd", psi, gradient)
        total = term
        if self.penalty > 0:
            step, lift = rows.diff(dim=1), psi.diff(dim=1)
            squares = step.square().sum(2)
            if self.length == "plain":
                norm = squares.sqrt()
                total = total + self.penalty * norm.sum(1)
                # A step of length 0 has no direction; 0 is a subgradient there.
                pull = step / torch.where(norm > 0, norm, torch.ones_like(norm))[..., None]
            else:
                total = total + self.penalty * squares.sum(1)
                pull = 2 * step
            slope = slope + self.penalty * torch.einsum("pmk,pmd->pkd", lift, pull)
        return term, total, slope

    def _leave(
        self, crowd: Crowd, which: Tensor, status: Literal["not finite", "iteration limit"], message: str, done: int
    ) -> None:
        last = crowd.before if status == "not finite" else crowd.bundle
        crowd.leave(
            which,
            status,
            [message] * len(crowd),
            t=lambda _: torch.linspace(0, 1, self.points, dtype=torch.float64),
            evaluations={"gradients": float(done * self.points)},
            curves=last if self.keep == "last" else last.with_modes(crowd.known["best"]),
        )
