"""Relaxation of many chains at once, each with its own step length and its own end."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lossatlas.landscape.contract import Landscape
from lossatlas.paths.chains.chain import Chain, Control, Places, curvatures, evaluate, finite, relative_force
from lossatlas.paths.chains.forces import Batch, Force, Rule, sizes
from lossatlas.paths.finder import Status

__all__ = ["Relaxation", "relax"]

# Makri, Ortner & Kermode 2019, Algorithm 2: growth of the force that is still accepted, and bounds of one change of
# the step length.
_GROWTH = 2.0
_SHRINK, _STRETCH = 0.25, 4.0
# Trials in a row into places where the loss is not finite, each with a tenth of the step, before a chain gives up.
_PATIENCE = 12


def relax(landscape: Landscape, places: Places, rule: Rule, control: Control, limits: list[int]) -> list[Chain]:
    """Relax chains until the force across them is small, x ← settle(x + h F).

    The step length h of each chain is that of an adaptive solver of ẋ = F: as long as the next force is no larger, or
    little larger and the difference of an Euler and a Heun step small. Nothing but forces is needed, so it serves
    forces that derive from no energy.

    Args:
        landscape: where.
        places: where the chains are.
        rule: what moves the images.
        control: when to stop.
        limits: most iterations of each chain, at least 1; an iteration evaluates its inner images once.

    Returns:
        One record per chain. A chain that meets a place where the loss is not finite keeps its last finite images.

    Source: Makri, Ortner & Kermode, J. Chem. Phys. 150, 094109 (2019), Algorithm 2 (ODE12r), with the force's largest
    row in place of its largest component and lengths in units of the spacing.
    """
    return Relaxation(landscape, places, rule, control, limits).run()


class Relaxation:
    """The state of a relaxation: tensors with one row per chain, and lists for what is told in the end."""

    def __init__(self, landscape: Landscape, places: Places, rule: Rule, control: Control, limits: list[int]) -> None:
        shares = places.shares / places.shares.mean(1, keepdim=True)
        self.landscape, self.rule, self.control, self.ends = landscape, rule, control, places.ends
        self.batch = evaluate(landscape, replace(places, shares=shares))
        self.sound = finite(self.batch)
        self.limits = torch.tensor(limits, device=self.sound.device)
        self.used = torch.ones_like(self.limits)
        self.failures = torch.zeros_like(self.limits)
        self.running, self.fresh = self.sound.clone(), self.sound.clone()
        self.climbing = torch.zeros_like(self.sound)
        self.status: list[Status] = ["iteration limit" if ok else "not finite" for ok in self.sound.tolist()]
        told = "the loss or its gradient is not finite at an image of the first chain"
        self.message = ["" if ok else told for ok in self.sound.tolist()]
        self.heights: list[list[float]] = [[] for _ in limits]
        self.residuals: list[list[float]] = [[] for _ in limits]
        self.force = rule.force(self.batch, self.climbing)
        self.relative = relative_force(self.batch, self.force)
        self.step = _first_step(self.batch, self.force, control)

    def run(self) -> list[Chain]:
        """Relax all chains until each has stopped."""
        while self.judge():
            self.advance()
        return self.chains()

    def judge(self) -> bool:
        """Start climbing, record, and stop what has converged or spent its iterations; whether any are left."""
        climb_from = self.control.climb_from
        ready = torch.ones_like(self.running)
        if climb_from is not None:
            inner_top = self.batch.top > 0
            starts = self.running & ~self.climbing & inner_top & (self.relative <= climb_from)
            if bool(starts.any()):
                self.climbing = self.climbing | starts
                self.force = self.rule.force(self.batch, self.climbing)
                self.relative = relative_force(self.batch, self.force)
            ready = self.climbing | ~inner_top
        for i in self.fresh.nonzero().flatten().tolist():
            self.heights[i].append(float(self.batch.values[i].max()))
            self.residuals[i].append(float(self.relative[i]))
        converged = self.running & ready & (self.relative <= self.control.tolerance)
        for i in converged.nonzero().flatten().tolist():
            self.status[i] = "converged"
            self.message[i] = f"largest force across the chain {self._force(i)}"
        spent = self.running & ~converged & (self.used >= self.limits)
        for i in spent.nonzero().flatten().tolist():
            self.message[i] = f"stopped by the iteration limit, largest force across the chain {self._force(i)}"
        self.running = self.running & ~converged & ~spent
        return bool(self.running.any())

    def advance(self) -> None:
        """Try one step of every running chain."""
        active = self.running.nonzero().flatten()
        old, was, h = _take(self.batch, active), _take_force(self.force, active), self.step[active]
        moved = old.images.clone()
        moved[:, 1:-1] += h[:, None, None] * was.motion
        moved = self.rule.settle(moved, old.shares, torch.where(self.climbing[active], old.top, 0))
        trial = evaluate(self.landscape, Places(moved, self.ends[active], old.shares), old.stiffness)
        now = self.rule.force(trial, self.climbing[active])
        good = finite(trial)
        smooth, h = _judge_step(was, now, h, old.lengths.mean(1), self.control.step_error)
        accept, h = good & smooth, torch.where(good, h, 0.1 * self.step[active])
        self.used[active] += 1
        self.failures[active] = torch.where(good, 0, self.failures[active] + 1)
        self.step[active] = h
        self.fresh = self.running.clone()
        self._accept(active[accept], trial, now, accept)
        stuck = h * sizes(was.control).amax(1) <= 4 * torch.finfo(h.dtype).eps * old.lengths.sum(1)
        ended = torch.zeros_like(self.running)
        ended[active] = stuck & good
        self.give_up(ended)

    def give_up(self, stuck: Tensor) -> None:
        """Stop chains that met too many places that are not finite, and those whose steps are lost in rounding."""
        for i in (self.running & (self.failures >= _PATIENCE)).nonzero().flatten().tolist():
            self.status[i], self.message[i] = "not finite", "the loss or its gradient is not finite beside the chain"
            self.running[i] = False
        for i in stuck.nonzero().flatten().tolist():
            self.message[i] = self._why_stuck(i)
            self.running[i] = False

    def _accept(self, where: Tensor, trial: Batch, now: Force, accept: Tensor) -> None:
        batch, force = self.batch, self.force
        self.batch = replace(
            batch,
            images=batch.images.index_copy(0, where, trial.images[accept]),
            values=batch.values.index_copy(0, where, trial.values[accept]),
            grads=batch.grads.index_copy(0, where, trial.grads[accept]),
        )
        self.force = Force(
            force.motion.index_copy(0, where, now.motion[accept]),
            force.control.index_copy(0, where, now.control[accept]),
            force.residual.index_copy(0, where, now.residual[accept]),
        )
        self.relative = relative_force(self.batch, self.force)

    def _why_stuck(self, i: int) -> str:
        left = float(self.force.residual[i].max())
        level = float(sizes(self.batch.grads[i]).max())
        # Rounding leaves a small part of the gradients. At a kink they jump, and what is left is as large as they are.
        if left <= torch.finfo(self.step.dtype).eps ** 0.5 * level:
            return f"rounding stopped it, with a force across the chain of {self._force(i)}"
        return (
            "the forces do not fall however short the step, so the function is not smooth there; "
            f"largest force across the chain {self._force(i)}"
        )

    def _force(self, i: int) -> str:
        return f"{float(self.relative[i]):.2g} rise/length"

    def chains(self) -> list[Chain]:
        """What was found."""
        inner = self.batch.grads.shape[1]
        return [
            Chain(
                self.batch.images[i],
                self.batch.values[i],
                self.batch.grads[i],
                self.batch.shares[i],
                self.status[i],
                self.message[i],
                iterations=int(self.used[i]),
                gradients=int(self.used[i]) * inner,
                heights=self.heights[i],
                residuals=self.residuals[i],
            )
            for i in range(len(self.status))
        ]


def _first_step(batch: Batch, force: Force, control: Control) -> Tensor:
    """Half of what the stiffest curvature seen allows, and no image further than a part of the spacing."""
    stiffest = curvatures(batch).amax(1)
    largest = sizes(force.motion).amax(1)
    tiny = torch.finfo(stiffest.dtype).tiny
    near = control.step_error * batch.lengths.mean(1) / largest.clamp(min=tiny)
    return torch.minimum(0.5 / stiffest.clamp(min=tiny), near).nan_to_num(nan=0.0)


def _judge_step(was: Force, now: Force, h: Tensor, spacing: Tensor, step_error: float) -> tuple[Tensor, Tensor]:
    """Whether the force stayed under control over a step, and the length of the next, ``(p,), (p,)``."""
    tiny = torch.finfo(h.dtype).tiny
    before, after = sizes(was.control).amax(1), sizes(now.control).amax(1)
    change = was.control - now.control
    allowed = step_error * spacing
    error = 0.5 * h * sizes(change).amax(1)
    accept = (after <= before) | ((after <= _GROWTH * before) & (error <= allowed))
    by_error = h * (0.5 * allowed / error.clamp(min=tiny)).sqrt()
    # The step at which the force would be smallest if it changed linearly.
    by_slope = h * (was.control * change).sum((1, 2)) / (change * change).sum((1, 2)).clamp(min=tiny)
    wanted = torch.minimum(by_error, torch.where(by_slope > 0, by_slope, torch.inf))
    onward = torch.minimum(wanted, spacing / sizes(now.motion).amax(1).clamp(min=tiny))
    onward = torch.minimum(torch.maximum(onward, _SHRINK * h), _STRETCH * h)
    again = torch.minimum(torch.maximum(wanted, 0.1 * h), _SHRINK * h)
    return accept, torch.where(accept, onward, again)


def _take(batch: Batch, rows: Tensor) -> Batch:
    return Batch(batch.images[rows], batch.values[rows], batch.grads[rows], batch.shares[rows], batch.stiffness[rows])


def _take_force(force: Force, rows: Tensor) -> Force:
    return Force(force.motion[rows], force.control[rows], force.residual[rows])
