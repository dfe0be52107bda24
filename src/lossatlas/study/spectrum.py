"""spectrum: the curvature at some points of a landscape, stored point by point."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path as FilePath
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lossatlas import curvature
from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.files import tensor_digest
from lossatlas.landscape import NetworkLandscape
from lossatlas.landscape.contract import Landscape, accept_rows
from lossatlas.study.connection_store import opened
from lossatlas.study.landscape_record import landscape_details, with_numerics_of
from lossatlas.study.pairing import fingerprint
from lossatlas.study.spectra import PointSpectrum, Spectra
from lossatlas.study.spectra_store import check_spectra_folder, has_spectra, load_spectra, save_spectra
from lossatlas.study.spectrum_options import SpectrumOptions
from lossatlas.study.spectrum_point import measure_point
from lossatlas.study.spectrum_stages import Stages
from lossatlas.study.store import Piece, Store

__all__ = ["spectrum"]

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with points done, points in all and what comes next."""

Buffers: TypeAlias = Mapping[str, Tensor]

# Raised when a change of the code changes results, so that old ones are not taken for new.
_VERSION = 2
# Index against loss is a course from here on.
_COURSE = 3


def spectrum(
    landscape: Landscape,
    points: Tensor,
    labels: Sequence[str] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    buffers: Sequence[Buffers | None] | None = None,
    folder: str | FilePath | None = None,
    name: str = "landscape",
    unit: str = "",
    details: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Spectra:
    """Measure the curvature at points of a landscape.

    For each point: eigenvalues at both ends with residuals, the trace with an interval, the spectral density, condition
    number and null space, the kind of point, and products beside finite differences; for networks also each layer,
    mini-batches, and the Gauss-Newton and Fisher matrices. For three points or more, index against loss.

    Args:
        landscape: where.
        points: ``(n, d)``, n ≥ 1; for instance checkpoints of a run, one after another.
        labels: a name per point; ``"0"``, ``"1"``, ... if None.
        options: fields of :class:`lossatlas.study.spectrum_options.SpectrumOptions`.
        buffers: normalisation statistics of each network; None: recomputed on the data.
        folder: where results are kept; a second call with the same inputs reads them instead of computing. None: not.
        name: what the landscape is called.
        unit: of the loss.
        details: what else should be recorded, such as options and checksums.
        progress: told what is done, and what stage of a point begins.

    Returns:
        What was found. After an interrupt, ``load_spectra(folder)`` returns what there was, and the same call goes on
        after the last stage that was finished.

    Raises:
        InputError: not at least one point of the landscape, or labels that do not fit.
        ConfigurationError: an unknown option, or one that cannot be.
        DivergenceError: a point whose loss is not finite.
        StorageError: the folder cannot be written, or holds something else.

    Example:
        >>> from lossatlas.landscape import get
        >>> toy = get("muller-brown")
        >>> found = spectrum(toy, torch.stack([toy.minima[0].x]), ["A"], options={"count": 1})
        >>> found.spectra["A"].classification.index.item(), found.complete
        (0, True)
    """
    chosen = SpectrumOptions.of(options or {})
    points = accept_rows(points, landscape)
    names = _checked(landscape, points, labels)
    if 2 * chosen.count > landscape.dim:
        chosen = replace(chosen, count=max(1, landscape.dim // 2))
    where = None if folder is None else FilePath(folder).expanduser().absolute()
    if where is not None:
        check_spectra_folder(where)
    if isinstance(landscape, NetworkLandscape):
        stored = load_spectra(where).details if where is not None and has_spectra(where) else None
        landscape = with_numerics_of(stored, landscape)
    at, notes = _with_statistics(landscape, points, buffers)
    _refuse_divergence(at, points, names)
    found = Spectra(name, names, landscape.dim, unit=unit, notes=notes, details=_details(landscape, chosen, details))
    with opened(where) as store:
        start = time.monotonic()
        save_spectra(found, where)
        for number, label in enumerate(names):
            piece = Piece("spectrum", label, _address(at[number], [points[number]], chosen))
            stages = Stages(piece, store, _teller(progress, number, len(names), label))
            found = found.with_spectrum(label, _stored(at[number], points[number], chosen, stages))
            save_spectra(_timed(found, start), where)
        if len(names) >= _COURSE:
            _teller(progress, len(names), len(names), "all points")("index against loss")
            found = replace(found, index=_course(at, points, chosen, store))
        found = _timed(found, start)
        save_spectra(found, where)
    return found


# ---------------------------------------------------------------------- one point
def _stored(landscape: Landscape, point: Tensor, options: SpectrumOptions, stages: Stages) -> PointSpectrum:
    piece, store = stages.piece, stages.store
    if store is not None and store.has(piece):
        return PointSpectrum.from_tree(store.load(piece)[0])
    start = time.monotonic()
    made = replace(measure_point(landscape, point, options, stages), seconds=time.monotonic() - start)
    if store is not None:
        store.save(piece, made.to_tree(), made.seconds)
        stages.discard()
    return made


def _course(
    at: Sequence[Landscape], points: Tensor, options: SpectrumOptions, store: Store | None
) -> curvature.IndexAgainstLoss:
    """Index against loss over all points, each with its own normalisation statistics."""
    inputs = _address(at[0], points, options) | {"statistics": [_statistics(each) for each in at]}
    piece = Piece("index", "against loss", inputs)
    if store is not None and store.has(piece):
        return curvature.IndexAgainstLoss(**store.load(piece)[0])
    start = time.monotonic()
    made = curvature.index_against_loss(
        _together(at), points, zero=options.zero, probes=options.probes, steps=options.steps, seed=options.seed
    )
    if store is not None:
        store.save(piece, dict(vars(made)), time.monotonic() - start)
    return made


def _together(at: Sequence[Landscape]) -> Landscape:
    """One landscape in which each point has its own statistics."""
    first = at[0]
    if not isinstance(first, NetworkLandscape) or all(each is first for each in at):
        return first
    own = [each.buffers for each in at if isinstance(each, NetworkLandscape)]
    return first.with_buffers({name: torch.stack([each[name] for each in own]) for name in own[0]})


# ---------------------------------------------------------------------- inside
def _address(landscape: Landscape, points: Sequence[Tensor] | Tensor, options: SpectrumOptions) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "landscape": fingerprint(landscape),
        "dtype": str(landscape.dtype),
        "device": landscape.device.type,
        "points": [tensor_digest(point) for point in points],
        "statistics": _statistics(landscape),
        "options": asdict(options),
    }


def _statistics(landscape: Landscape) -> dict[str, str]:
    buffers = landscape.buffers if isinstance(landscape, NetworkLandscape) else {}
    return {name: tensor_digest(tensor) for name, tensor in buffers.items()}


def _checked(landscape: Landscape, points: Tensor, labels: Sequence[str] | None) -> tuple[str, ...]:
    if points.ndim != 2 or len(points) < 1:
        raise InputError(f"expected at least one point as (n, {landscape.dim}), got shape {tuple(points.shape)}")
    names = tuple(str(i) for i in range(len(points))) if labels is None else tuple(str(label) for label in labels)
    if len(names) != len(points) or len(set(names)) < len(names):
        raise InputError(
            f"expected a different label for each of {len(points)} points, got {list(names)}: name each point once"
        )
    if not bool(points.isfinite().all()):
        wrong = names[int((~points.isfinite().all(1)).nonzero()[0])]
        raise InputError(f"expected finite coordinates, got NaN or infinity in '{wrong}'")
    return names


def _with_statistics(
    landscape: Landscape, points: Tensor, buffers: Sequence[Buffers | None] | None
) -> tuple[list[Landscape], tuple[str, ...]]:
    """The landscape at each point, with the normalisation statistics that belong to its weights."""
    if not isinstance(landscape, NetworkLandscape) or not landscape.keeps_statistics:
        return [landscape] * len(points), ()
    given = list(buffers) if buffers is not None else [None] * len(points)
    own: list[Landscape] = [
        landscape.with_buffers(landscape.refresh(point) if mine is None else mine)
        for point, mine in zip(points, given, strict=True)
    ]
    fresh = sum(mine is None for mine in given)
    how = "those saved with the weights" if not fresh else "recomputed on the data"
    if 0 < fresh < len(points):
        how = f"those saved with the weights, or recomputed on the data where there were none ({fresh} points)"
    return own, (
        f"The network keeps normalisation statistics, which are held while the weights move: {how}. Its curvature with "
        "batch statistics is another.",
    )


def _refuse_divergence(at: Sequence[Landscape], points: Tensor, names: Sequence[str]) -> None:
    for landscape, point, label in zip(at, points, names, strict=True):
        value = float(landscape.to(dtype=torch.float64).value(point.double()))
        if not torch.tensor(value).isfinite():
            network = "the weights are finite, so look for NaN in the data, or for a loss that overflows"
            why = network if landscape.samples is not None else "the function is not defined there"
            raise DivergenceError(f"expected a finite loss at '{label}', got {value}: {why}")


def _details(landscape: Landscape, options: SpectrumOptions, more: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        **(more or {}),
        "options": asdict(options),
        **landscape_details(landscape),
    }


def _teller(progress: Progress | None, done: int, total: int, label: str) -> Callable[[str], None]:
    """Tells the stage of a point to whoever wants to know."""
    if progress is not None:
        progress(done, total, label)

    def tell(stage: str) -> None:
        if progress is not None:
            progress(done, total, f"{label}: {stage}")

    return tell


def _timed(found: Spectra, start: float) -> Spectra:
    return replace(found, details={**found.details, "seconds": time.monotonic() - start})
