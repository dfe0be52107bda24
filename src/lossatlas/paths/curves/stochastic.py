"""Relaxing curves between networks: few random points per step, mini-batches, slow modes first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lossatlas.core.randomness import generator
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.curves.bundle import Bundle
from lossatlas.paths.curves.crowd import Crowd
from lossatlas.paths.curves.modes import Modes
from lossatlas.paths.finder import Ends, Search, Status

__all__ = ["LOOKS", "StochasticSearch"]

_BINS = 50  # places along a curve whose loss is remembered, so that high ones can be drawn more often
_MEMORY = 0.3  # weight of a new loss in that memory
_CHECKS = 10  # looks at the whole data during a search
LOOKS = _CHECKS + 1
"""Looks at the whole data, the one before the first step included."""


@dataclass(frozen=True, kw_only=True)
class StochasticSearch:
    """Minimise ∫L(w(t)) dt over the modes b_n, at last with more weight where the loss is high.

    Every step draws ``per_step`` values of t, one from each equal part of [0, 1], and a mini-batch. It follows Adam
    with the learning rate ``rate`` · ω_n^-``falloff`` · (1 + cos(π step/steps))/2 for the mode of frequency ω_n.
    A sum over fixed points, as the published method minimises, can be lowered at the cost of what lies between them;
    an expectation over all t cannot.

    The whole data is looked at before the first step and ten times on the way; the lowest curve of those is returned,
    never one that is higher than the first.

    Args:
        rate: learning rate of the slowest mode, in units of the root mean square difference of the ends' coordinates.
        falloff: how the learning rate falls with the frequency.
        budget: gradients per pair, in full-batch units.
        batch_size: samples per mini-batch, shared by all pairs; None: a sixteenth of the data, at least 32.
        per_step: points of each curve per step.
        late: part of the search, at its end, in which t is drawn where the loss is high.
        flat: a pair has converged when its barrier, at ``points`` even samples on the whole data, is at most this
            fraction of the straight line's, or of the loss at the higher end.
        points: of those looks.
        seed: of mini-batches (shared by all pairs) and of t (each pair its own).
    """

    rate: float
    falloff: float
    budget: float
    batch_size: int | None
    per_step: int
    late: float
    flat: float
    points: int
    seed: int

    def run(self, landscape: Landscape, ends: Ends, modes: Modes) -> list[Search]:
        """Relax all pairs together; each one stops on its own."""
        batch = self._batch(landscape.samples)
        cost = self.per_step * (1.0 if batch is None else batch / (landscape.samples or 1))
        steps = int(self.budget / cost * (1 + 1e-9))
        even = torch.linspace(0, 1, self.points, dtype=torch.float64)
        chord = torch.linalg.vector_norm(ends.end - ends.start, dim=1) / math.sqrt(landscape.dim)
        slow = modes.frequencies.clamp(min=1).pow(-self.falloff).to(chord)
        bundle = Bundle.between(ends, modes)
        straight, higher = _barrier(landscape, Bundle.between(replace(ends, initial=None), modes), even)
        low = self.flat * _level(landscape, straight, higher)
        first = straight if ends.initial is None else _barrier(landscape, bundle, even)[0]
        crowd = Crowd(
            bundle,
            rates=self.rate * chord[:, None, None] * slow[:, None],
            memory=torch.full((len(ends), _BINS), math.nan, dtype=torch.float64),
            straight=straight,
            low=low,
            barrier=first,
            best=bundle.b,
        )
        draws = [generator(self.seed, "curve points", number) for number in ends.numbers]
        batches = _batches(landscape, batch, self.seed)
        looks = {round(steps * (i + 1) / _CHECKS) for i in range(_CHECKS)}
        values = self.points * (1 if ends.initial is None else 2)

        def spent(done: int) -> dict[str, float]:
            return {"gradients": done * cost, "values": values}

        def leave(which: Tensor, status: Status, text: str, done: int) -> None:
            texts = [f"{text}barrier {low:.3g}, straight line {line:.3g}" for low, line in _figures(crowd)]
            curves = crowd.bundle.with_modes(crowd.known["best"])
            crowd.leave(which, status, texts, t=lambda _: even, evaluations=spent(done), curves=curves)

        # Before the first step: a line that is low already costs one look.
        leave(crowd.known["barrier"] <= crowd.known["low"], "converged", "", 0)
        for step in range(steps):
            if not len(crowd):
                break
            t = self._draw([draws[i] for i in crowd.places], crowd.known["memory"], step >= (1 - self.late) * steps)
            rows, psi = crowd.bundle.at(t.to(bundle.b.device))
            loss, gradient = next(batches).value_and_grad(rows)
            on_cpu = loss.double().cpu()
            crowd.note(height=on_cpu.max(1).values)
            finite = loss.isfinite().all(1) & gradient.isfinite().flatten(1).all(1)
            if not bool(finite.all()):
                gone = ~finite.cpu()
                _keep_lower(landscape, crowd, crowd.before, even)
                values += self.points
                leave(
                    gone, "not finite", "the loss or its gradient is not finite on the curve after this one: ", step + 1
                )
                psi, gradient, t, on_cpu = psi[finite], gradient[finite], t[~gone], on_cpu[~gone]
            _remember(crowd.known["memory"], t, on_cpu)
            decay = 0.5 * (1 + math.cos(math.pi * step / steps))
            crowd.step(torch.einsum("pmk,pmd->pkd", psi, gradient), crowd.known["rates"] * decay)
            if step + 1 in looks and len(crowd):
                _keep_lower(landscape, crowd, crowd.bundle, even)
                values += self.points
                leave(crowd.known["barrier"] <= crowd.known["low"], "converged", "", step + 1)
        why = "the budget was spent before the curve was flat: "
        if not steps:
            why = f"a budget below the {cost:.6g} gradients of one step, so the first curve: "
        leave(torch.ones(len(crowd), dtype=torch.bool), "iteration limit", why, steps)
        return crowd.results()

    def _batch(self, samples: int | None) -> int | None:
        """Samples per mini-batch; None: all."""
        if samples is None:
            return None
        wanted = self.batch_size if self.batch_size is not None else max(32, -(-samples // 16))
        return wanted if wanted < samples else None

    def _draw(self, draws: list[torch.Generator], memory: Tensor, late: bool) -> Tensor:
        """Stratified values of t, ``(p, m)``."""
        uniform = torch.stack([torch.rand(self.per_step, dtype=torch.float64, generator=g) for g in draws])
        share = (torch.arange(self.per_step, dtype=torch.float64) + uniform) / self.per_step
        if not late:
            return share
        # Half of the draws go where the loss is above its lowest place, in proportion; half anywhere.
        known = memory.nan_to_num(nan=0.0)
        lowest = torch.where(memory.isnan(), math.inf, memory).amin(1, keepdim=True)
        above = torch.where(memory.isnan(), 0.0, known - lowest.nan_to_num(posinf=0.0)).clamp(min=0)
        total = above.sum(1, keepdim=True)
        density = 0.5 / _BINS + 0.5 * torch.where(total > 0, above / total, 1 / _BINS)
        edges = torch.cat([density.new_zeros(len(density), 1), density.cumsum(1)], dim=1)
        edges = edges / edges[:, -1:]
        cell = (torch.searchsorted(edges, share, right=True) - 1).clamp(0, _BINS - 1)
        low, high = edges.gather(1, cell), edges.gather(1, cell + 1)
        return (cell + (share - low) / (high - low)) / _BINS


def _barrier(landscape: Landscape, bundle: Bundle, t: Tensor) -> tuple[Tensor, Tensor]:
    """Height above the higher end at even samples on the whole data, and the higher end, ``-> (p,), (p,)``."""
    rows, _ = bundle.at(t.to(bundle.b.device).expand(len(bundle), -1))
    loss = landscape.value(rows).double().cpu().nan_to_num(nan=math.inf)
    higher = torch.maximum(loss[:, 0], loss[:, -1])
    return loss.amax(1) - higher, higher


def _level(landscape: Landscape, straight: Tensor, higher: Tensor) -> Tensor:
    """What a barrier is small against, ``(p,)``; 0 where the straight line has none that is finite."""
    line = torch.where(straight.isfinite(), straight, 0)
    # A loss over data has a zero: beside two ends of loss .1 a barrier of 1e-7 is nothing. An energy has none.
    return line if landscape.samples is None else torch.maximum(line, higher.abs())


def _keep_lower(landscape: Landscape, crowd: Crowd, curves: Bundle, even: Tensor) -> None:
    """Look at some curves and remember those that are lower than the lowest seen: noise leads up as well as down."""
    barrier, _ = _barrier(landscape, curves, even)
    lower = barrier < crowd.known["barrier"]
    crowd.known["barrier"] = torch.where(lower, barrier, crowd.known["barrier"])
    on_device = lower.to(curves.b.device)[:, None, None]
    crowd.known["best"] = torch.where(on_device, curves.b, crowd.known["best"])


def _figures(crowd: Crowd) -> list[tuple[float, float]]:
    return list(zip(crowd.known["barrier"].tolist(), crowd.known["straight"].tolist(), strict=True))


def _batches(landscape: Landscape, size: int | None, seed: int) -> Iterator[Landscape]:
    """Shuffled mini-batches without end; short last ones are left out."""
    epoch = 0
    while True:
        if size is None or landscape.samples is None:
            yield landscape
            continue
        order = torch.randperm(landscape.samples, generator=generator(seed, "curve mini-batches", epoch))
        for first in range(0, landscape.samples - size + 1, size):
            yield landscape.on(order[first : first + size])
        epoch += 1


def _remember(memory: Tensor, t: Tensor, loss: Tensor) -> None:
    cell = (t * _BINS).long().clamp(max=_BINS - 1)
    old = memory.gather(1, cell)
    memory.scatter_(1, cell, torch.where(old.isnan(), loss, old + _MEMORY * (loss - old)))
