"""gradient_noise: how large a batch must be before its gradient is nearly that of all data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.curvature.sampling import check_confidence, half_width
from lossatlas.landscape.contract import Landscape, accept_rows

__all__ = ["GradientNoise", "gradient_noise"]

_FEWEST = 3


@dataclass(frozen=True)
class GradientNoise:
    """The simple noise scale of the gradient.

    Args:
        scale: B = S / |G|², in examples; NaN where |G|² cannot be told from zero.
        low: lower end of its interval.
        high: upper end; infinite where |G|² may be zero.
        signal: |G|², the squared gradient of all data, without bias.
        noise: S = tr Σ, the variance of the gradient of one example, without bias.
        confidence: of the interval.
        small: size of the small batches.
        large: size of the large ones.
        pairs: how many pairs of batches.
    """

    scale: float
    low: float
    high: float
    signal: float
    noise: float
    confidence: float
    small: int
    large: int
    pairs: int


def gradient_noise(
    landscape: Landscape,
    w: Tensor,
    *,
    small: int = 16,
    large: int = 256,
    pairs: int = 30,
    confidence: float = 0.95,
    seed: int = 0,
) -> GradientNoise:
    """Estimate B = tr Σ / |G|² from gradients of small and large batches.

    |G|² = (B_l |g_l|² − B_s |g_s|²) / (B_l − B_s) and S = (|g_s|² − |g_l|²) / (1/B_s − 1/B_l), each averaged over the
    pairs before they are divided: the mean of the ratios would be biased. Batches are drawn with replacement, so that G
    is the gradient over the data at hand. Batches much smaller than B waste steps, much larger ones waste examples.

    The interval is that of a ratio of two means (Fieller), with Student's t over the pairs. Take a small batch below B
    and a large one above it: both on one side tell little.

    Args:
        landscape: one with data, over all of them, whose loss is their mean.
        w: the point, ``(d,)``.
        small: B_s.
        large: B_l.
        pairs: pairs of batches, at least 3.
        confidence: of the interval.
        seed: names the batches.

    Returns:
        The noise scale with its interval.

    Raises:
        InputError: a landscape without data, or whose loss is a sum over them; not one point, or sizes that cannot be.

    Example:
        >>> from lossatlas.landscape import NetworkLandscape
        >>> x = torch.randn(1000, 3, generator=generator("noise example"), dtype=torch.float64)
        >>> net = torch.nn.Linear(3, 1, bias=False).double()
        >>> landscape = NetworkLandscape(net, torch.nn.functional.mse_loss, (x, x.sum(1, keepdim=True)))
        >>> found = gradient_noise(landscape, torch.zeros(3, dtype=torch.float64), small=1, large=64)
        >>> found.low < 4 < found.high  # of a normal x: S = 48, |G|² = 12
        True

    McCandlish, Kaplan, Amodei et al. 2018, *An empirical model of large-batch training*, appendix A.1; Fieller 1954 for
    the interval.
    """
    w = accept_rows(w, landscape)
    check_confidence(confidence)
    if w.ndim != 1 or landscape.samples is None:
        raise InputError(f"expected one point ({landscape.dim},) of a landscape with data, got {tuple(w.shape)}")
    if not 1 <= small < large or pairs < _FEWEST:
        raise InputError(
            f"expected batches of 1 ≤ small < large and at least {_FEWEST} pairs, got {small}, {large} and {pairs}"
        )
    exact = landscape.to(dtype=torch.float64)
    point, stream = w.detach().double(), generator(seed, "noise batches", landscape.samples)
    some = torch.arange(min(small, landscape.samples))
    once, twice = (float(exact.on(batch).value(point)) for batch in (some, some.repeat(2)))
    if abs(twice - once) > 1e-6 * abs(twice):
        raise InputError("expected a loss that is a mean over the examples, got a sum: use reduction='mean'")
    squares = []
    for _ in range(pairs):
        pair = []
        for size in (small, large):
            batch = torch.randint(0, landscape.samples, (size,), generator=stream)
            pair.append(float(exact.on(batch).value_and_grad(point)[1].square().sum()))
        squares.append(pair)
    few, many = torch.tensor(squares, dtype=torch.float64).T
    signal = (large * many - small * few) / (large - small)
    noise = (few - many) / (1 / small - 1 / large)
    scale, low, high = _ratio(noise, signal, half_width(pairs, confidence))
    return GradientNoise(scale, low, high, float(signal.mean()), float(noise.mean()), confidence, small, large, pairs)


def _ratio(top: Tensor, bottom: Tensor, t: float) -> tuple[float, float, float]:
    """Ratio of two means with Fieller's interval, cut at zero: the r with |top − r bottom| ≤ t s.e."""
    n = len(top)
    a, b = float(top.mean()), float(bottom.mean())
    cov = torch.cov(torch.stack([top, bottom])) / n
    saa, sab, sbb = float(cov[0, 0]), float(cov[0, 1]), float(cov[1, 1])
    k = b * b - t * t * sbb
    if not b > 0 or not k > 0:
        return (a / b if b > 0 else math.nan), 0.0, math.inf
    middle = a * b - t * t * sab
    root = math.sqrt(max(0.0, middle * middle - k * (a * a - t * t * saa)))
    return a / b, max(0.0, (middle - root) / k), (middle + root) / k
