"""Paths: between random pairs of minima of one optimizer and weight set."""

from __future__ import annotations

from collections.abc import Sequence

from lossatlas.core.files import Tree
from lossatlas.paths.schedule import random_pairs
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.results import Gathered
from lossatlas.study.stages.finding import Finding, finder_text, groups, minima, paths_cost, read_pairs
from lossatlas.study.stages.stage import Planning, Stage, of_kind
from lossatlas.study.store import Piece

__all__ = ["Paths"]


class Paths(Stage):
    """Finds paths."""

    kind = "paths"
    version = 4

    def pieces(self, planning: Planning, earlier: Sequence[Piece]) -> list[Piece]:
        """One per ensemble, stage of the configuration and weight set."""
        ensembles = of_kind(earlier, "ensemble")
        return [
            self._piece(planning, stage, ensemble, weight_set)
            for stage, how in planning.config.paths.items()
            for ensemble in ensembles
            if how.networks is None or ensemble.inputs["network"] in how.networks
            for weight_set in how.weight_sets
        ]

    def _piece(self, planning: Planning, stage: str, ensemble: Piece, weight_set: str) -> Piece:
        how = planning.config.paths[stage]
        inputs = {
            "version": self.version,
            "network": ensemble.inputs["network"],
            "optimizer": ensemble.inputs["optimizer"],
            "weight_set": weight_set,
            "stage": stage,
            "finder": finder_text(how),
            "pairs": how.pairs,
            "landscape": how.landscape,
            "align": how.align,
            "seed": planning.config.seed,
        }
        return Piece(self.kind, f"{stage} {ensemble.label} {weight_set}", inputs, (ensemble,))

    def compute(self, piece: Piece, context: Context, update: Update) -> Tree:
        """Find the paths, group by group."""
        how = context.config.paths[piece.inputs["stage"]]
        (source,) = piece.needs
        points = minima(source, context, piece.inputs["weight_set"])
        # Named by network, optimizer and set, not by stage: several ways to find paths are compared on the same pairs.
        label = f"{source.label} {piece.inputs['weight_set']}"
        pairs = random_pairs(len(points), how.pairs, context.config.seed, label)
        finding = Finding(piece, context, points, how)
        found: list[Tree] = []
        for group in groups(pairs):
            found += finding.connect(group)
            update(len(found) / len(pairs), f"pair {len(found)}/{len(pairs)}")
        return found

    def cost(self, piece: Piece, costs: Costs) -> Cost:
        """Gradients and values the finder is expected to use."""
        how, network = costs.config.paths[piece.inputs["stage"]], costs.network(piece.inputs["network"])
        most = network.kept * (network.kept - 1) // 2
        return paths_cost(min(how.pairs or most, most), how, network)

    def read(self, piece: Piece, result: Tree, seconds: float, gathered: Gathered) -> None:
        """Add pairs to their experiment."""
        key = (piece.inputs["network"], piece.inputs["optimizer"], piece.inputs["weight_set"])
        gathered.pairs.setdefault(key, []).extend(read_pairs(result, piece.inputs))
