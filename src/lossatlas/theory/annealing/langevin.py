"""Riemannian Langevin dynamics on products of spheres, many walkers at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.randomness import derive_seed
from lossatlas.landscape import Landscape
from lossatlas.theory.annealing.energies import (
    AnyEnergy,
    SphereEnergy,
    SupportsAngles,
    SupportsTemperature,
    energy_on,
)
from lossatlas.theory.annealing.schedule import Beta, Schedule, check_schedule
from lossatlas.theory.annealing.spheres import Spheres

__all__ = ["AnnealingRun", "Method", "anneal"]

Method = Literal["geodesic", "projected"]
"""How a step comes back to the spheres."""


@dataclass(frozen=True, eq=False)
class AnnealingRun:
    """Walkers and what was seen of them; made by :func:`anneal`.

    Args:
        points: ``(w, n·d)``, where the walkers are at the end.
        times: ``(m,)``, when they were looked at, ascending.
        observed: ``(m, w, …)``, what the observable said then; energies if none was given.
        betas: ``(m,)``, inverse temperature of the noise during the step before.
        temperatures: ``(m,)``, τ of the energy during the step before; None where it was not annealed.
        steps: number of steps.
        step: length h of one.
        method: ``"geodesic"`` or ``"projected"``.
        evaluations: gradients of single rows.
    """

    points: Tensor
    times: Tensor
    observed: Tensor
    betas: Tensor
    temperatures: Tensor | None
    steps: int
    step: float
    method: str
    evaluations: int


def anneal(
    energy: AnyEnergy,
    beta: Beta,
    *,
    time: float,
    step: float,
    walkers: int = 1000,
    start: Tensor | None = None,
    spheres: Spheres | None = None,
    tau: Beta | None = None,
    method: Method = "geodesic",
    seed: int = 0,
    at: Sequence[float] | None = None,
    observe: Callable[[Tensor], Tensor] | None = None,
) -> AnnealingRun:
    r"""Let walkers follow dX = −∇E dt + √(2/β(t)) dB on the spheres while it gets colder.

    One step: v = Π_x(−h ∇E(x) + √(2h/β) ξ), then the great circle cos|v| x + sin|v| v/|v| (``"geodesic"``) or
    (x + v)/|x + v| (``"projected"``). Both have an error of order h in distribution; a projected step falls short of
    the geodesic one, which on the circle acts like a β larger by the factor 1 + 2h/β. β is taken in the middle of a
    step, so that a schedule may start from 0.

    The two readings of temperature annealing: an energy at fixed τ with ``beta`` a schedule; or ``tau`` a schedule of
    1/τ, so that the loss itself is annealed, τ(t) = 1/tau(t), with noise of its own strength, usually constant.

    Args:
        energy: a landscape over rows of n·d, or a function of one row.
        beta: β(t) of the noise, in 1/energy: a schedule, a number, or a function of t; inf is descent.
        time: how long.
        step: h, in the same unit; :func:`.descend` is better suited to go to the bottom.
        walkers: how many, from uniform places; not read where ``start`` is given.
        start: ``(w, n·d)``, on the spheres; never written to.
        spheres: the manifold; None asks the energy.
        tau: schedule of the inverse temperature of the loss, for energies with ``at_temperature``.
        method: how a step comes back to the spheres.
        seed: of the starting places and the noise.
        at: times at which to look, rounded to steps; the end is always looked at.
        observe: ``(w, n·d) -> (w, …)``; None: the energy.

    Returns:
        The run.

    Raises:
        InputError: walkers off the spheres, negative or overflowing schedules, shapes or numbers that cannot be.
        DivergenceError: positions that are not finite.

    Reference:
        Hsu 2002, *Stochastic Analysis on Manifolds*, section 3.2; arXiv 2603.12552.

    Example:
        >>> from lossatlas.theory.annealing import CircleToy, Logarithmic
        >>> toy = CircleToy()
        >>> run = anneal(toy, Logarithmic(0.5), time=10.0, step=0.05, walkers=500, observe=toy.in_global_basin)
        >>> run.steps, run.observed.shape, bool(run.observed.double().mean() > 0.5)
        (200, torch.Size([1, 500]), True)
    """
    manifold = _manifold(energy, spheres)
    landscape = energy_on(energy, manifold)
    steps = _steps(time, step)
    noise = check_schedule(beta, step / 2, (steps - 0.5) * step)
    heat = None if tau is None else check_schedule(tau, step / 2, (steps - 0.5) * step)
    if heat is not None and not isinstance(landscape, SupportsTemperature):
        raise InputError(
            "expected an energy with at_temperature(tau) to anneal its temperature, got one without: "
            "use InfoNCE or NTXent, or leave tau out"
        )
    if method not in ("geodesic", "projected"):
        raise InputError(f"expected method 'geodesic' or 'projected', got {method!r}: choose one")
    marks = _marks(at, steps, step)
    x = _start(start, walkers, manifold, landscape, seed)
    stream = torch.Generator(device=x.device).manual_seed(derive_seed(seed, "Langevin noise"))
    walk = _Walk(landscape=landscape, spheres=manifold, noise=noise, heat=heat, step=step, method=method, stream=stream)
    on_angles = manifold == Spheres(2) and isinstance(landscape, SupportsAngles) and heat is None
    states = walk.on_circle(x, marks) if on_angles and method == "geodesic" else walk.on_spheres(x, marks)
    seen: list[Tensor] = []
    for mark in states:
        if not bool(x.isfinite().all()):
            raise DivergenceError(
                f"expected finite walkers, got NaN or infinity before t = {mark * step:g}: take a smaller step, "
                "or look at the gradient of the energy"
            )
        seen.append(_look(x, observe, walk.landscape))
    middles = [(mark - 0.5) * step for mark in marks]
    return AnnealingRun(
        x,
        torch.tensor([mark * step for mark in marks], dtype=torch.float64),
        torch.stack(seen),
        torch.tensor([noise(t) for t in middles], dtype=torch.float64),
        None if heat is None else torch.tensor([1 / heat(t) for t in middles], dtype=torch.float64),
        steps,
        step,
        method,
        steps * len(x),
    )


class _Walk:
    """The loops, which change the walkers in place and stop at each mark."""

    def __init__(
        self,
        *,
        landscape: Landscape,
        spheres: Spheres,
        noise: Schedule,
        heat: Schedule | None,
        step: float,
        method: Method,
        stream: torch.Generator,
    ) -> None:
        self.landscape = landscape
        self._spheres, self._noise, self._heat, self._step = spheres, noise, heat, step
        self._move = spheres.geodesic_ if method == "geodesic" else spheres.projected_
        self._stream = stream

    def _spread(self, t: float) -> float:
        spread = math.sqrt(2 * self._step / beta) if (beta := self._noise(t)) > 0 else math.inf
        if not spread < math.inf:
            raise InputError(f"expected noise of finite strength, got beta = {beta:g} at t = {t:g}: start above 0")
        return spread

    def on_spheres(self, x: Tensor, marks: Sequence[int]) -> Iterator[int]:
        v = torch.empty_like(x)
        base, done = self.landscape, 0
        for mark in marks:
            for k in range(done, mark):
                t = (k + 0.5) * self._step
                if self._heat is not None and isinstance(base, SupportsTemperature):
                    self.landscape = base.at_temperature(1 / self._heat(t))
                slope = self.landscape.value_and_grad(x)[1]
                v.normal_(generator=self._stream).mul_(self._spread(t)).add_(slope, alpha=-self._step)
                self._spheres.project_(x, v)
                self._move(x, v)
            done = mark
            yield mark

    def on_circle(self, x: Tensor, marks: Sequence[int]) -> Iterator[int]:
        """The same law on the circle, where a great circle adds two angles: no vectors, nothing allocated."""
        toy = self.landscape
        assert isinstance(toy, SupportsAngles)
        angle = torch.atan2(x[:, 1], x[:, 0])
        noise, slope = torch.empty_like(angle), torch.empty_like(angle)
        done = 0
        for mark in marks:
            for k in range(done, mark):
                # The buffer of the noise serves the slope as scratch first.
                toy.angle_slope_(angle, slope, noise)
                noise.normal_(generator=self._stream)
                spread = self._spread((k + 0.5) * self._step)
                angle.add_(slope, alpha=-self._step).add_(noise, alpha=spread)
                if spread > math.pi:
                    # After many turns in one step the next ones would be lost to rounding.
                    angle.remainder_(2 * math.pi)
            done = mark
            torch.stack([angle.cos(), angle.sin()], dim=1, out=x)
            yield mark


def _manifold(energy: AnyEnergy, spheres: Spheres | None) -> Spheres:
    if spheres is not None:
        return spheres
    if isinstance(energy, SphereEnergy):
        return energy.spheres
    raise InputError(
        "expected spheres=Spheres(dim, count) beside this energy, got none: it does not say which coordinates "
        "make a unit vector"
    )


def _steps(time: float, step: float) -> int:
    if not (0 < step < math.inf and 0 < time < math.inf):
        raise InputError(f"expected time and step as finite numbers above 0, got {time!r} and {step!r}: give others")
    steps = round(time / step)
    if steps < 1 or abs(steps * step - time) > 1e-6 * time:
        raise InputError(f"expected a time that is a whole number of steps, got {time!r} and {step!r}: change either")
    return steps


def _marks(at: Sequence[float] | None, steps: int, step: float) -> list[int]:
    if at is None:
        return [steps]
    marks = [round(float(t) / step) for t in at]
    rising = all(a < b for a, b in itertools.pairwise(marks))
    if not marks or marks[0] < 1 or marks[-1] > steps or not rising:
        raise InputError(
            f"expected ascending times to look at, a step or more apart, in (0, {steps * step:g}], got "
            f"{[float(t) for t in at]}: remove the others"
        )
    # The walk goes on to its end even where nobody looks.
    return marks if marks[-1] == steps else [*marks, steps]


def _start(start: Tensor | None, walkers: int, spheres: Spheres, landscape: Landscape, seed: int) -> Tensor:
    if start is None:
        return spheres.uniform(walkers, seed, dtype=landscape.dtype, device=landscape.device)
    if isinstance(start, Tensor) and (start.ndim != 2 or len(start) == 0):
        raise InputError(f"expected start of shape (walkers, {spheres.size}), got {tuple(start.shape)}: reshape it")
    spheres.check(start)
    if start.dtype != landscape.dtype or start.device != landscape.device:
        raise InputError(
            f"expected start as {landscape.dtype} on {landscape.device}, got {start.dtype} on {start.device}: "
            "convert it with .to(...)"
        )
    return start.detach().clone(memory_format=torch.contiguous_format)


def _look(x: Tensor, observe: Callable[[Tensor], Tensor] | None, landscape: Landscape) -> Tensor:
    seen = landscape.value(x) if observe is None else observe(x.clone())
    if not isinstance(seen, Tensor) or seen.ndim == 0 or len(seen) != len(x):
        what = tuple(seen.shape) if isinstance(seen, Tensor) else type(seen).__name__
        raise InputError(
            f"expected the observable to give a tensor with {len(x)} rows, one per walker, got {what}: "
            "let it keep the first axis"
        )
    return seen.detach()
