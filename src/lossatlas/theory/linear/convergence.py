"""convergence_orders: how fast an integrator of the equation of a mode converges, measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.theory.linear.checks import above, whole
from lossatlas.theory.linear.integrate import Method, integrate
from lossatlas.theory.linear.sde import Coordinate, ModeSDE

__all__ = ["Convergence", "convergence_orders"]

_GROUPS = 20
# The reference takes steps so many times halved beyond the finest that is judged: its own error shows little.
_BEYOND = 4


@dataclass(frozen=True)
class Convergence:
    """Errors at the end of paths against the length of a step.

    Args:
        step: ``(levels,)``, h.
        strong: ``(levels,)``, E |s_h − s| over shared Brownian paths.
        weak: ``(levels,)``, |E (s_h − s)|.
        strong_order: slope of log strong error against log h.
        strong_order_error: its standard error, by a jackknife over paths.
        weak_order: slope of log weak error against log h.
        weak_order_error: its standard error.
        method: how steps were taken.
    """

    step: Tensor
    strong: Tensor
    weak: Tensor
    strong_order: float
    strong_order_error: float
    weak_order: float
    weak_order_error: float
    method: str


def convergence_orders(
    sde: ModeSDE,
    *,
    start: float = 0.2,
    time: float = 1.0,
    coarsest: int = 8,
    levels: int = 5,
    paths: int = 4000,
    method: Method = "milstein",
    coordinate: Coordinate = "w",
    seed: int = 0,
) -> Convergence:
    """Measure strong and weak order of an integrator on the equation of a mode.

    An error of order p is C h^p: the slope of its logarithm against log h. Steps are halved ``levels - 1`` times; the
    reference is Milstein's method with steps 16 times shorter than the shortest of these, on the same Brownian paths.

    Euler-Maruyama is of strong order ½ in the limit of short steps. In s that is seen at once; in w noise is nearly
    additive, the error of order 1 is the larger one, and slopes of 0.6 to 0.7 are measured at default steps.

    Args:
        sde: the equation; errors are seen best with ε = η/B of about 0.1.
        start: strength s₀.
        time: length of the paths.
        coarsest: steps of the coarsest run.
        levels: runs compared.
        paths: Brownian paths.
        method: how a step is taken.
        coordinate: in which of the two, w or s.
        seed: names the Brownian paths.

    Returns:
        Errors and orders with their standard errors.

    Raises:
        InputError: fewer than 2 levels or 40 paths, or arguments that :func:`integrate` refuses.

    Example:
        >>> sde = ModeSDE(depth=2, target=1.0, rate=0.1, noise=0.5)
        >>> found = convergence_orders(sde, paths=400, levels=3)
        >>> 0.8 < found.strong_order < 1.2
        True
    """
    whole(coarsest, "coarsest", 1, "give the steps of the coarsest run")
    whole(levels, "levels", 2, "an order is a slope between at least two lengths of steps")
    whole(paths, "paths", 2 * _GROUPS, "the standard errors need that many")
    above(time, "time", 0, "give the length of the paths")
    if paths % _GROUPS:
        raise InputError(f"expected paths as a multiple of {_GROUPS}, got {paths}: the jackknife leaves out a group")
    finest = coarsest * 2 ** (levels - 1 + _BEYOND)
    pushes = torch.randn(finest, paths, generator=generator(seed, "convergence"), dtype=torch.float64)
    pushes = pushes * (time / finest) ** 0.5

    def end(steps: int, how: Method) -> Tensor:
        shared = pushes.reshape(steps, -1, paths).sum(1)
        found = integrate(
            sde, start, time=time, steps=steps, paths=paths, method=how, coordinate=coordinate,
            every=steps, increments=shared,
        )  # fmt: skip
        return found.s[-1]

    truth = end(finest, "milstein")
    counts = [coarsest * 2**level for level in range(levels)]
    errors = torch.stack([end(count, method) - truth for count in counts])
    step = time / torch.tensor(counts, dtype=torch.float64)
    groups = errors.reshape(levels, _GROUPS, -1)
    strong, weak = groups.abs().mean(2), groups.mean(2)
    strong_order, strong_error = _slope(step, strong)
    weak_order, weak_error = _slope(step, weak)
    return Convergence(
        step, strong.mean(1), weak.mean(1).abs(), strong_order, strong_error, weak_order, weak_error,
        f"{method} in {coordinate}",
    )  # fmt: skip


def _slope(step: Tensor, groups: Tensor) -> tuple[float, float]:
    """Slope of log |mean over groups| against log step, and its jackknife error; groups ``(levels, groups)``."""
    count = groups.shape[1]
    left_out = (groups.sum(1, keepdim=True) - groups) / (count - 1)
    means = torch.cat([groups.mean(1, keepdim=True), left_out], 1).abs().log()
    x = step.log() - step.log().mean()
    slopes = (x @ means) / (x @ x)
    jackknife = ((count - 1) / count * ((slopes[1:] - slopes[1:].mean()) ** 2).sum()).sqrt()
    return float(slopes[0]), float(jackknife)
