"""Atlas: the minima of all optimizers of a network, joined in one barrier tree."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossatlas import analysis
from lossatlas.core.files import Tree
from lossatlas.core.path import Path
from lossatlas.paths.schedule import SpanningTree, distances
from lossatlas.study.config import AtlasConfig
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.results import Atlas, Gathered
from lossatlas.study.stages.finding import GROUP, Finding, finder_text, lowest, minima, paths_cost, read_pairs
from lossatlas.study.stages.stage import Planning, Stage, of_kind
from lossatlas.study.store import Piece

__all__ = ["Atlases"]


class Atlases(Stage):
    """Connects all minima of a network."""

    kind = "atlas"
    version = 2

    def pieces(self, planning: Planning, earlier: Sequence[Piece]) -> list[Piece]:
        """One per network and stage of the configuration."""
        ensembles = of_kind(earlier, "ensemble")
        listed = []
        for name in planning.config.networks:
            own = tuple(piece for piece in ensembles if piece.inputs["network"] == name)
            for stage, how in planning.config.atlas.items():
                if how.networks is None or name in how.networks:
                    inputs = {
                        "version": self.version,
                        "network": name,
                        "stage": stage,
                        "finder": finder_text(how),
                        "settings": how.model_dump(mode="json", exclude={"networks", "method", "options"}),
                        "seed": planning.config.seed,
                    }
                    listed.append(Piece(self.kind, f"{stage} {name}", inputs, own))
        return listed

    def compute(self, piece: Piece, context: Context, update: Update) -> Tree:
        """Find the paths that matter for the tree first, then the tree."""
        how = context.config.atlas[piece.inputs["stage"]]
        members: list[tuple[str, int]] = []
        rows: list[Tensor] = []
        for source in piece.needs:
            chosen = lowest(source, context, how.minima)
            members += [(source.inputs["optimizer"], i) for i in chosen]
            rows.append(minima(source, context, how.weight_set)[chosen])
        points = torch.cat(rows)
        count = len(points)
        budget = _paths(how, count)
        schedule = SpanningTree(budget=max(1, budget), batch=GROUP)
        apart = distances(points.double())
        heights = torch.full((count, count), torch.nan, dtype=torch.float64)
        energies = torch.full((count,), torch.nan, dtype=torch.float64)
        finding = Finding(piece, context, points, how)
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
        alone = energies.isnan()  # a single minimum has no path to be on
        if alone.any():
            exact = context.problems[piece.inputs["network"]].landscape(how.landscape).to(dtype=torch.float64)
            energies[alone] = exact.value(points[alone].to(exact.device, torch.float64)).cpu()
        labels = [f"{optimizer} {number}" for optimizer, number in members]
        tree = analysis.barrier_tree(energies, heights, labels=labels, groups=[optimizer for optimizer, _ in members])
        return {"members": members, "pairs": found, "tree": tree.to_tree()}

    def cost(self, piece: Piece, costs: Costs) -> Cost:
        """Gradients and values the finder is expected to use."""
        how, network = costs.config.atlas[piece.inputs["stage"]], costs.network(piece.inputs["network"])
        each = min(how.minima or network.kept, network.kept)
        return paths_cost(_paths(how, each * len(piece.needs)), how, network)

    def read(self, piece: Piece, result: Tree, seconds: float, gathered: Gathered) -> None:
        """Add an atlas."""
        gathered.atlases.append(
            Atlas(
                stage=piece.inputs["stage"],
                network=piece.inputs["network"],
                weight_set=piece.inputs["settings"]["weight_set"],
                members=tuple((optimizer, number) for optimizer, number in result["members"]),
                pairs=read_pairs(result["pairs"], {**piece.inputs, **piece.inputs["settings"]}),
                tree=analysis.BarrierTree.from_tree(result["tree"]),
                seconds=seconds,
            )
        )


def _paths(how: AtlasConfig, count: int) -> int:
    """Number of paths between so many minima: enough to connect them, at most one per pair."""
    most = count * (count - 1) // 2
    return most if how.paths is None else min(max(how.paths, count - 1), most)
