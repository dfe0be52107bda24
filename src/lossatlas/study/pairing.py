"""Pairing: everything about a batch of pairs, computed or read from the store."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lossatlas import symmetry
from lossatlas.core.files import Tree, digest, tensor_digest
from lossatlas.core.path import Path
from lossatlas.core.randomness import generator
from lossatlas.landscape import NetworkLandscape
from lossatlas.landscape.contract import AffineRows, Landscape
from lossatlas.paths import LinearPathFinder, PathFinder
from lossatlas.paths.averaging import Averaging, averaging
from lossatlas.paths.refreshed import Buffers
from lossatlas.study.connection import AlignmentSummary, PathName, Route
from lossatlas.study.store import Piece, Store

__all__ = ["Pairing", "fingerprint"]

# Raised when a change of the code changes results, so that old ones are not taken for new.
_VERSION = 5

# Where the straight line of a pair is looked at to tell landscapes apart: two that agree elsewhere differ between them.
_LOOKS = 16

Pair = tuple[int, int]


def fingerprint(landscape: Landscape) -> str:
    """Tell landscapes apart by their values at a few fixed points, for functions have no address of their own.

    Values are in float64, rounded to 9 digits: the last bits depend on how rows are evaluated.

    Example:
        >>> from lossatlas.landscape import get
        >>> fingerprint(get("paper-toy")) == fingerprint(get("paper-toy")) != fingerprint(get("muller-brown"))
        True
    """
    exact = landscape.to(dtype=torch.float64)
    stream = generator("fingerprint", landscape.dim)
    rows = torch.randn(4, landscape.dim, generator=stream, dtype=torch.float64) / math.sqrt(landscape.dim)
    values = exact.value(rows.to(exact.device)).tolist()
    return digest({"dim": landscape.dim, "samples": landscape.samples, "values": [f"{v:.9g}" for v in values]})


class Pairing:
    """Computes what a :class:`Route` holds for pairs of points.

    Args:
        landscape: along the paths.
        points: ``(n, d)``.
        energies: their losses; part of every address.
        finder: of the curved paths.
        networks: the landscape with normalisation statistics of its own, for alignments and averages.
        structure: which hidden units may be reordered; None: none are.
        buffers: normalisation statistics per point.
        seed: of alignments.
        store: where results are kept; None: nowhere.
    """

    def __init__(
        self,
        landscape: Landscape,
        points: Tensor,
        energies: Sequence[float],
        finder: PathFinder,
        *,
        networks: Landscape,
        structure: symmetry.PermutationStructure | None,
        buffers: Sequence[Buffers | None] | None,
        seed: int,
        store: Store | None,
    ) -> None:
        self._landscape = landscape
        self._networks = networks
        self._points = points
        self._energies = [f"{energy:.6g}" for energy in energies]
        self._finder = finder
        self._straight = LinearPathFinder(tolerance=finder.tolerance, saddle=False)
        self._structure = structure
        self._buffers = tuple(buffers) if buffers is not None else (None,) * len(points)
        self._seed = seed
        self._store = store
        self._base = {
            "version": _VERSION,
            "landscape": fingerprint(landscape),
            "dtype": str(landscape.dtype),
            "device": landscape.device.type,
        }

    def connect(self, pairs: Sequence[Pair]) -> list[Route]:
        """Everything about these pairs, searched together."""
        sets: list[dict[PathName, Path]] = [{} for _ in pairs]
        self._search(pairs, sets, ("straight", "found"), [self._points[j] for _, j in pairs])
        alignments = [self._aligned(i, j) for i, j in pairs]
        if self._structure is not None:
            moved = [alignment.weights for alignment in alignments if alignment is not None]
            self._search(pairs, sets, ("straight aligned", "found aligned"), moved)
        return [
            Route(
                i,
                j,
                paths,
                self._average(i, j, alignment),
                None if alignment is None else _summary(alignment),
            )
            for (i, j), paths, alignment in zip(pairs, sets, alignments, strict=True)
        ]

    def _search(
        self,
        pairs: Sequence[Pair],
        sets: Sequence[dict[PathName, Path]],
        names: tuple[PathName, PathName],
        ends: Sequence[Tensor],
    ) -> None:
        """Add the straight line and the path of the finder to the set of each pair."""
        for name, finder in zip(names, (self._straight, self._finder), strict=True):
            if finder is self._finder and isinstance(finder, LinearPathFinder):
                continue
            for paths, path in zip(sets, self._paths(finder, pairs, ends), strict=True):
                paths[name] = path

    def _paths(self, finder: PathFinder, pairs: Sequence[Pair], ends: Sequence[Tensor]) -> list[Path]:
        """One path per pair: read where stored, the others searched together."""
        starts = [self._points[i] for i, _ in pairs]
        between = self._between(starts, ends)
        pieces = [
            self._piece(
                "path",
                finder.name,
                pair,
                start=tensor_digest(a),
                end=tensor_digest(b),
                between=looks,
                finder=repr(finder),
            )
            for pair, a, b, looks in zip(pairs, starts, ends, between, strict=True)
        ]
        found: dict[int, Path] = {}
        todo = []
        for k, piece in enumerate(pieces):
            stored = self._stored(piece)
            if stored is None:
                todo.append(k)
            else:
                found[k] = Path.from_tree(stored)
        if todo:
            start = time.monotonic()
            made = finder.find_many(
                self._landscape,
                torch.stack([starts[k] for k in todo]),
                torch.stack([ends[k] for k in todo]),
                numbers=[_number(starts[k], ends[k]) for k in todo],
            )
            seconds = (time.monotonic() - start) / len(todo)
            for k, path in zip(todo, made, strict=True):
                found[k] = path
                self._keep(pieces[k], path.to_tree(), seconds)
        return [found[k] for k in range(len(pieces))]

    def _aligned(self, i: int, j: int) -> symmetry.Alignment | None:
        structure, landscape = self._structure, self._networks
        if structure is None or not isinstance(landscape, NetworkLandscape):
            return None
        a, b, own = self._points[i], self._points[j], self._buffers[j]

        def make() -> Tree:
            return symmetry.align(landscape, a, b, structure=structure, buffers=own, seed=self._seed).to_tree()

        piece = self._piece(
            "alignment",
            "weights",
            (i, j),
            start=tensor_digest(a),
            end=tensor_digest(b),
            seed=self._seed,
            groups=repr(structure.groups),
        )
        return symmetry.Alignment.from_tree(self._cached(piece, make))

    def _average(self, i: int, j: int, alignment: symmetry.Alignment | None) -> Averaging | None:
        if not isinstance(self._networks, NetworkLandscape):
            return None
        a, b = self._points[i], self._points[j]
        first, second = self._buffers[i], self._buffers[j]
        own = None if first is None or second is None else (first, second)
        aligned = None if alignment is None else alignment.weights

        def make() -> Tree:
            return averaging(
                self._networks,
                a,
                b,
                aligned=aligned,
                buffers=own,
                aligned_buffers=None if own is None or alignment is None else alignment.buffers,
            ).to_tree()

        inputs = {
            "start": tensor_digest(a),
            "end": tensor_digest(b),
            "aligned": None if aligned is None else tensor_digest(aligned),
        }
        statistics = [] if own is None else [{name: tensor_digest(x) for name, x in part.items()} for part in own]
        return Averaging.from_tree(
            self._cached(self._piece("averaging", "networks", (i, j), **inputs, buffers=statistics), make)
        )

    # ------------------------------------------------------------------ store
    def _between(self, starts: Sequence[Tensor], ends: Sequence[Tensor]) -> list[list[str]]:
        """Losses on the straight line of each pair, rounded, for its address; none where they are not needed."""
        if self._store is None or self._landscape.samples is not None:  # networks differ at any point
            return [[] for _ in starts]
        t = (torch.arange(_LOOKS, dtype=torch.float64, device=self._landscape.device) + 0.5) / _LOOKS
        exact = self._landscape.to(dtype=torch.float64)
        weights = torch.stack([1 - t, t], dim=1)
        values = []
        for a, b in zip(starts, ends, strict=True):
            pair = torch.stack([a, b]).double()
            values.append(exact.value(AffineRows(torch.zeros_like(pair[0]), weights, pair)).tolist())
        return [[f"{value:.6g}" for value in row] for row in values]

    def _piece(self, kind: str, label: str, pair: Pair, **inputs: Any) -> Piece:
        # Names and numbers of points are no part of it: what was found is found again in another order.
        return Piece(kind, label, {**self._base, "energies": [self._energies[k] for k in pair], **inputs})

    def _stored(self, piece: Piece) -> Any:
        if self._store is None or not self._store.has(piece):
            return None
        return self._store.load(piece)[0]

    def _keep(self, piece: Piece, result: Tree, seconds: float) -> None:
        if self._store is not None:
            self._store.save(piece, result, seconds)

    def _cached(self, piece: Piece, make: Callable[[], Tree]) -> Any:
        stored = self._stored(piece)
        if stored is not None:
            return stored
        start = time.monotonic()
        result = make()
        self._keep(piece, result, time.monotonic() - start)
        return result


def _number(start: Tensor, end: Tensor) -> int:
    """What a pair is called in seeds: its ends alone, so that grouping, order and storing leave its path as it is."""
    return int(digest([tensor_digest(start), tensor_digest(end)])[:8], 16)


def _summary(alignment: symmetry.Alignment) -> AlignmentSummary:
    return AlignmentSummary(
        alignment.distance_before, alignment.distance_after, alignment.function_difference, alignment.message
    )
