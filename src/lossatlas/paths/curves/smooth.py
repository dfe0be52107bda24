"""Relaxing curves over smooth energies: forces across the path, its highest point followed exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.randomness import generator
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.curves.bundle import Bundle
from lossatlas.paths.curves.crowd import Crowd
from lossatlas.paths.curves.modes import Modes
from lossatlas.paths.curves.tops import highest
from lossatlas.paths.finder import Ends, Search, Status

__all__ = ["SmoothSearch"]

# Chosen on the landscapes with known passes.
_SHARPNESS = 50.0  # β at last: points 1/50 of the height below the top count 1/e of it
# With kinks the top is a corner between long straight pieces, and what lies beside it holds it back: .2 % of the height
# on the φ⁴ ring, and in proportion to 1/β.
_SHARPNESS_WITH_KINKS = 400.0
_FIRST_CYCLE = 80  # steps until the learning rate has fallen for the first time
_LOWEST_RATE = 0.01
_MISSED = 3e-4  # how far the curve may rise above its sampled top at convergence, as a part of the height
_STABLE = 3  # steps running that must meet the tolerance: the samples move between them


@dataclass(frozen=True, kw_only=True)
class SmoothSearch:
    """Lower the highest point of every path, and on the way there the whole path.

    Every step takes ``per_step`` points at equal steps of arc length, shifted together at random, and the highest
    point of the curve as the last samples show it (:func:`highest`). The forces across the path
    g⊥ = ∇L − (∇L·τ)τ, weighted with exp(β (L − max L)/(max L − lower end)), move the modes by Adam. β rises from 0,
    where the whole path relaxes as a string does, to 50, or 400 for families with kinks, where only the top counts and
    what is below it is free. The learning rate falls by cosines and starts again, each cycle twice as long, so that an
    easy pair stops early.

    A family with kinks can grow needles, out and back on one line, on which no force is across. There the part along
    the path is kept as far as the top is what counts, where it vanishes unless the top is the tip of a needle.

    Even steps and random shifts leave no gaps between fixed samples in which the loss could hide; at convergence
    g⊥ = 0 at the maximum along the path, so it is a stationary point of the energy.

    Args:
        rate: learning rate of the slowest mode, in units of the root mean square difference of the ends' coordinates.
        falloff: how the learning rate falls with the frequency.
        budget: gradients per pair.
        per_step: points per step besides the highest one.
        perturbation: size of the random change of the start, in the units of ``rate``.
        force: tolerance of |g⊥| · distance / (height − lower end) at the highest point.
        points: samples of the path that is returned.
        seed: of shifts and perturbation, each pair its own.
    """

    rate: float
    falloff: float
    budget: float
    per_step: int
    perturbation: float
    force: float
    points: int
    seed: int

    def run(self, landscape: Landscape, ends: Ends, modes: Modes) -> list[Search]:
        """Relax all pairs together; each one stops on its own."""
        cost = self.per_step + 1
        steps = int(self.budget / cost * (1 + 1e-9))
        start = Bundle.between(ends, modes)
        distance = torch.linalg.vector_norm(ends.end - ends.start, dim=1).double()
        size = (distance / math.sqrt(landscape.dim))[:, None, None]
        slow = modes.frequencies.clamp(min=1).pow(-self.falloff).to(distance)[:, None]
        outer = landscape.value(torch.stack([ends.start, ends.end], dim=1)).double()
        crowd = Crowd(
            start,
            rates=self.rate * size * slow,
            distance=distance,
            outer=outer,
            top=torch.full_like(distance, 0.5),
            good=torch.zeros(len(ends), dtype=torch.int64, device=distance.device),
        )
        sharpness = _SHARPNESS_WITH_KINKS if modes.kinked else _SHARPNESS
        draws = [generator(self.seed, "curve offsets", number) for number in ends.numbers]
        if steps:
            shape = start.b.shape[1:]
            kick = torch.stack([torch.randn(shape, dtype=torch.float64, generator=g) for g in draws]).to(size.device)
            crowd.bundle = start.with_modes(start.b + (self.perturbation * size * slow * kick).to(start.b))
        for step in range(steps):
            late = min(1.0, 2 * step / _FIRST_CYCLE)
            if not len(crowd):
                break
            t, psi, across, loss, slope, is_top = self._look(landscape, crowd, draws, late if modes.kinked else 0.0)
            finite = loss.isfinite().all(1) & across.isfinite().flatten(1).all(1)
            if not bool(finite.all()):
                texts = ["the loss or its gradient is not finite on the curve after this one"] * len(crowd)
                self._leave(crowd, ~finite.cpu(), "not finite", texts, (step + 1) * cost, curves=crowd.before)
                t, psi, across, loss, slope, is_top = (x[finite] for x in (t, psi, across, loss, slope, is_top))
                if not len(crowd):
                    break
            known = crowd.known
            known["top"], height = highest(t, loss, slope)
            higher, lower = known["outer"].amax(1), known["outer"].amin(1)
            scale = (torch.maximum(height, higher) - lower).clamp(min=torch.finfo(torch.float64).tiny)
            at_top = torch.linalg.vector_norm(across[is_top].double(), dim=1)
            found = height - loss[is_top] <= _MISSED * scale
            # Where no sample is above the higher end there is nothing to lower.
            force = torch.where(height > higher, at_top * known["distance"] / scale, torch.zeros_like(scale))
            crowd.note(height=torch.maximum(height, higher), force=force)
            # A top that has just moved elsewhere has not been looked at yet.
            good = (force <= self.force) & (found | (height <= higher))
            known["good"] = torch.where(good, known["good"] + 1, 0)
            weight = torch.exp(sharpness * late * (loss - loss.amax(1, keepdim=True)) / scale[:, None])
            weight = weight / weight.sum(1, keepdim=True)
            done = known["good"] >= _STABLE
            going = ~done
            pull = torch.einsum("pm,pmk,pmd->pkd", weight.to(psi), psi, across)
            if bool(done.any()):
                self._leave(crowd, done.cpu(), "converged", self._say(crowd, force), (step + 1) * cost)
            crowd.step(pull[going], crowd.known["rates"] * _decay(step, steps))
        rest = torch.ones(len(crowd), dtype=torch.bool)
        last = torch.tensor([crowd.last("force", row) for row in range(len(crowd))])
        texts = [f"the budget was spent: {text}" for text in self._say(crowd, last)]
        if not steps:
            texts = [f"a budget below the {cost} gradients of one step: the first curve"] * len(crowd)
        self._leave(crowd, rest, "iteration limit", texts, steps * cost)
        return crowd.results()

    def _look(
        self, landscape: Landscape, crowd: Crowd, draws: list[torch.Generator], kept: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Samples of all curves: t, modes, forces across, losses, slopes along, and which one is the top.

        ``kept`` is the part of the force along the path that is kept.
        """
        bundle = crowd.bundle
        shift = torch.cat([torch.rand(1, dtype=torch.float64, generator=draws[i]) for i in crowd.places])
        share = (torch.arange(self.per_step, dtype=torch.float64) + shift[:, None]) / self.per_step
        t, order = torch.cat([bundle.even(share.to(bundle.b.device)), crowd.known["top"][:, None]], dim=1).sort(dim=1)
        rows, psi = bundle.at(t)
        loss, gradient = landscape.value_and_grad(rows)
        speed = bundle.slopes(t)
        along = (gradient * speed).sum(2)
        square = speed.square().sum(2)
        # Where a curve rests it has no direction, and all of the gradient is across.
        share_along = torch.where(square > 0, along / torch.where(square > 0, square, torch.ones_like(square)), 0.0)
        across = gradient - (1 - kept) * share_along[..., None] * speed
        return t, psi, across, loss.double(), along.double(), order == self.per_step

    def _say(self, crowd: Crowd, force: Tensor) -> list[str]:
        return [f"force at the highest point {value:.2g}, tolerance {self.force:.2g}" for value in force.tolist()]

    def _leave(
        self,
        crowd: Crowd,
        which: Tensor,
        status: Status,
        texts: list[str],
        gradients: int,
        *,
        curves: Bundle | None = None,
    ) -> None:
        crowd.leave(
            which,
            status,
            texts,
            t=lambda curve: curve.uniform(self.points).cpu(),
            evaluations={"gradients": float(gradients), "values": 2.0},
            curves=curves,
        )


def _decay(step: int, steps: int) -> float:
    """Cosine annealing with restarts, cycles doubling; the last one ends with the budget (Loshchilov & Hutter 2017)."""
    first, length = 0, min(_FIRST_CYCLE, steps)
    while True:
        rest = steps - first - length
        if rest < 2 * length:
            length += rest
        if step < first + length:
            share = (step - first) / length
            return _LOWEST_RATE + (1 - _LOWEST_RATE) * 0.5 * (1 + math.cos(math.pi * share))
        first, length = first + length, 2 * length
