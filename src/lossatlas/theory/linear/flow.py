"""Gradient flow of one mode of a deep linear network: its strength against time, and when it is learned."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.integrate import quad, solve_ivp
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.theory.linear.checks import above, times_of, whole

__all__ = ["half_learning_time", "learning_time", "mode_flow"]

_DEPTH = "a network has at least one matrix"
_TARGET = "give a non-zero singular value of the map to be learned"
_START = "at 0 the flow rests on the saddle and learns nothing"


def mode_flow(depth: int, target: float, start: float, time: Tensor | float) -> Tensor:
    """Strength s = w^L of an aligned, balanced mode under gradient flow.

    ds/dt = L s^(2−2/L) (s* − s). In closed form for L = 1, s = s* + (s₀ − s*) e^(−t), and for L = 2,
    s = s* / (1 + (s*/s₀ − 1) e^(−2 s* t)); for deeper networks integrated to a relative 1e-11.

    Args:
        depth: number of matrices L.
        target: s*, the singular value of the map to be learned.
        start: s₀.
        time: any shape; step length times number of steps.

    Returns:
        s, of the shape of ``time``, float64.

    Raises:
        InputError: no layer, a target or start that is not positive, negative times.

    Example:
        >>> mode_flow(2, 1.0, 0.01, torch.tensor([0.0, half_learning_time(2, 1.0, 0.01), 20.0], dtype=torch.float64))
        tensor([0.0100, 0.5000, 1.0000], dtype=torch.float64)

    Saxe, McClelland & Ganguli 2014 (arXiv 1312.6120), equations 8 and 10.
    """
    whole(depth, "depth", 1, _DEPTH)
    goal, first = above(target, "target", 0, _TARGET), above(start, "start", 0, _START)
    times = times_of(time)
    if depth == 1:
        return goal + (first - goal) * torch.exp(-times)
    if depth == 2:
        return goal / (1 + (goal / first - 1) * torch.exp(-2 * goal * times))
    if not times.numel():
        return times.clone()
    # In log w a small start keeps all its digits.
    wanted, order = np.unique(times.numpy().ravel(), return_inverse=True)
    solved = solve_ivp(
        lambda _, u: np.exp((depth - 2) * u) * (goal - np.exp(depth * u)),
        (0.0, max(float(wanted[-1]), 1e-300)),
        [math.log(first) / depth],
        method="DOP853",
        t_eval=wanted,
        rtol=1e-11,
        atol=1e-13,
    )
    return torch.from_numpy(np.exp(depth * solved.y[0])[order].copy()).reshape(times.shape)


def learning_time(depth: int, target: float, start: float, fraction: float = 0.5) -> float:
    """Time at which gradient flow has learned a fraction f of a mode, s = f s*.

    t = ∫ ds / (L s^(2−2/L) (s* − s)) from s₀ to f s*; for L = 1, ln((s* − s₀) / ((1 − f) s*)), for L = 2,
    ln((s*/s₀ − 1) f / (1 − f)) / 2 s*. From a small start it grows like ln(1/s₀) for L = 2 and like s₀^(−1+2/L)
    beyond: the plateau is longer in deeper networks.

    Args:
        depth: number of matrices L.
        target: s*.
        start: s₀, below f s*.
        fraction: f.

    Returns:
        The time, step length times number of steps.

    Raises:
        InputError: no layer, a target or start that is not positive, a fraction outside (0, 1), or one learned before
            the start.

    Example:
        >>> [round(learning_time(depth, 1.0, 0.01), 2) for depth in (1, 2, 3, 4)]
        [0.68, 2.3, 3.77, 4.68]
    """
    whole(depth, "depth", 1, _DEPTH)
    goal, first = above(target, "target", 0, _TARGET), above(start, "start", 0, _START)
    part = above(fraction, "fraction", 0, "half is the usual one")
    if part >= 1:
        raise InputError(f"expected fraction below 1, got {fraction}: the flow reaches the target after infinite time")
    if first > part * goal:
        raise InputError(f"expected a start of at most {part * goal:g}, got {start}: it has learned that much already")
    if depth == 1:
        return math.log((goal - first) / ((1 - part) * goal))
    if depth == 2:
        return math.log((goal / first - 1) * part / (1 - part)) / (2 * goal)
    # In v = w^(2−L) the integrand 1 / (s* − s) is smooth, however small the start.
    power = -depth / (depth - 2)
    ends = [s ** (2 / depth - 1) for s in (part * goal, first)]
    area, _ = quad(lambda v: 1 / (goal - v**power), *ends, epsabs=0, epsrel=1e-12, limit=500)
    return float(area) / (depth - 2)


def half_learning_time(depth: int, target: float, start: float) -> float:
    """Time at which gradient flow has learned half of a mode: :func:`learning_time` at f = ½.

    For L = 2 it is ln(s*/s₀ − 1) / 2 s*.

    Args:
        depth: number of matrices L.
        target: s*.
        start: s₀, below s*/2.

    Returns:
        The time, step length times number of steps.

    Raises:
        InputError: as :func:`learning_time`.

    Example:
        >>> half_learning_time(2, 1.0, 0.01) == math.log(99) / 2
        True
    """
    return learning_time(depth, target, start, 0.5)
