"""surface: evaluate a landscape on a grid of a plane, a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.results import on_cpu
from lossatlas.landscape import NetworkLandscape, Numerics
from lossatlas.landscape.contract import Landscape, accept_rows
from lossatlas.slices.checkpoint import GridCheckpoint, stored_numerics
from lossatlas.slices.directions import directions as kinds
from lossatlas.slices.grid import Span, grid_axes, grid_coordinates, resolve_window
from lossatlas.slices.measures import Measures, check_measures, measure
from lossatlas.slices.plane import MOST_DIRECTIONS, Plane
from lossatlas.slices.surface import Surface

__all__ = ["Progress", "plane_at", "surface", "surface_on"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with grid points done and grid points in all."""

# Points in a piece: what a killed evaluation may lose. Fixed, so that one that continues cuts rows alike.
_SMALL, _PIECE_SMALL, _PIECE_LARGE = 1000, 4096, 64
# How far surfaces of Li et al. reach.
_USUAL = (-1.0, 1.0)


def plane_at(
    landscape: Landscape, w: Tensor, directions: str | Tensor | Plane = "filter", *, count: int = 2, seed: int = 0
) -> Plane:
    """The plane through w along directions by name, or given ones.

    Args:
        landscape: whose parameters w are.
        w: ``(d,)``.
        directions: ``"filter"``, ``"layer"``, ``"random"`` or ``"coordinates"``; rows ``(k, d)``; or a plane through w.
        count: how many, for directions by name.
        seed: names what is drawn.

    Returns:
        The plane.

    Raises:
        InputError: not one point of the landscape, directions of the wrong shape or type, or too many.
        ConfigurationError: an unknown kind of directions.

    Example:
        >>> from lossatlas import landscape
        >>> toy = landscape.get("paper-toy")
        >>> plane_at(toy, toy.ends[0], "coordinates").directions.tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    w = accept_rows(w, landscape)
    if w.ndim != 1:
        raise InputError(
            f"expected one point of shape ({landscape.dim},), got {tuple(w.shape)}: make a surface for each"
        )
    if isinstance(directions, Plane):
        plane = directions
        if plane.dim != landscape.dim or not torch.equal(plane.origin.to(w), w):
            raise InputError("expected a plane through the given weights, got another: pass its origin as the weights")
        return plane.to(dtype=w.dtype, device=w.device)
    if isinstance(directions, Tensor):
        if directions.ndim != 2 or directions.shape[-1] != landscape.dim:
            raise InputError(
                f"expected directions of shape (k, {landscape.dim}), one row each, got {tuple(directions.shape)}: "
                "flatten named tensors with landscape.spec.flatten(...)"
            )
        return Plane(w, directions.to(w), "given", spec=landscape.spec)
    if not 1 <= count <= MOST_DIRECTIONS:
        raise InputError(f"expected one to {MOST_DIRECTIONS} directions, got {count}: more cannot be shown")
    drawn = kinds[directions](w, landscape.spec, count, seed)
    labels = {"coordinates": ("x", "y", "z")}.get(
        directions, tuple(f"{directions} direction {i + 1}" for i in range(count))
    )
    window = None if directions == "coordinates" else (_USUAL,) * count
    return Plane(w, drawn, directions, labels[:count], window, landscape.spec, {"seed": seed})


def surface(
    landscape: Landscape,
    w: Tensor,
    directions: str | Tensor | Plane = "filter",
    *,
    points: int | Sequence[int] = 51,
    span: Span = None,
    count: int = 2,
    metrics: Measures = (),
    seed: int = 0,
    dtype: torch.dtype | None = None,
    unit: str = "",
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 10.0,
    progress: Progress | None = None,
) -> Surface:
    """Evaluate a landscape on a grid around a point: L(w + α d_1 + β d_2).

    Args:
        landscape: any.
        w: the point, ``(d,)``.
        directions: by name (``lossatlas.slices.directions`` lists them), rows ``(k, d)``, or a plane.
        points: along each direction, or one number per direction.
        span: r for −r to r, ``(low, high)``, one such pair per direction, or ``"adaptive"``, see
            :func:`adaptive_window`. None: −1 to 1 for directions drawn by name, as in Li et al.; what is to be seen for
            planes through points; else adaptive.
        count: directions wanted of those by name: 1 for a curve, 2 for a surface, 3 for a volume.
        metrics: more to measure: ``"accuracy"`` and whatever else the landscape reports, ``"gradient norm"``; or
            ``{name: function}`` with ``function(landscape, rows (n, d)) -> (n,)``.
        seed: names directions that are drawn.
        dtype: floating type of the evaluation; None: the landscape's. At losses of 1e-8 float32 shows rounding.
        unit: of the loss.
        checkpoint: a file that keeps what is done; the same call continues there and ends with the same values. It is
            removed at the end. None: nothing is kept.
        checkpoint_seconds: least time between two writings.
        progress: told points done and points in all.

    Returns:
        The surface; with two directions ``.values`` is ``(51, 51)``.

    Raises:
        InputError: directions of the wrong shape, an empty range, an unknown metric.
        ConfigurationError: an unknown kind of directions.
        DivergenceError: an adaptive range around a point without a finite loss.
        StorageError: the checkpoint belongs to another surface, or cannot be written.
        MemoryLimitError: a single point does not fit into memory.

    Example:
        >>> net = torch.nn.Linear(3, 2)
        >>> landscape = NetworkLandscape(net, torch.nn.functional.mse_loss, (torch.eye(3), torch.zeros(3, 2)))
        >>> found = surface(landscape, landscape.flatten(net), points=5, metrics=["gradient norm"])
        >>> found.values.shape, found.nonfinite, list(found.metrics)
        (torch.Size([5, 5]), 0, ['gradient norm'])
        >>> bool(torch.isclose(found.values[2, 2].float(), landscape.value(landscape.flatten(net))))
        True

    Li, Xu, Taylor, Studer & Goldstein 2018, *Visualizing the loss landscape of neural nets*.
    """
    return surface_on(
        landscape,
        plane_at(landscape, w, directions, count=count, seed=seed),
        points=points,
        span=span,
        metrics=metrics,
        dtype=dtype,
        unit=unit,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
    )


def surface_on(
    landscape: Landscape,
    plane: Plane,
    *,
    points: int | Sequence[int] = 51,
    span: Span = None,
    metrics: Measures = (),
    dtype: torch.dtype | None = None,
    unit: str = "",
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 10.0,
    progress: Progress | None = None,
) -> Surface:
    """Evaluate a landscape on a grid of a plane; arguments as for :func:`surface`."""
    if plane.dim != landscape.dim:
        raise InputError(f"expected a plane in {landscape.dim} coordinates, got one in {plane.dim}")
    if dtype not in (None, torch.float32, torch.float64):
        raise InputError(f"expected dtype float32 or float64, got {dtype}")
    where = landscape if dtype is None or dtype == landscape.dtype else landscape.to(dtype=dtype)
    path = None if checkpoint is None else Path(checkpoint)
    numerics = None
    if isinstance(where, NetworkLandscape):
        # Chosen once for all pieces, also of an evaluation that continues: strategies differ in the last bits.
        stored = stored_numerics(path)
        where = where.with_numerics(where.numerics if stored is None else Numerics(**stored))
        numerics = where.numerics.to_json()
    plane = plane.to(dtype=where.dtype, device=where.device)
    wanted = check_measures(where, plane.origin, metrics)
    axes = grid_axes(resolve_window(where, plane, span), points)
    coordinates = grid_coordinates(axes).reshape(-1, plane.count)
    kept = GridCheckpoint(
        path,
        plane,
        axes,
        ["loss", *wanted],
        loss=float(where.value(plane.origin)),
        numerics=numerics,
        seconds=checkpoint_seconds,
    )
    size = _PIECE_SMALL if plane.dim <= _SMALL else _PIECE_LARGE
    try:
        while kept.done < len(coordinates):
            if progress is not None:
                progress(kept.done, len(coordinates))
            part = coordinates[kept.done : kept.done + size]
            kept.add(measure(where, plane.rows(part), wanted))
    except KeyboardInterrupt:
        kept.write()
        raise
    if progress is not None:
        progress(kept.done, len(coordinates))
    shape = tuple(len(axis) for axis in axes)
    arrays = {name: values.reshape(shape) for name, values in kept.values.items()}
    kept.remove()
    losses = arrays.pop("loss")
    return on_cpu(
        Surface(plane, axes, losses, {name: arrays[name] for name in wanted}, unit, _details(where, numerics))
    )


def _details(landscape: Landscape, numerics: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "dtype": str(landscape.dtype).removeprefix("torch."),
        "device": landscape.device.type,
        "samples": landscape.samples,
        "numerics": numerics,
    }
