"""Where the noise of SGD along a mode is largest: before the mode is learned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.theory.linear.checks import above, at_least, choice, whole
from lossatlas.theory.linear.sde import COORDINATES, Coordinate

__all__ = ["DiffusionProfile", "diffusion_peak", "measure_diffusion"]

_FEWEST = 100


def diffusion_peak(depth: int, target: float = 1.0, noise: float = 0.0, *, coordinate: Coordinate) -> float:
    """Strength s at which diffusion along a mode has its interior maximum, in the coordinate named.

    The squared diffusion is s^(2p) (2δ² + σ²), δ = s* − s, with p = 2 − 2/L in the coordinate s and p = 1 − 1/L in the
    coordinate w = s^(1/L). Its maximum is at δ = [s* + √(s*² − 2p(p+1)σ²)] / 2(p+1): for σ = 0 at
    s/s* = 2(L−1)/(3L−2) in s and (L−1)/(2L−1) in w; for L = 2 in s at s*[1 − (1 + √(1 − 4σ²/s*²))/4].

    Args:
        depth: number of matrices L.
        target: s*.
        noise: standard deviation σ of the labels.
        coordinate: whose diffusion: ``"s"`` or ``"w"``. The answer is a strength s in both cases.

    Returns:
        The strength; NaN where there is no interior maximum: depth 1, and σ ≥ s*/√(2p(p+1)).

    Raises:
        InputError: no layer, a target that is not positive, negative noise, another coordinate.

    Example:
        >>> [round(diffusion_peak(depth, coordinate="s"), 4) for depth in (2, 3, 4)]
        [0.5, 0.5714, 0.6]
        >>> [round(diffusion_peak(depth, coordinate="w"), 4) for depth in (2, 3, 4)]
        [0.3333, 0.4, 0.4286]
        >>> diffusion_peak(2, noise=0.5, coordinate="s")
        nan
    """
    whole(depth, "depth", 1, "a network has at least one matrix")
    goal = above(target, "target", 0, "give a non-zero singular value of the map to be learned")
    sigma = at_least(noise, "noise", 0, "give the standard deviation of the labels, 0 for none")
    choice(coordinate, "coordinate", COORDINATES)
    p = (2 if coordinate == "s" else 1) * (1 - 1 / depth)
    inside = goal**2 - 2 * p * (p + 1) * sigma**2
    if depth == 1 or inside <= 0:
        return math.nan
    return goal - (goal + math.sqrt(inside)) / (2 * (p + 1))


@dataclass(frozen=True)
class DiffusionProfile:
    """Diffusion against strength, as seen in runs.

    Args:
        s: ``(bins,)``, mean strength in each bin.
        squared: ``(bins,)``, variance of the increments there, per unit of time.
        counts: ``(bins,)``, increments there.
        peak: where a cubic through log ``squared`` has its maximum; NaN where it has none inside the window.
        coordinate: whose diffusion.
    """

    s: Tensor
    squared: Tensor
    counts: Tensor
    peak: float
    coordinate: Coordinate


def measure_diffusion(
    time: Tensor,
    strengths: Tensor,
    *,
    depth: int,
    window: tuple[float, float],
    coordinate: Coordinate = "s",
    bins: int = 20,
) -> DiffusionProfile:
    """Measure the diffusion of a mode in runs, and where it is largest.

    Increments between neighbouring moments are sorted by the strength that they start from; their variance in a bin,
    over the time between moments, is the squared diffusion. A cubic is fitted to its logarithm.

    Args:
        time: ``(T,)``, equally spaced; every step of SGD, best.
        strengths: ``(T, R)``, one mode in R runs.
        depth: number of matrices L, which makes w = s^(1/L).
        window: the strengths looked at, around the peak.
        coordinate: whose diffusion: ``"s"`` or ``"w"``.
        bins: of equal width in the window.

    Returns:
        The profile and its peak.

    Raises:
        InputError: shapes that do not fit, fewer than 5 bins or 100 increments in one of them, an empty window.

    Example:
        >>> from lossatlas.theory.linear import ModeSDE, integrate
        >>> sde = ModeSDE(depth=2, rate=0.01, batch=16)
        >>> runs = integrate(sde, 0.1, time=4.0, steps=400, paths=500)
        >>> found = measure_diffusion(runs.time, runs.s, depth=2, window=(0.3, 0.7))
        >>> abs(found.peak - diffusion_peak(2, coordinate="s")) < 0.05
        True
    """
    whole(depth, "depth", 1, "a network has at least one matrix")
    whole(bins, "bins", 5, "a cubic needs more points than it has numbers")
    choice(coordinate, "coordinate", COORDINATES)
    if time.ndim != 1 or strengths.ndim != 2 or len(time) != len(strengths) or len(time) < 2:
        raise InputError(
            f"expected times (T,) and strengths (T, R), got {tuple(time.shape)} and {tuple(strengths.shape)}: "
            "give one mode of runs recorded at two moments or more"
        )
    low, high = window
    if not 0 <= low < high:
        raise InputError(f"expected a window (low, high) with 0 <= low < high, got {window}: put it around the peak")
    start = strengths[:-1].reshape(-1)
    x = strengths if coordinate == "s" or depth == 1 else strengths.clamp(min=0) ** (1 / depth)
    pushes = (x[1:] - x[:-1]).reshape(-1)
    inside = (start > low) & (start < high)
    start, pushes = start[inside], pushes[inside]
    place = ((start - low) / (high - low) * bins).long().clamp(max=bins - 1)
    counts = torch.bincount(place, minlength=bins)
    if int(counts.min()) < _FEWEST:
        raise InputError(
            f"expected at least {_FEWEST} increments in each bin, got {int(counts.min())}: "
            "give more runs, fewer bins or another window"
        )
    s, mean = (torch.bincount(place, weights=v, minlength=bins) / counts for v in (start, pushes))
    # About the bin's own mean: the drift takes no part.
    squared = torch.bincount(place, weights=(pushes - mean[place]) ** 2, minlength=bins) / (counts - 1)
    squared = squared / float(time[1] - time[0])
    return DiffusionProfile(s, squared, counts, _top(s, squared, counts, (low, high)), coordinate)


def _top(s: Tensor, squared: Tensor, counts: Tensor, window: tuple[float, float]) -> float:
    cubic = np.polynomial.Polynomial.fit(s.numpy(), squared.log().numpy(), 3, w=counts.double().sqrt().numpy())
    turns = [float(root.real) for root in cubic.deriv().roots() if abs(root.imag) < 1e-9]
    tops = [turn for turn in turns if window[0] < turn < window[1] and cubic.deriv(2)(turn) < 0]
    return max(tops, key=cubic) if tops else math.nan
