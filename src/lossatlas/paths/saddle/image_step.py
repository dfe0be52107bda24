"""The trust-region step that climbs one mode and descends all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

__all__ = ["image_step"]

_Floats = NDArray[np.float64]

# Curvatures below this part of the largest are taken as this: a flat mode takes no part in a Newton step.
_FLAT = 1e-9


# Curvatures of all sizes meet here, as they do at kinks: a step that overflows is longer than any radius.
@np.errstate(over="ignore", divide="ignore")
def image_step(curvatures: _Floats, slopes: _Floats, mode: int, radius: float, uphill: float = 1.0) -> _Floats:
    """Minimise the image of a quadratic model in a ball, s = -(Θ̄ + μ)⁻¹ ḡ with |s| ≤ radius.

    The image has slope and curvature of one mode with opposite sign, so its minimum is the saddle. μ = 0 where the
    Newton step stays within the radius and every Θ̄ is positive.

    Args:
        curvatures: θ, ``(m,)``, in a basis of eigenvectors.
        slopes: g, ``(m,)``, in that basis.
        mode: which one is climbed.
        radius: longest step.
        uphill: sign of the step along ``mode`` where its slope is zero.

    Returns:
        The step in that basis, ``(m,)``.

    Source:
        Helgaker 1991, *Transition-state optimizations by trust-region image minimization*, Chem. Phys. Lett. 182, 503.

    Example:
        >>> image_step(np.array([-1.0, 2.0]), np.array([0.5, 0.2]), 0, radius=1.0)  # the Newton step
        array([ 0.5, -0.1])
        >>> image_step(np.array([1.0, 2.0]), np.array([0.5, 0.0]), 0, radius=1.0)  # uphill, out of the convex region
        array([ 1., -0.])
    """
    theta, slope = curvatures.copy(), slopes.copy()
    theta[mode], slope[mode] = -theta[mode], -slope[mode]
    largest = float(np.abs(theta).max())
    if largest == 0:
        length = float(np.linalg.norm(slope))
        return -slope / length * radius if length > 0 else slope
    flat = np.abs(theta) < _FLAT * largest
    theta[flat] = _FLAT * largest

    def step(shift: float) -> _Floats:
        return -slope / (theta + shift)

    lowest = float(theta.min())
    if lowest > 0 and np.linalg.norm(step(0.0)) <= radius:
        return step(0.0)
    # Beyond the pole at -lowest the length of the step falls from infinity (or, with no slope there, a finite value).
    floor = max(0.0, -lowest) * (1 + 1e-12) + 1e-14 * largest
    ceiling = max(0.0, -lowest) + float(np.linalg.norm(slope)) / radius + 2e-14 * largest
    if np.linalg.norm(step(floor)) > radius:
        # Beside a steep slope the distance to the pole is lost in rounding, and the bound with it.
        while np.linalg.norm(step(ceiling)) > radius:
            ceiling *= 2
        shift = brentq(lambda mu: 1 / radius - 1 / np.linalg.norm(step(mu)), floor, ceiling, xtol=1e-12 * ceiling)
        return step(float(shift))
    short = step(floor)
    weakest = int(theta.argmin())
    rest = float(np.sqrt(max(0.0, radius**2 - float(np.sum(np.delete(short, weakest) ** 2)))))
    sign = np.sign(short[weakest]) or (uphill if weakest == mode else 1.0)
    short[weakest] = sign * rest
    return short
