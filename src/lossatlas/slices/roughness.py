"""Roughness: how much of a surface's relief no convex surface has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.stats import t as student
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.slices.surface import Surface

__all__ = ["Roughness", "convex_envelope", "roughness"]

_Array = NDArray[np.float64]

# Relief below this part of the largest value is rounding of the evaluation, not relief.
_FLAT = 1e-12
# Facets steeper than its inverse are the sides of the hull.
_STEEP = 1e-6
_LEVEL = 0.95
# Numbers compared at a time when the envelope is looked up.
_BLOCK = 1 << 22


@dataclass(frozen=True, eq=False)
class Roughness:
    """How rough some surfaces are, each on a plane of its own.

    Args:
        values: ``(s,)``, roughness of each: 0 for a convex surface, near 1 where nothing of its relief is convex.
        minima: ``(s,)``, local minima of each on its grid; 1 for a single valley.
        nonfinite: ``(s,)``, points of each that are NaN or infinite and were left out.
        mean: of the values.
        spread: standard deviation of the values over the planes; NaN for a single one.
        low: lower end of the 95 % interval of the mean over planes (Student's t); NaN for a single one.
        high: its upper end.
    """

    values: Tensor
    minima: Tensor
    nonfinite: Tensor
    mean: float
    spread: float
    low: float
    high: float


def roughness(surfaces: Surface | Sequence[Surface], *, name: str = "loss", log: bool = False) -> Roughness:
    """RMS distance of a surface from its convex envelope, in units of the standard deviation of its values.

        R = √⟨(f − env f)²⟩ / √⟨(f − ⟨f⟩)²⟩,

    where env f is the highest convex function below f and ⟨·⟩ the mean over the grid. R is 0 for every convex
    surface, whatever its shape, and does not change when the loss is scaled or shifted or the plane's coordinates are
    changed linearly. It is the RMS height of surface metrology (Sq of ISO 25178-2) after removal of the form, where the
    form is the best convex one; Li et al. 2018 asked of surfaces with and without skip connections how convex they are.

    One surface has no spread: draw several planes (``seed=0, 1, ...``) and pass their surfaces together.

    Args:
        surfaces: of one or two directions; all on grids of the same kind.
        name: what is looked at: ``"loss"`` or a metric.
        log: of log10 of it: where losses range over decades, R is else about the highest.

    Returns:
        Roughness of each, the mean, and how it varies from plane to plane.

    Raises:
        InputError: a surface of three directions, one without three finite points, or a logarithm of what is not
            positive.

    Example:
        >>> from lossatlas import landscape, slices
        >>> bowl = landscape.get("quadratic", dim=2)
        >>> w = torch.zeros(2, dtype=torch.float64)
        >>> round(roughness(slices.surface(bowl, w, "coordinates", points=11)).mean, 9)
        0.0
        >>> wavy = landscape.from_function(lambda x: (x**2).sum() + (9 * x[0]).sin(), dim=2)
        >>> rough = roughness(slices.surface(wavy, w, "coordinates", points=31, span=1.5))
        >>> 0.3 < rough.mean < 0.9, rough.minima.tolist()
        (True, [5])

    Li, Xu, Taylor, Studer & Goldstein 2018, *Visualizing the loss landscape of neural nets*, section 6; the envelope:
    Barber, Dobkin & Huhdanpaa 1996, *The Quickhull algorithm for convex hulls*.
    """
    given = [surfaces] if isinstance(surfaces, Surface) else list(surfaces)
    if not given:
        raise InputError("expected at least one surface, got none")
    values, minima, nonfinite = [], [], []
    for surface in given:
        array = surface.named(name).numpy()
        finite = np.isfinite(array)
        if log and bool((array[finite] <= 0).any()):
            raise InputError(f"expected positive values for log10 of '{name}', got {float(array[finite].min()):g}")
        shown = np.log10(array, where=finite & (array > 0), out=np.full_like(array, np.nan)) if log else array
        values.append(_one(surface, np.where(finite, shown, np.nan)))
        minima.append(_count_minima(shown, finite))
        nonfinite.append(int((~finite).sum()))
    found = torch.tensor(values, dtype=torch.float64)
    mean, count = float(found.mean()), len(found)
    spread = float(found.std()) if count > 1 else math.nan
    half = float(student.ppf(0.5 + _LEVEL / 2, count - 1)) * spread / math.sqrt(count) if count > 1 else math.nan
    return Roughness(found, torch.tensor(minima), torch.tensor(nonfinite), mean, spread, mean - half, mean + half)


def convex_envelope(surface: Surface, name: str = "loss") -> Tensor:
    """The highest convex function on the grid that lies nowhere above the surface, ``-> (n_1, ..., n_k)``.

    NaN where the surface is not finite, which takes no part.

    Raises:
        InputError: three directions, or fewer than three finite points.

    Example:
        >>> from lossatlas import landscape, slices
        >>> double = landscape.from_function(lambda x: (x[0] ** 2 - 1) ** 2, dim=1)
        >>> w = torch.zeros(1, dtype=torch.float64)
        >>> found = slices.surface(double, w, "coordinates", count=1, points=5, span=1)
        >>> found.values.tolist(), convex_envelope(found).abs().tolist()
        ([0.0, 0.5625, 1.0, 0.5625, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0])
    """
    array = surface.named(name).numpy()
    return torch.from_numpy(_envelope(surface, np.where(np.isfinite(array), array, np.nan)))


# ---------------------------------------------------------------------- inside
def _one(surface: Surface, array: _Array) -> float:
    rough = (array - _envelope(surface, array))[np.isfinite(array)]
    heights = array[np.isfinite(array)]
    total = float(heights.std())
    return float(np.sqrt((rough**2).mean())) / total if total > _FLAT * float(np.abs(heights).max()) else 0.0


def _envelope(surface: Surface, array: _Array) -> _Array:
    if len(surface.axes) > 2:
        raise InputError("expected a surface of one or two directions, got three: take one plane of it")
    finite = np.isfinite(array)
    if int(finite.sum()) < 3:
        raise InputError(f"expected at least three finite points on the surface, got {int(finite.sum())}")
    # To the unit cube: Quickhull's tolerances are absolute.
    axes = [_unit(axis) for axis in surface.axes]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)[finite]
    heights = array[finite]
    # An affine part changes nothing, and without it a plane is flat in numbers as well.
    design = np.column_stack([points, np.ones(len(points))])
    affine = design @ np.linalg.lstsq(design, heights, rcond=None)[0]
    rest = heights - affine
    size = float(np.abs(rest).max())
    found = np.full_like(array, np.nan)
    if size <= _FLAT * float(np.abs(heights).max()):
        found[finite] = heights
        return found
    found[finite] = np.minimum(affine + size * _lower_hull(points, rest / size), heights)
    return found


def _unit(axis: Tensor) -> _Array:
    values: _Array = axis.double().numpy()
    scaled: _Array = 2 * (values - values[0]) / (values[-1] - values[0]) - 1
    return scaled


def _lower_hull(points: _Array, heights: _Array) -> _Array:
    """The lower side of the convex hull at its own points: the largest of the planes of its lower facets."""
    hull = ConvexHull(np.column_stack([points, heights]))
    normals = hull.equations[:, :-1]
    lower = normals[:, -1] < -_STEEP
    planes = np.unique(-hull.equations[lower][:, [*range(points.shape[1]), -1]] / normals[lower][:, -1:], axis=0)
    found = np.full(len(points), -np.inf)
    for part in np.array_split(planes, math.ceil(len(planes) * len(points) / _BLOCK)):
        found = np.maximum(found, (points @ part[:, :-1].T + part[:, -1]).max(1))
    return found


def _count_minima(array: _Array, finite: NDArray[np.bool_]) -> int:
    """Connected sets of equal points that are nowhere beside something lower, diagonal neighbours too."""
    filled = np.where(finite, array, np.inf)
    shifts = [shift for shift in np.ndindex((3,) * array.ndim) if any(step != 1 for step in shift)]

    def around(values: NDArray[Any], border: float | bool) -> list[NDArray[Any]]:
        padded = np.pad(values, 1, constant_values=border)
        return [padded[tuple(slice(s, s + n) for s, n in zip(shift, values.shape, strict=True))] for shift in shifts]

    neighbours = around(filled, np.inf)
    falls = ~finite | np.logical_or.reduce([other < filled for other in neighbours])
    while True:
        # A flat set with a way down at its rim is a terrace.
        pairs = zip(neighbours, around(falls, False), strict=True)
        wider = falls | np.logical_or.reduce([(other == filled) & down for other, down in pairs])
        if bool((wider == falls).all()):
            return int(ndimage.label(~falls, structure=np.ones((3,) * array.ndim))[1])
        falls = wider
