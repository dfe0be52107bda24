"""slice_landscape: a surface with points and runs on it, stored as it is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError, StorageError
from lossatlas.core.files import Tree, load_tree, save_tree, tensor_digest
from lossatlas.core.hardware import describe_hardware
from lossatlas.landscape.contract import Landscape, accept_rows
from lossatlas.slices import Plane, Projection, Surface, Trace, roughness, surface_on, trace
from lossatlas.slices.evaluate import Progress
from lossatlas.slices.grid import Span, grid_axes, resolve_window
from lossatlas.slices.measures import Measures, check_measures
from lossatlas.study.connection_store import opened
from lossatlas.study.folders import check_result_folder
from lossatlas.study.pairing import fingerprint
from lossatlas.study.store import Piece, Store
from lossatlas.study.versions import versions

__all__ = ["Slicing", "check_slicing_folder", "has_slicing", "load_slicing", "slice_landscape"]

FILE = "store/slicing.json"
# Raised when a change of the code changes results, so that old ones are not taken for new.
_VERSION = 1
# Finite points without which roughness means nothing.
_FEWEST = 9


@dataclass(frozen=True, eq=False)
class Slicing:
    """A surface, and what lies on it or beside it.

    Args:
        name: of the landscape.
        surface: the surface.
        points: given points by name, as the plane shows them.
        losses: of the given points themselves, in the order of their names.
        traces: runs, as the plane shows them.
        relief: roughness and number of local minima on the grid, see ``lossatlas.slices.roughness``; None for volumes.
        unit: of the loss.
        notes: what a reader should know, in sentences.
        details: of landscape, method and machine, for people.
    """

    name: str
    surface: Surface
    points: Mapping[str, Projection] = field(default_factory=dict)
    losses: tuple[float, ...] = ()
    traces: tuple[Trace, ...] = ()
    relief: tuple[float, int] | None = None
    unit: str = ""
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def places(self) -> dict[str, tuple[float, ...]]:
        """Coordinates of the given points on the plane."""
        return {name: tuple(seen.coordinates.tolist()) for name, seen in self.points.items()}

    def to_tree(self) -> Tree:
        """Return nested dicts, the form in which slicings are stored."""
        return {
            **vars(self),
            "surface": self.surface.to_tree(),
            "points": {name: seen.to_tree() for name, seen in self.points.items()},
            "traces": [each.to_tree() for each in self.traces],
            "details": dict(self.details),
        }

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Slicing:
        """Rebuild a slicing from :meth:`to_tree`."""
        return cls(**{
            **tree,
            "surface": Surface.from_tree(tree["surface"]),
            "points": {name: Projection.from_tree(seen) for name, seen in tree["points"].items()},
            "traces": tuple(Trace.from_tree(each) for each in tree["traces"]),
        })  # fmt: skip


def slice_landscape(
    landscape: Landscape,
    plane: Plane,
    *,
    marked: Mapping[str, Tensor] | None = None,
    runs: Mapping[str, Tensor] | None = None,
    points: int = 51,
    span: Span = None,
    metrics: Measures = (),
    dtype: torch.dtype | None = None,
    folder: str | Path | None = None,
    name: str = "landscape",
    unit: str = "",
    notes: tuple[str, ...] = (),
    details: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Slicing:
    """Evaluate a surface and see points and runs on it.

    Args:
        landscape: where.
        plane: of the surface; see ``lossatlas.slices``.
        marked: points to mark, name to ``(d,)``.
        runs: trajectories to draw, name to ``(n, d)``; several optimizers share one plane.
        points: along each direction.
        span: how far the surface reaches; see ``lossatlas.slices.surface``.
        metrics: more to measure; functions are told apart by their names.
        dtype: floating type of the surface; None: the landscape's.
        folder: where results are kept: a second call with the same inputs reads them, and one that was killed
            continues. None: not.
        name: what the landscape is called.
        unit: of the loss.
        notes: what a reader should know.
        details: what else should be recorded.
        progress: told grid points done and in all.

    Returns:
        The surface and all that is drawn on it.

    Raises:
        InputError: points or runs of another landscape, or options that cannot be.
        DivergenceError: a marked point without a finite loss.
        StorageError: the folder cannot be written, or holds something else.

    Example:
        >>> from lossatlas import landscape, slices
        >>> toy = landscape.get("paper-toy")
        >>> plane = slices.plane_at(toy, toy.ends[0], "coordinates")
        >>> found = slice_landscape(toy, plane, marked={"end": toy.ends[1]}, points=11, span=1.5)
        >>> found.surface.shape, float(found.points["end"].residuals)
        ((11, 11), 0.0)
    """
    where = None if folder is None else Path(folder).expanduser().absolute()
    given, courses = dict(marked or {}), dict(runs or {})
    for axes, what, those in ((1, "a point (d,)", given), (2, "a run (n, d)", courses)):
        for label, rows in those.items():
            those[label] = accept_rows(rows, landscape)
            if rows.ndim != axes:
                raise InputError(f"expected {what} as '{label}', got shape {tuple(rows.shape)}")
    exact = landscape if dtype is None or dtype == landscape.dtype else landscape.to(dtype=dtype)
    placed = plane.to(dtype=exact.dtype, device=exact.device)
    check_measures(exact, placed.origin, metrics)
    window = resolve_window(exact, placed, span)
    grid_axes(window, points)  # refuses what cannot be, before anything is written
    exact.value(placed.origin)  # so does a model that cannot be computed
    if where is not None:
        check_slicing_folder(where)
    start = time.monotonic()
    with opened(where) as store:
        piece = Piece("surface", plane.kind, _inputs(exact, placed, window, points, metrics))

        def make(checkpoint: Path | None) -> Surface:
            return surface_on(
                exact,
                placed,
                points=points,
                span=window,
                metrics=metrics,
                unit=unit,
                checkpoint=checkpoint,
                progress=progress,
            )

        surface = make(None) if store is None else _stored(store, piece, make)
        traces = tuple(trace(landscape, plane, rows, label) for label, rows in courses.items())
        seen = {label: plane.project(row) for label, row in given.items()}
        found = Slicing(name, surface, seen, _losses(landscape, given), traces, _rough(surface), unit, notes)
        record = _record(surface, landscape, time.monotonic() - start)
        found = replace(found, details={**(details or {}), **record})
        if where is not None:
            save_tree(where / FILE, found.to_tree())
    return found


def _stored(store: Store, piece: Piece, make: Callable[[Path | None], Surface]) -> Surface:
    """Read the surface where it is stored, else make it, or what is left of it."""
    if store.has(piece):
        return Surface.from_tree(store.load(piece)[0])
    start = time.monotonic()
    made = make(store.checkpoint(piece))
    store.save(piece, made.to_tree(), time.monotonic() - start)
    return made


def _rough(surface: Surface) -> tuple[float, int] | None:
    """Roughness and local minima; None for volumes, and where too little is finite."""
    if len(surface.axes) > 2 or int(surface.finite.sum()) < _FEWEST:
        return None
    found = roughness(surface)
    return found.mean, int(found.minima)


def _inputs(landscape: Landscape, plane: Plane, window: Span, points: int, metrics: Measures) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "landscape": fingerprint(landscape),
        "dtype": str(landscape.dtype),
        "device": landscape.device.type,
        "origin": tensor_digest(plane.origin),
        "directions": tensor_digest(plane.directions),
        "window": repr(window),
        "points": points,
        "metrics": sorted(metrics),
    }


def _losses(landscape: Landscape, given: Mapping[str, Tensor]) -> tuple[float, ...]:
    values = [float(landscape.value(row)) for row in given.values()]
    for label, value in zip(given, values, strict=True):
        if not torch.tensor(value).isfinite():
            raise DivergenceError(f"expected a finite loss at '{label}', got {value}: its run has diverged")
    return tuple(values)


def _record(surface: Surface, landscape: Landscape, seconds: float) -> dict[str, Any]:
    return {
        **surface.details,
        "coordinates": landscape.dim,
        "seconds": seconds,
        "hardware": describe_hardware(landscape.device).to_json(),
        "packages": versions(),
    }


# ---------------------------------------------------------------------- the folder
def has_slicing(folder: Path) -> bool:
    """Whether a folder holds what :func:`slice_landscape` stores."""
    return (folder / FILE).is_file()


def load_slicing(folder: str | Path) -> Slicing:
    """Read what :func:`slice_landscape` has stored in a folder.

    Raises:
        StorageError: the folder holds no surface, or it is damaged.
    """
    path = Path(folder).expanduser().absolute() / FILE
    if not path.is_file():
        raise StorageError(
            f"expected a surface in {folder}, got a folder without {FILE}: give the --out folder of 'lossatlas surface'"
        )
    tree = load_tree(path)
    if not isinstance(tree, dict) or "surface" not in tree:
        raise StorageError(f"expected a surface in {path}, got something else: choose another folder")
    return Slicing.from_tree(tree)


def check_slicing_folder(folder: Path) -> None:
    """Refuse a folder that holds something else, before anything is computed.

    Raises:
        StorageError: it does, or it is no folder.
    """
    check_result_folder("a surface", folder, present=has_slicing(folder))
