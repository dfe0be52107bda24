"""Finding: paths between rows of points, a few pairs at a time, each group kept as soon as it is found."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from lossatlas import paths
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.files import Tree, load_tree, save_tree
from lossatlas.core.path import Path
from lossatlas.study.config import AtlasConfig, FinderConfig, PathConfig
from lossatlas.study.context import Context
from lossatlas.study.costs import Cost, NetworkCosts
from lossatlas.study.results import Pair
from lossatlas.study.store import Piece
from lossatlas.symmetry import WeightMatching, permutation_structure

__all__ = ["GROUP", "Finding", "finder_text", "groups", "lowest", "minima", "paths_cost", "read_pairs"]

# Pairs relaxed together. Fixed, since the grouping can change the last bits of a result.
GROUP = 8
_ROWS = 4  # tensors of the size of all rows that a finder holds at once


class Finding:
    """Finds paths between rows of points and remembers them, in memory and in the piece's checkpoint.

    Args:
        piece: what is computed; its network names the problem.
        context: of the study.
        points: ``(n, d)``, the minima.
        how: the finder, the landscape, and whether second ends are aligned with first ones.
    """

    def __init__(self, piece: Piece, context: Context, points: Tensor, how: PathConfig | AtlasConfig) -> None:
        problem = context.problems[piece.inputs["network"]]
        self._landscape = problem.landscape(how.landscape)
        self._points = points.to(self._landscape.device, self._landscape.dtype)
        self._align = isinstance(how, PathConfig) and how.align
        self._structure = permutation_structure(problem.train) if self._align else None
        self._finder = paths.finders[how.method](**{"seed": context.config.seed, **how.options})
        self._file = context.store.checkpoint(piece)
        self._address = piece.address
        self._every = context.checkpoint_seconds
        self._begun = self._saved = time.monotonic()
        self._spent = 0.0  # by the processes before this one
        self.found: list[Tree] = self._load()

    def _load(self) -> list[Tree]:
        if not self._file.exists():
            return []
        tree = load_tree(self._file)
        if tree.get("address") != self._address:
            return []
        self._spent = tree.get("seconds", 0.0)
        return list(tree["found"])

    def _ends(self, missing: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        first, second = (torch.tensor(side) for side in zip(*missing, strict=True))
        starts, ends = self._points[first], self._points[second]
        if self._structure is None:
            return starts, ends
        matching = WeightMatching()
        # On the CPU: assignments are solved there.
        moved = [
            self._structure.apply(end, matching.match(self._structure, start, end))
            for start, end in zip(starts.cpu(), ends.cpu(), strict=True)
        ]
        return starts, torch.stack(moved).to(starts.device)

    def connect(self, pairs: list[tuple[int, int]]) -> list[Tree]:
        """Find the paths of some pairs, or take them from the checkpoint."""
        known = {(pair["first"], pair["second"]): pair for pair in self.found}
        missing = [pair for pair in pairs if pair not in known]
        if missing:
            starts, ends = self._ends(missing)
            # A pair is named by its minima, so it is the same path in whatever order pairs come.
            numbers = [i * len(self._points) + j for i, j in missing]
            found = self._finder.find_many(self._landscape, starts, ends, numbers=numbers)
            for (i, j), path in zip(missing, found, strict=True):
                known[i, j] = {"first": i, "second": j, "path": path.to_tree(curve=False)}
                self.found.append(known[i, j])
            if time.monotonic() - self._saved >= self._every:
                seconds = self._spent + time.monotonic() - self._begun
                save_tree(self._file, {"address": self._address, "seconds": seconds, "found": self.found})
                self._saved = time.monotonic()
        return [known[pair] for pair in pairs]


def groups(pairs: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Pairs to be relaxed together."""
    for start in range(0, len(pairs), GROUP):
        yield pairs[start : start + GROUP]


def minima(source: Piece, context: Context, weight_set: str) -> Tensor:
    """Weights of one set of an ensemble, ``(n, d)``."""
    return Ensemble.from_tree(context.store.load(source)[0]).weight_set(weight_set).weights


def lowest(source: Piece, context: Context, count: int | None) -> list[int]:
    """Positions of the members of an ensemble with the lowest training loss, at most so many."""
    losses = Ensemble.from_tree(context.store.load(source)[0]).train.scores["train_loss"]
    return losses.argsort(stable=True)[:count].sort().values.tolist()


def finder_text(how: FinderConfig) -> str:
    """The finder with the constants in force, so that a changed default is not mistaken for the old one."""
    finder = paths.finders[how.method](**how.options)
    return f"{finder.label}({finder.constants})"


def read_pairs(trees: Sequence[Tree], how: dict[str, Any]) -> tuple[Pair, ...]:
    """Stored paths as records; ``how`` are the inputs of their piece."""
    return tuple(
        Pair(
            tree["first"],
            tree["second"],
            Path.from_tree(tree["path"]),
            how["stage"],
            how.get("landscape", "train"),
            how.get("align", False),
        )
        for tree in trees
    )


def paths_cost(pairs: int, how: PathConfig | AtlasConfig, network: NetworkCosts) -> Cost:
    """What some paths need."""
    landscape = network.problem.landscape(how.landscape)
    finder = paths.finders[how.method](**how.options)
    values, gradients = finder.expected_evaluations(landscape)
    seconds = pairs * network.share(how.landscape) * (values * network.exact_value() + gradients * network.gradient())
    rows = network.bytes(_ROWS * finder.rows_at_once)
    return Cost(seconds, 2 * network.working + 2 * network.data + rows, pairs * finder.points * 40 + 4000)
