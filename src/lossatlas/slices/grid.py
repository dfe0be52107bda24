"""Where a surface is evaluated: points along each direction, and how far they reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.landscape.contract import Landscape
from lossatlas.slices.plane import Plane, Window

__all__ = ["Span", "adaptive_window", "grid_axes", "grid_coordinates", "resolve_window"]

Span: TypeAlias = float | tuple[float, float] | Sequence[tuple[float, float]] | Literal["adaptive"] | None
"""How far a surface reaches: r for −r to r, (low, high), one such pair per direction, ``"adaptive"``, or None for what
the plane suggests."""

# Steps looked at, in units of the weights' length: from 2⁻¹⁰ to 2.
_POWERS = range(-20, 3)


def grid_axes(window: Window, points: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Evenly spaced coordinates along each direction, both ends included, ``-> ((n_1,), ...)`` in float64.

    Raises:
        InputError: fewer than two points, or an empty range.

    Example:
        >>> grid_axes(((-1.0, 1.0),), 5)
        (tensor([-1.0000, -0.5000,  0.0000,  0.5000,  1.0000], dtype=torch.float64),)
    """
    counts = list(points) if isinstance(points, Sequence) else [points] * len(window)
    if len(counts) != len(window):
        raise InputError(f"expected a number of points for each of {len(window)} directions, got {counts}")
    axes = []
    for (low, high), count in zip(window, counts, strict=True):
        if isinstance(count, bool) or not isinstance(count, int) or count < 2:
            raise InputError(f"expected at least 2 points along each direction, got {count}")
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"expected a range (low, high) with low < high along each direction, got ({low}, {high})")
        axis = torch.linspace(low, high, count, dtype=torch.float64)
        # The origin is a point of every grid around it, not a rounding error beside it.
        axis[axis.abs() < 1e-12 * (high - low)] = 0.0
        axes.append(axis)
    return tuple(axes)


def grid_coordinates(axes: Sequence[Tensor]) -> Tensor:
    """Coordinates of all grid points, the last direction fastest, ``-> (n_1, ..., n_k, k)``."""
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def resolve_window(landscape: Landscape, plane: Plane, span: Span) -> Window:
    """Turn what was asked for into a range for each direction.

    Raises:
        InputError: something that is no range.
    """
    if span is None:
        return plane.window or adaptive_window(landscape, plane)
    if isinstance(span, str):
        if span != "adaptive":
            raise InputError(f"expected a number, (low, high), one pair per direction or 'adaptive', got '{span}'")
        return adaptive_window(landscape, plane)
    if isinstance(span, int | float):
        if not (math.isfinite(span) and span > 0):
            raise InputError(f"expected a positive range, got {span}")
        return ((-float(span), float(span)),) * plane.count
    given: list[Any] = list(span)
    pairs = [given] * plane.count if len(given) == 2 and not any(isinstance(end, Sequence) for end in given) else given
    try:
        window = tuple((float(low), float(high)) for low, high in pairs)
    except (TypeError, ValueError):
        raise InputError(f"expected a range (low, high) for each direction, got {span!r}") from None
    if len(window) != plane.count:
        raise InputError(f"expected a range for each of {plane.count} directions, got {len(window)}")
    return window


def adaptive_window(landscape: Landscape, plane: Plane, *, rise: float | None = None, limit: float = 2.0) -> Window:
    """Reach as far along each direction as the loss stays within a given rise on both sides.

    Steps r = 2^(m/2) |θ| are tried on both sides of the origin, all at once; between the last below the rise and the
    first above it r is interpolated, linearly in the logarithms. Losses that are not finite count as above.

    Args:
        landscape: where.
        plane: whose origin is the middle.
        rise: above the loss at the origin; None: up to the loss of the network with all weights zero, which is what it
            has before it learns anything, where that is higher; else the larger of the loss's size and 1.
        limit: no farther than this, in units of the length of the weights (1 where they are zero).

    Returns:
        (−r, r) for each direction, in units of the directions.

    Raises:
        InputError: a rise that is not positive.
        DivergenceError: the loss at the origin is not finite.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.from_function(lambda x: (x[0] ** 2 + 100 * x[1] ** 2) / 2, dim=2)
        >>> plane = Plane(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
        >>> [round(high, 2) for _, high in adaptive_window(bowl, plane, rise=0.5)]
        [1.0, 0.1]
    """
    if rise is not None and not (math.isfinite(rise) and rise > 0):
        raise InputError(f"expected a positive rise, got {rise}")
    unit = plane.weight_norm or 1.0
    sizes = torch.tensor(sorted({*(2 ** (m / 2) for m in _POWERS if 2 ** (m / 2) < limit), limit}), dtype=torch.float64)
    steps = sizes * unit / plane.lengths[:, None]  # (k, m), in units of the directions
    coordinates = torch.zeros(plane.count, 2, len(sizes), plane.count, dtype=torch.float64)
    for k in range(plane.count):
        coordinates[k, 0, :, k], coordinates[k, 1, :, k] = -steps[k], steps[k]
    middle = float(landscape.value(plane.origin))
    if not math.isfinite(middle):
        raise DivergenceError(f"expected a finite loss at the origin of a surface, got {middle}: its run has diverged")
    target = middle + (_default_rise(landscape, plane, middle) if rise is None else rise)
    losses = landscape.value(plane.rows(coordinates)).double().cpu()
    worst = losses.where(losses.isfinite(), torch.inf).amax(1)  # (k, m): the steeper side
    return tuple(_reach(steps[k].tolist(), worst[k].tolist(), middle, target) for k in range(plane.count))


def _default_rise(landscape: Landscape, plane: Plane, middle: float) -> float:
    untrained = float(landscape.value(torch.zeros_like(plane.origin))) if landscape.spec is not None else math.nan
    return untrained - middle if untrained > middle and math.isfinite(untrained) else max(abs(middle), 1.0)


def _reach(steps: list[float], worst: list[float], middle: float, target: float) -> tuple[float, float]:
    above = next((i for i, value in enumerate(worst) if value > target), len(steps))
    if above == len(steps):
        r = steps[-1]
    elif above == 0:
        r = steps[0]
    else:
        low, high = worst[above - 1] - middle, worst[above] - middle
        part = 0.0
        if math.isfinite(high) and low > 0:
            part = math.log((target - middle) / low) / math.log(high / low)
        r = steps[above - 1] * (steps[above] / steps[above - 1]) ** part
    return (-r, r)
