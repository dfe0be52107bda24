"""Relaxation of a band image by image: quasi-Newton steps, and no evaluation of an image that is at rest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lossatlas.landscape.contract import Landscape
from lossatlas.paths.chains.chain import Chain, Control, Places, curvatures, relative_force
from lossatlas.paths.chains.forces import Batch, Nudged, across, sizes
from lossatlas.paths.chains.relax import Relaxation, relax
from lossatlas.paths.chains.secants import Model, Secants
from lossatlas.paths.chains.tangents import improved_tangents

__all__ = ["NewtonRelaxation", "relax_by_newton"]

# The first step goes by this over the stiffest curvature along the chain, no image further than _REACH spacings.
_FIRST = 0.7
_REACH, _LEAST_REACH, _MOST_REACH = 0.3, 0.02, 1.0
# Errors of the foreseen force, in units of the force, up to which steps may grow, and from which they shrink.
_GOOD, _POOR, _BAD = 0.3, 0.75, 2.0
_GROWTH = 2.0
# A step says what is outside of the model when at least this part of it is.
_PART = 0.1
# Iterations without a smaller force after which steps are halved: tangents may make neighbours swing together.
_SWINGS = 6
_LEAST_PART = 0.25
# Iterations without a smaller force after which one step length for all images is tried instead, as at kinks.
_STALE = 30


def relax_by_newton(
    landscape: Landscape, places: Places, rule: Nudged, control: Control, limits: list[int]
) -> list[Chain]:
    """Relax bands by quasi-Newton steps, and by those of an adaptive solver where the force no longer falls.

    Arguments, result: as for :func:`lossatlas.paths.chains.relax.relax`.
    """
    relaxation = NewtonRelaxation(landscape, places, rule, control, limits)
    chains = relaxation.run()
    rest = [i for i in relaxation.stale if chains[i].iterations < limits[i]]
    if rest:
        left = [limits[i] - chains[i].iterations for i in rest]
        followed = relax(landscape, Places.of([chains[i] for i in rest]), rule, control, left)
        for i, chain in zip(rest, followed, strict=True):
            chains[i] = chain.after(chains[i])
    return chains


@dataclass(frozen=True)
class _Look:
    """What a band of evaluated images feels."""

    tangents: Tensor
    force: Tensor
    climbs: Tensor


class NewtonRelaxation(Relaxation):
    """Quasi-Newton steps of the force across a band, each image with its own reach.

    Every image x moves by |P B P|⁻¹ F + spring, F the force across the band there, with the curvature B that secants of
    all images say (:class:`lossatlas.paths.chains.secants.Secants`). Outside of the directions they span, B is one
    number for each image, the ratio of change of force and step last seen there. No image moves further than its reach,
    which grows and shrinks with the error of the foreseen force. An image whose force meets the tolerance rests: it is
    evaluated again only when its neighbours have turned its tangent too far.

    Source: Sheppard, Terrell & Henkelman, J. Chem. Phys. 128, 134106 (2008), on quasi-Newton steps of bands; Lindgren,
    Kastlunger & Peterson, J. Chem. Theory Comput. 15, 5787 (2019), on images that rest.
    """

    def __init__(self, landscape: Landscape, places: Places, rule: Nudged, control: Control, limits: list[int]) -> None:
        super().__init__(landscape, places, rule, control, limits)
        self.band = rule
        batch = self.batch
        tiny = torch.finfo(batch.values.dtype).tiny
        near = control.step_error * batch.lengths.mean(1, keepdim=True) / sizes(self.force.motion).clamp(min=tiny)
        softest = _FIRST / curvatures(batch).amax(1, keepdim=True).clamp(min=tiny)
        self.softness = torch.minimum(softest, near).nan_to_num(nan=0.0).clamp(min=tiny)
        self.reach = torch.full_like(self.softness, _REACH)
        self.secants = Secants(batch.images)
        self.rows = self.used * batch.grads.shape[1]
        self.best, self.since = torch.full_like(self.relative, torch.inf), torch.zeros_like(self.used)
        self.stale: list[int] = []
        self.part = torch.ones_like(self.relative)

    def advance(self) -> None:
        """Try one step of every image that is not at rest."""
        batch, softness = self.batch, self.softness
        spacing = batch.lengths.mean(1)
        moving = self._moving()
        look = self._look(batch)
        model = self.secants.model(batch.images[:, 1:-1], spacing)
        step = torch.where(moving[..., None], self._steps(look, model), 0)
        trial = self._evaluate(step, moving)
        good = trial.values[:, 1:-1].isfinite() & trial.grads.isfinite().all(-1)
        start, changes = batch.images[:, 1:-1], trial.grads - batch.grads
        known = (moving & good)[..., None]
        self.secants.add(start, torch.where(known, step, 0), torch.where(known, changes, 0))
        after = self._look(trial)
        size = sizes(step) / spacing[:, None]
        error = self._error(look, after, model, step)
        tiny = torch.finfo(size.dtype).tiny
        growth = sizes(after.force) / sizes(look.force).clamp(min=tiny)
        accept = (growth <= 1) | ((growth <= _GROWTH) & (error <= _BAD)) | (size < _LEAST_REACH)
        reach = torch.where(good, self._next_reach(size, error, accept), size / 10)
        self.reach = torch.where(moving, reach, self.reach)
        softness = torch.where(good, self._seen(look, after, model, step), softness / 10)
        self.softness = torch.where(moving, softness, self.softness)
        self._move(trial, moving & good & accept)
        self.used[self.running] += 1
        self.rows += moving.sum(1)
        bad = (moving & ~good).any(1)
        self.failures = torch.where(bad, self.failures + 1, 0)
        self.fresh = self.running.clone()
        tiniest = 4 * torch.finfo(size.dtype).eps * batch.lengths.sum(1)
        self.give_up(self.running & ~bad & (sizes(step).amax(1) <= tiniest))

    def chains(self) -> list[Chain]:
        """What was found."""
        return [replace(chain, gradients=n) for chain, n in zip(super().chains(), self.rows.tolist(), strict=True)]

    def _moving(self) -> Tensor:
        """Images that are not at rest, ``(p, n)``; all of a chain that has to go on while each is."""
        batch = self.batch
        tolerance = self.control.tolerance * batch.rise / batch.lengths.sum(1)
        awake = self.force.residual > tolerance[:, None]
        return self.running[:, None] & (awake | ~awake.any(1, keepdim=True))

    def _look(self, batch: Batch) -> _Look:
        tangents = improved_tangents(batch.images, batch.values)
        force, climbs = across(batch, tangents, self.climbing)
        return _Look(tangents, force, climbs)

    def _steps(self, look: _Look, model: Model | None) -> Tensor:
        batch = self.batch
        softness = self.softness[..., None]
        if model is None:
            steps = softness * look.force
        else:
            # The climbing image has no direction in which it does not move.
            steps = model.newton(look.force, 1 / self.softness, torch.where(look.climbs, 0, look.tangents))
        # Springs are implicit, so that they never limit a step.
        stiff = self.band.spring * batch.stiffness[:, None, None]
        steps = steps + (self.force.motion - look.force) * (softness / (1 + 4 * stiff * softness))
        steps = steps * self.part[:, None, None]
        most = self.reach * batch.lengths.mean(1)[:, None]
        return steps * (most / sizes(steps).clamp(min=torch.finfo(most.dtype).tiny)).clamp(max=1)[..., None]

    def _evaluate(self, step: Tensor, moving: Tensor) -> Batch:
        batch = self.batch
        images, values, grads = batch.images.clone(), batch.values.clone(), batch.grads.clone()
        images[:, 1:-1] += step
        found, slopes = self.landscape.value_and_grad(images[:, 1:-1][moving])
        values[:, 1:-1][moving], grads[moving] = found, slopes
        return replace(batch, images=images, values=values, grads=grads)

    def _error(self, look: _Look, after: _Look, model: Model | None, step: Tensor) -> Tensor:
        """Force that was not foreseen, in units of the force, ``(p, n)``."""
        curvature = 1 / self.softness
        change = curvature[..., None] * step if model is None else model.times(step, curvature)
        along = (change * look.tangents).sum(-1, keepdim=True) * look.tangents
        change = change - torch.where(look.climbs, 2, 1) * along
        error = sizes(after.force - look.force + change)
        return error / sizes(look.force).clamp(min=torch.finfo(error.dtype).tiny)

    def _next_reach(self, size: Tensor, error: Tensor, accept: Tensor) -> Tensor:
        was = self.reach
        reach = torch.where(error < _POOR, was, torch.minimum(was, torch.maximum(size, was / 2) / 2))
        reach = torch.where(error < _GOOD, torch.maximum(was, 2 * torch.minimum(size, was)), reach)
        return torch.where(accept, reach.clamp(min=_LEAST_REACH), size / 4).clamp(max=_MOST_REACH)

    def _seen(self, look: _Look, after: _Look, model: Model | None, step: Tensor) -> Tensor:
        """Step over change of force outside of what the model knows, ``(p, n)``."""
        change, whole = look.force - after.force, step
        if model is not None:
            step, change = model.outside(step), model.outside(change)
        step = step - (step * look.tangents).sum(-1, keepdim=True) * look.tangents
        size, whole = sizes(step), sizes(whole)
        ratio = size / sizes(change).clamp(min=torch.finfo(size.dtype).tiny)
        ratio = torch.minimum(torch.maximum(ratio, self.softness / 4), 4 * self.softness)
        return torch.where(size > _PART * whole, ratio, self.softness)

    def _move(self, trial: Batch, take: Tensor) -> None:
        batch = self.batch
        images, values = batch.images.clone(), batch.values.clone()
        images[:, 1:-1] = torch.where(take[..., None], trial.images[:, 1:-1], images[:, 1:-1])
        values[:, 1:-1] = torch.where(take, trial.values[:, 1:-1], values[:, 1:-1])
        grads = torch.where(take[..., None], trial.grads, batch.grads)
        self.batch = replace(batch, images=images, values=values, grads=grads)
        self.force = self.rule.force(self.batch, self.climbing)
        self.relative = relative_force(self.batch, self.force)
        less = self.relative < self.best
        self.best = torch.where(less, self.relative, self.best)
        self.since = torch.where(less, 0, self.since + 1)
        halve = (self.since > 0) & (self.since % _SWINGS == 0)
        part = torch.where(halve, self.part / 2, torch.where(less, 2 * self.part, self.part))
        self.part = part.clamp(_LEAST_PART, 1)
        for i in (self.running & (self.since >= _STALE)).nonzero().flatten().tolist():
            self.stale.append(i)
            self.running[i] = False
