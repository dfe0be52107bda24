"""connect: paths between some points of a landscape, all pairs or a schedule of them, stored as they are found."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lossatlas import symmetry
from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.weights import check_statistics
from lossatlas.landscape import NetworkLandscape
from lossatlas.landscape.contract import Landscape, SupportsMetrics, accept_rows
from lossatlas.paths.refreshed import Buffers
from lossatlas.paths.schedule import SpanningTree, distances
from lossatlas.study.checks import make_finder
from lossatlas.study.connection import Connection
from lossatlas.study.connection_store import check_folder, has_connection, load_connection, opened, save_connection
from lossatlas.study.landscape_record import landscape_details, with_numerics_of
from lossatlas.study.pairing import Pairing
from lossatlas.study.surface import surface, window

__all__ = ["connect"]

Progress: TypeAlias = Callable[[int, int | None, str], None]
"""Called with pairs done, pairs planned (None: not known) and what comes next."""

_KEPT_NUMBERS = 100_000
# Pairs relaxed at once: small points cost little each, and what is stored after each batch is safe.
_SMALL, _BATCH_SMALL, _BATCH_LARGE = 1000, 64, 4


def connect(
    landscape: Landscape,
    points: Tensor,
    labels: Sequence[str] | None = None,
    *,
    method: str = "auto",
    options: Mapping[str, Any] | None = None,
    schedule: SpanningTree | None = None,
    align: bool | None = None,
    structure: symmetry.PermutationStructure | None = None,
    buffers: Sequence[Buffers | None] | None = None,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    folder: str | FilePath | None = None,
    name: str = "landscape",
    unit: str = "",
    details: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Connection:
    """Find how points of a landscape are connected.

    Every pair gets its straight line and the path that the method finds; for networks whose hidden units can be
    traced, both again to the end with its units reordered to match the start, and the answer to "may I average them?".

    Args:
        landscape: where.
        points: ``(n, d)``, n ≥ 2, minima as a rule.
        labels: a name per point; ``"0"``, ``"1"``, ... if None.
        method: one of ``lossatlas.paths.finders``.
        options: of that finder.
        schedule: which pairs, in which order; None: all n(n−1)/2.
        align: whether hidden units are reordered; None: where they can be traced.
        structure: which hidden units may be reordered; None: traced.
        buffers: normalisation statistics of each network, for the averages; None: those of the landscape.
        groups: what each point belongs to, such as its optimizer.
        seed: of everything random.
        folder: where results are kept; a second call with the same inputs reads them instead of computing. None: not.
        name: what the landscape is called.
        unit: of the loss.
        details: what else should be recorded, such as options and checksums.
        progress: told what is done.

    Returns:
        What was found. After an interrupt, ``load_connection(folder)`` returns what there was.

    Raises:
        InputError: not at least two different points of the landscape, or options that cannot be.
        ConfigurationError: an unknown method or option.
        DataError: normalisation statistics that are not finite.
        DivergenceError: a point whose loss is not finite.
        StorageError: the folder cannot be written, or holds something else.

    Example:
        >>> from lossatlas.landscape import get
        >>> toy = get("paper-toy")
        >>> found = connect(toy, torch.stack(toy.ends), ["left", "right"], method="linear")
        >>> round(found.routes[0].best.height, 3), round(float(found.heights[0, 1]), 3)
        (1.102, 1.102)
    """
    points = accept_rows(points, landscape)
    names = _checked(landscape, points, labels)
    for label, own in zip(names, buffers or (), strict=False):
        check_statistics(own, f"'{label}'")
    finder = make_finder(method, {"seed": seed, **(options or {})})
    where = None if folder is None else FilePath(folder).expanduser().absolute()
    if where is not None:
        check_folder(where)
    if isinstance(landscape, NetworkLandscape):
        stored = load_connection(where).details if where is not None and has_connection(where) else None
        landscape = with_numerics_of(stored, landscape)
    along, notes = _along(landscape)
    energies, metrics = _scores(along, points, names)
    permutable, reasons = _structure(landscape, align, structure)
    planned = len(names) * (len(names) - 1) // 2
    if schedule is not None and schedule.budget is not None:
        planned = min(planned, schedule.budget)
    found = Connection(
        name=name,
        method=method,
        labels=names,
        energies=energies,
        distances=distances(points.double()).cpu(),
        planned=planned,
        points=points.double().cpu() if points.numel() <= _KEPT_NUMBERS else None,
        groups=None if groups is None else tuple(groups),
        metrics=metrics,
        unit=unit,
        notes=(*notes, *reasons),
        details=_details(landscape, finder, seed, details),
    )
    order = SpanningTree() if schedule is None else schedule
    order = replace(order, batch=max(order.batch, _BATCH_SMALL if landscape.dim <= _SMALL else _BATCH_LARGE))
    pairs = order.next(found.distances, found.heights)  # refuses a budget that cannot be, before anything is written
    with opened(where) as store:
        pairing = Pairing(
            along,
            points,
            energies.tolist(),
            finder,
            networks=landscape,
            structure=permutable,
            buffers=buffers,
            seed=seed,
            store=store,
        )
        start = time.monotonic()
        save_connection(found, where)
        while pairs:
            if progress is not None:
                progress(len(found.routes), planned, ", ".join(f"{names[i]} to {names[j]}" for i, j in pairs[:3]))
            for route in pairing.connect(pairs):
                found = found.with_route(route)
            spent = found.details.get("seconds", 0.0) + time.monotonic() - start
            start = time.monotonic()
            found = replace(found, details={**found.details, "seconds": spent})
            save_connection(found, where)
            pairs = order.next(found.distances, found.heights)
        found = replace(_drawn(found, landscape), planned=len(found.routes))
        save_connection(found, where)
    return found


# ---------------------------------------------------------------------- inside
def _checked(landscape: Landscape, points: Tensor, labels: Sequence[str] | None) -> tuple[str, ...]:
    if points.ndim != 2 or len(points) < 2:
        raise InputError(
            f"expected at least two points as (n, {landscape.dim}), got shape {tuple(points.shape)}: "
            "a path needs two ends"
        )
    names = tuple(str(i) for i in range(len(points))) if labels is None else tuple(str(label) for label in labels)
    if len(names) != len(points) or len(set(names)) < len(names):
        raise InputError(
            f"expected a different label for each of {len(points)} points, got {list(names)}: name each point once"
        )
    if not bool(points.isfinite().all()):
        wrong = names[int((~points.isfinite().all(1)).nonzero()[0])]
        raise InputError(f"expected finite coordinates, got NaN or infinity in '{wrong}'")
    for j in range(len(points)):
        for i in range(j):
            if torch.equal(points[i], points[j]):
                raise InputError(
                    f"expected different points, got '{names[i]}' and '{names[j]}' at one place: leave one out"
                )
    return names


def _scores(landscape: Landscape, points: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
    exact = landscape.to(dtype=torch.float64)
    if isinstance(exact, SupportsMetrics):
        metrics = {name: values.double().cpu() for name, values in exact.metrics(points.double()).items()}
        energies = metrics.pop("loss")
    else:
        energies, metrics = exact.value(points.double()).cpu(), {}
    for label, value in zip(names, energies.tolist(), strict=True):
        if not torch.tensor(value).isfinite():
            if landscape.samples is None:
                what, why = "energy", "choose a point where the function is defined"
            else:
                what, why = "loss", "its run has diverged"
            raise DivergenceError(f"expected a finite {what} at '{label}', got {value}: {why}")
    return energies, metrics


def _structure(
    landscape: Landscape, wanted: bool | None, given: symmetry.PermutationStructure | None
) -> tuple[symmetry.PermutationStructure | None, tuple[str, ...]]:
    """Which units may be reordered; where it is only an offer, a network that cannot be traced is no error."""
    if wanted is False or (wanted is None and not isinstance(landscape, NetworkLandscape)):
        return None, ()
    if not isinstance(landscape, NetworkLandscape):
        raise InputError("expected a network to align, got a landscape without hidden units: leave out --align")
    try:
        structure = symmetry.permutation_structure(landscape) if given is None else given
    except InputError as error:
        if wanted:
            raise
        return None, (f"Hidden units were not reordered: {error}.",)
    if not structure.groups:
        return None, ("Hidden units were not reordered: the network has none that may change places.",)
    return structure, ()


def _along(landscape: Landscape) -> tuple[Landscape, tuple[str, ...]]:
    """The landscape along paths: statistics kept from training belong to one network, and to nothing between two."""
    if not isinstance(landscape, NetworkLandscape) or not landscape.keeps_statistics:
        return landscape, ()
    note = (
        "The network keeps normalisation statistics, which belong to one set of weights. At every point of every path "
        "they are recomputed on the data, so that the loss is a function of the weights alone."
    )
    return landscape.with_batch_statistics(), (note,)


def _details(landscape: Landscape, finder: object, seed: int, more: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        **(more or {}),
        "finder": repr(finder),
        "seed": seed,
        **landscape_details(landscape),
    }


def _drawn(found: Connection, landscape: Landscape) -> Connection:
    """Add the surface of a landscape of two coordinates."""
    if landscape.dim != 2 or found.points is None:
        return found
    rows = [found.points, *(p.points for r in found.routes for p in r.paths.values() if p.points is not None)]
    return replace(found, surface=surface(landscape, window(landscape, rows)))
