"""Integrators of the equation of a mode, batched over paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.randomness import generator
from lossatlas.theory.linear.checks import above, choice, whole
from lossatlas.theory.linear.sde import COORDINATES, Coordinate, ModeSDE

__all__ = ["METHODS", "Method", "ModePaths", "integrate"]

Method: TypeAlias = Literal["euler-maruyama", "milstein", "heun"]
"""How a step is taken."""

METHODS = ("euler-maruyama", "milstein", "heun")


@dataclass(frozen=True)
class ModePaths:
    """Paths of a mode.

    Args:
        time: ``(T,)``, from 0.
        s: ``(T, paths)``, strengths.
        method: how steps were taken, and in which coordinate.
    """

    time: Tensor
    s: Tensor
    method: str

    @property
    def mean(self) -> Tensor:
        """``(T,)``, mean over paths."""
        return self.s.mean(1)

    @property
    def standard_error(self) -> Tensor:
        """``(T,)``, of the mean; NaN with one path."""
        return self.s.std(1) / self.s.shape[1] ** 0.5 if self.s.shape[1] > 1 else torch.full_like(self.mean, torch.nan)


def integrate(
    sde: ModeSDE,
    start: Tensor | float,
    *,
    time: float,
    steps: int,
    paths: int = 1,
    method: Method = "milstein",
    coordinate: Coordinate = "w",
    every: int = 1,
    increments: Tensor | None = None,
    seed: int = 0,
) -> ModePaths:
    """Integrate the equation of a mode along many Brownian paths at once.

    With step h and Δβ of variance h, b the drift and g the diffusion: Euler-Maruyama x + b h + g Δβ; Milstein adds
    ½ g g' (Δβ² − h); Heun averages b − ½ g g' and g over the two ends of an Euler step (Stratonovich form). Orders are
    measured by :func:`~lossatlas.theory.linear.convergence_orders`. With h = η, Euler-Maruyama in w has the mean and
    the variance of a step of SGD in a diagonal network.

    In the coordinate s a step can lead below zero, where the equation does not; such a path stays there.

    Args:
        sde: the equation.
        start: strengths s₀ to begin at, one number or ``(paths,)``.
        time: length, in units of t = η · steps of SGD.
        steps: equal steps to take.
        paths: how many, where ``start`` is one number.
        method: how a step is taken.
        coordinate: in which of the two, w or s.
        every: a state is kept after so many steps, and at the start; divides ``steps``.
        increments: Δβ of variance time / steps, ``(steps, paths)``; drawn where none are given.
        seed: names the Brownian paths.

    Returns:
        Strengths against time, float64.

    Raises:
        InputError: a start that is not positive (beyond depth 1), or sizes and words that cannot be.
        DivergenceError: a path that is not finite at the end.

    Example:
        >>> sde = ModeSDE(depth=2, target=1.0, rate=0.01, batch=16)
        >>> found = integrate(sde, 0.01, time=8.0, steps=800, paths=100, every=400)
        >>> found.s.shape, found.mean[-1].round(decimals=3)
        (torch.Size([3, 100]), tensor(1., dtype=torch.float64))

    Kloeden & Platen 1992, *Numerical solution of stochastic differential equations*, chapters 9 to 11.
    """
    length = above(time, "time", 0, "give the length of the run")
    whole(steps, "steps", 1, "give how many steps to take")
    whole(every, "every", 1, "give after how many steps a state is kept")
    whole(paths, "paths", 1, "give how many paths to integrate")
    choice(method, "method", METHODS)
    choice(coordinate, "coordinate", COORDINATES)
    if steps % every:
        raise InputError(f"expected every to divide the {steps} steps, got {every}: the last state is kept")
    x = sde.coordinate_of(_start(sde, start, paths), coordinate)
    if increments is not None and increments.shape != (steps, len(x)):
        raise InputError(
            f"expected increments of shape {(steps, len(x))}, got {tuple(increments.shape)}: one for each step and path"
        )
    h, source = length / steps, generator(seed, "mode paths")
    kept = [x]
    for number in range(steps):
        if increments is None:
            pushes = torch.randn(len(x), generator=source, dtype=torch.float64) * h**0.5
        else:
            pushes = increments[number]
        x = _step(sde, x, h, pushes, how=(method, coordinate))
        if (number + 1) % every == 0:
            kept.append(x)
    if not bool(x.isfinite().all()):
        raise DivergenceError(
            f"{int((~x.isfinite()).sum())} of {len(x)} paths are not finite after {steps} steps of {h:g}: "
            "take more steps or a smaller rate; steps in w reach further than in s"
        )
    moments = torch.arange(len(kept), dtype=torch.float64) * (every * h)
    return ModePaths(moments, sde.strength(torch.stack(kept), coordinate), f"{method} in {coordinate}, step {h:g}")


def _start(sde: ModeSDE, start: Tensor | float, paths: int) -> Tensor:
    first = torch.as_tensor(start, dtype=torch.float64).detach().cpu()
    if first.ndim > 1 or not first.numel():
        raise InputError(f"expected start as a number or (paths,), got shape {tuple(first.shape)}: one for each path")
    if not bool(first.isfinite().all()) or (sde.depth > 1 and not bool((first > 0).all())):
        raise InputError(f"expected finite starts above 0, got {start}: at 0 a mode rests on the saddle")
    return first.expand(paths).clone() if first.ndim == 0 else first.clone()


def _step(sde: ModeSDE, x: Tensor, h: float, pushes: Tensor, *, how: tuple[Method, Coordinate]) -> Tensor:
    method, coordinate = how
    b, g = sde.drift(x, coordinate), sde.diffusion(x, coordinate)
    if method == "euler-maruyama":
        return x + b * h + g * pushes
    if method == "milstein":
        return x + b * h + g * pushes + 0.5 * sde.diffusion_slope(x, coordinate) * (pushes**2 - h)
    here = b - 0.5 * sde.diffusion_slope(x, coordinate)
    ahead = x + here * h + g * pushes
    there = sde.drift(ahead, coordinate) - 0.5 * sde.diffusion_slope(ahead, coordinate)
    return x + 0.5 * (here + there) * h + 0.5 * (g + sde.diffusion(ahead, coordinate)) * pushes
