"""Paths between the minima of a study, a few pairs at a time, each group kept as soon as it is found."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from lossatlas import analysis, paths
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.files import Tree, load_tree, save_tree
from lossatlas.core.path import Path
from lossatlas.paths.schedule import SpanningTree, distances, random_pairs
from lossatlas.study.config import AtlasConfig, PathConfig
from lossatlas.study.context import Context, Update
from lossatlas.study.store import Piece

__all__ = ["compute_atlas", "compute_paths"]

# Pairs relaxed together. Fixed, since the grouping can change the last bits of a result.
_GROUP = 8


class _Finding:
    """Finds paths between rows of points and remembers them, in memory and in the piece's checkpoint.

    Args:
        piece: what is computed; its network names the landscape.
        context: of the study.
        points: ``(n, d)``, the minima.
        how: the finder.
    """

    def __init__(self, piece: Piece, context: Context, points: Tensor, how: PathConfig | AtlasConfig) -> None:
        self._landscape = context.problems[piece.inputs["network"]].train
        self._points = points.to(self._landscape.device, self._landscape.dtype)
        self._finder = paths.finders[how.method](**{"seed": context.config.seed, **how.options})
        self._file = context.store.checkpoint(piece)
        self._address = piece.address
        self._every = context.checkpoint_seconds
        self._saved = time.monotonic()
        self.found: list[Tree] = self._load()

    def _load(self) -> list[Tree]:
        if not self._file.exists():
            return []
        tree = load_tree(self._file)
        return list(tree["found"]) if tree.get("address") == self._address else []

    def connect(self, pairs: list[tuple[int, int]]) -> list[Tree]:
        """Find the paths of some pairs, or take them from the checkpoint."""
        known = {(pair["first"], pair["second"]): pair for pair in self.found}
        missing = [pair for pair in pairs if pair not in known]
        if missing:
            first, second = (torch.tensor(side) for side in zip(*missing, strict=True))
            # A pair is named by its minima, so it is the same path in whatever order pairs come.
            numbers = [i * len(self._points) + j for i, j in missing]
            found = self._finder.find_many(self._landscape, self._points[first], self._points[second], numbers=numbers)
            for (i, j), path in zip(missing, found, strict=True):
                known[i, j] = {"first": i, "second": j, "path": path.to_tree(curve=False)}
                self.found.append(known[i, j])
            if time.monotonic() - self._saved >= self._every:
                save_tree(self._file, {"address": self._address, "found": self.found})
                self._saved = time.monotonic()
        return [known[pair] for pair in pairs]


def _groups(pairs: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(pairs), _GROUP):
        yield pairs[start : start + _GROUP]


def compute_paths(piece: Piece, context: Context, update: Update) -> Tree:
    """Find paths between random pairs of one weight set."""
    how = context.config.paths[piece.inputs["stage"]]
    (source,) = piece.needs
    points = _minima(source, context, piece.inputs["weight_set"])
    # Named by network, optimizer and set, not by stage: several ways to find paths are compared on the same pairs.
    label = f"{source.label} {piece.inputs['weight_set']}"
    pairs = random_pairs(len(points), how.pairs, context.config.seed, label)
    finding = _Finding(piece, context, points, how)
    found: list[Tree] = []
    for group in _groups(pairs):
        found += finding.connect(group)
        update(len(found) / len(pairs), f"pair {len(found)}/{len(pairs)}")
    return found


def compute_atlas(piece: Piece, context: Context, update: Update) -> Tree:
    """Connect the minima of all optimizers of a network, and join them in a barrier tree."""
    how = context.config.atlas[piece.inputs["stage"]]
    members: list[tuple[str, int]] = []
    rows: list[Tensor] = []
    for source in piece.needs:
        points = _minima(source, context, how.weight_set)[: how.minima]
        members += [(source.inputs["optimizer"], i) for i in range(len(points))]
        rows.append(points)
    points = torch.cat(rows)
    count = len(points)
    most = count * (count - 1) // 2
    budget = most if how.paths is None else min(max(how.paths, count - 1), most)
    schedule = SpanningTree(budget=budget, batch=_GROUP)
    apart = distances(points.double())
    heights = torch.full((count, count), torch.nan, dtype=torch.float64)
    energies = torch.full((count,), torch.nan, dtype=torch.float64)
    finding = _Finding(piece, context, points, how)
    found: list[Tree] = []
    while pairs := schedule.next(apart, heights):
        for tree in finding.connect(pairs):
            path, first, second = Path.from_tree(tree["path"]), tree["first"], tree["second"]
            energies[first], energies[second] = path.loss[0], path.loss[-1]
            # A path on which the loss is not finite connects nothing.
            height = path.height if path.status != "not finite" else torch.inf
            heights[first, second] = heights[second, first] = height
            found.append(tree)
        update(len(found) / budget, f"path {len(found)}/{budget}")
    labels = [f"{optimizer} {number}" for optimizer, number in members]
    tree = analysis.barrier_tree(energies, heights, labels=labels, groups=[optimizer for optimizer, _ in members])
    return {"members": members, "pairs": found, "tree": tree.to_tree()}


def _minima(source: Piece, context: Context, weight_set: str) -> Tensor:
    ensemble = Ensemble.from_tree(context.store.load(source)[0])
    return ensemble.weight_set(weight_set).weights
