"""The height of a curve, not of its samples: doubled resolution, every candidate maximum refined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

__all__ = ["RefinedHeight", "refine_height"]

_EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class RefinedHeight:
    """Maximum of a function on [0, 1].

    Args:
        value: the maximum found; NaN where the function is not finite.
        t: where.
        converged: whether it changed by less than the tolerance at two doublings running.
        evaluations: of the function.
    """

    value: float
    t: float
    converged: bool
    evaluations: int


def refine_height(
    loss: Callable[[Tensor], Tensor],
    grid: Tensor,
    *,
    known: tuple[Tensor, Tensor] | None = None,
    tolerance: float = 1e-6,
    limit: int = 100_000,
) -> RefinedHeight:
    """Find the maximum of a function of t that may have several.

    Candidates are the local maxima of the samples whose neighbourhood could hold the highest point: each is refined
    by bounded Brent search (scipy) in the bracket of its neighbours. Then a sample is put between every two, until
    the maximum changes by less than ``tolerance`` of (maximum - lower end) twice running.

    Args:
        loss: ``(n,) -> (n,)``, float64.
        grid: ``(m,)``, increasing, from 0 to 1: the first samples.
        known: some of the grid and the finite values there, which are not computed again.
        tolerance: relative.
        limit: most samples; reaching it means not converged.

    Returns:
        The maximum. It is a value of the function, so never above the true one.

    Example:
        >>> bump = lambda t: torch.exp(-(((t - 0.3141) / 0.01) ** 2))
        >>> found = refine_height(bump, torch.linspace(0, 1, 21, dtype=torch.float64))
        >>> round(found.value, 9), round(found.t, 6), found.converged
        (1.0, 0.3141, True)
    """
    t = grid.to(dtype=torch.float64, device="cpu")
    f = torch.full_like(t, torch.nan)
    if known is not None:
        f[torch.searchsorted(t, known[0].to(t))] = known[1].to(f)
    missing = f.isnan()
    if bool(missing.any()):
        f[missing] = loss(t[missing])
    count, stable, previous = int(missing.sum()), 0, float("inf")
    settled: set[float] = set()
    while True:
        broken = ~f.isfinite()
        if bool(broken.any()):
            first = int(broken.nonzero()[0])
            return RefinedHeight(float("nan"), float(t[first]), False, count)
        t, f, spent = _refine_peaks(loss, t, f, settled)
        count += spent
        top = int(f.argmax())
        height = float(f[top])
        low = min(float(f[0]), float(f[-1]))
        change = abs(height - previous)
        stable = stable + 1 if change <= tolerance * (height - low) + 4 * _EPS * abs(height) else 0
        previous = height
        if stable == 2 or 2 * len(t) > limit:
            return RefinedHeight(height, float(t[top]), stable == 2, count)
        middle = 0.5 * (t[1:] + t[:-1])
        t, f = _merge(t, f, middle, loss(middle))
        count += len(middle)


def _merge(t: Tensor, f: Tensor, more_t: Tensor, more_f: Tensor) -> tuple[Tensor, Tensor]:
    joined, order = torch.cat([t, more_t]).sort(stable=True)
    return joined, torch.cat([f, more_f])[order]


def _refine_peaks(
    loss: Callable[[Tensor], Tensor], t: Tensor, f: Tensor, settled: set[float]
) -> tuple[Tensor, Tensor, int]:
    # The ends are candidates too: beside a high end the loss may rise a little before it falls.
    beyond = f.new_full((1,), -torch.inf)
    left, right = torch.cat([beyond, f[:-1]]), torch.cat([f[1:], beyond])
    lower = torch.where(left.isinf(), right, torch.where(right.isinf(), left, torch.minimum(left, right)))
    drop = f - lower
    # Where the loss is constant rounding alone makes peaks, hundreds of them.
    noise = 8 * _EPS * f.abs().max()
    is_peak = (f >= left) & (f >= right) & (drop > noise)
    # Between its neighbours a smooth maximum rises above its sample by less than it falls to the lower of them;
    # twice that is taken, so that only ripples far below the top are passed over.
    worth = f + 2 * drop >= f.max()
    found_t, found_f, spent = [], [], 0
    for i in torch.nonzero(is_peak & worth).flatten().tolist():
        if float(t[i]) in settled:
            continue
        low, high = float(t[max(i - 1, 0)]), float(t[min(i + 1, len(t) - 1)])

        def negative(at: float) -> float:
            return -float(loss(torch.tensor([at], dtype=torch.float64))[0])

        best = minimize_scalar(negative, bounds=(low, high), method="bounded", options={"xatol": 1e-7 * (high - low)})
        spent += int(best.nfev)
        at, value = (float(best.x), -float(best.fun)) if -best.fun > float(f[i]) else (float(t[i]), float(f[i]))
        settled.add(at)
        if at != float(t[i]):
            found_t.append(at)
            found_f.append(value)
    if not found_t:
        return t, f, spent
    return *_merge(t, f, torch.tensor(found_t, dtype=torch.float64), torch.tensor(found_f, dtype=torch.float64)), spent
