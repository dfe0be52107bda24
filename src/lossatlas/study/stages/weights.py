"""Weights: sizes, distances and kernel components of the minima of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import torch
from torch import Tensor

from lossatlas import analysis
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.files import Tree
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.results import Gathered, SetComparison, WeightAnalysis
from lossatlas.study.stages.stage import Planning, Stage, of_kind
from lossatlas.study.store import Piece

__all__ = ["Weights"]

_COMPONENTS = 2
_FLOPS = 5e9  # products of two numbers per second, of inner products in float64, about


class Weights(Stage):
    """Compares the weight vectors that the optimizers found."""

    kind = "weights"
    version = 1

    def pieces(self, planning: Planning, earlier: Sequence[Piece]) -> list[Piece]:
        """One per network."""
        how = planning.config.weights
        if how is None:
            return []
        inputs = {"version": self.version, "settings": how.model_dump(mode="json"), "seed": planning.config.seed}
        ensembles = of_kind(earlier, "ensemble")
        return [
            Piece(
                self.kind,
                name,
                {**inputs, "network": name},
                tuple(piece for piece in ensembles if piece.inputs["network"] == name),
            )
            for name in planning.config.networks
            if how.networks is None or name in how.networks
        ]

    def compute(self, piece: Piece, context: Context, update: Update) -> Tree:
        """Statistics of each set, then every two optimizers side by side."""
        how = context.config.weights
        if how is None:
            raise AssertionError(f"'{piece.label}' is listed without settings")
        ensembles = {
            source.inputs["optimizer"]: Ensemble.from_tree(context.store.load(source)[0]) for source in piece.needs
        }
        sets = []
        for optimizer, ensemble in ensembles.items():
            for weight_set in how.weight_sets:
                weights = ensemble.weight_set(weight_set).weights
                found = analysis.weight_statistics(weights, ensemble.spec)
                spread = analysis.set_spread(weights, ensemble.initial) if len(weights) > 1 else None
                sets.append(
                    {
                        "optimizer": optimizer,
                        "weight_set": weight_set,
                        "statistics": found.to_tree(),
                        "spread": spread and spread.to_tree(),
                    }
                )
        comparisons = []
        wanted = list(_comparisons(ensembles, how.weight_sets))
        for number, (first, second, chosen) in enumerate(wanted, 1):
            one, other = (ensembles[name].weight_set(chosen).weights for name in (first, second))
            labels = [first] * len(one) + [second] * len(other)
            comparisons.append(
                {
                    "first": first,
                    "second": second,
                    "weight_set": chosen,
                    "origin": analysis.common_origin(one, other, seed=context.config.seed).to_tree(),
                    "kernels": [_separate(torch.cat([one, other]), labels, kernel) for kernel in how.kernels],
                }
            )
            update(number / len(wanted), f"{first} and {second}, {chosen}")
        return {"sets": sets, "comparisons": comparisons}

    def cost(self, piece: Piece, costs: Costs) -> Cost:
        """Inner products of all pairs of vectors, a few times."""
        network = costs.network(piece.inputs["network"])
        count = network.kept * len(piece.needs)
        products = 8 * count**2 * network.problem.dim
        return Cost(1.0 + products / _FLOPS, 3 * 8 * count * network.problem.dim, 200_000 + 100 * count**2)

    def read(self, piece: Piece, result: Tree, seconds: float, gathered: Gathered) -> None:
        """Add what was found about one network."""
        keys = [(tree["optimizer"], tree["weight_set"]) for tree in result["sets"]]
        statistics = [analysis.WeightStatistics.from_tree(tree["statistics"]) for tree in result["sets"]]
        spreads = {
            key: analysis.SetSpread.from_tree(tree["spread"])
            for key, tree in zip(keys, result["sets"], strict=True)
            if tree["spread"] is not None
        }
        comparisons = tuple(
            SetComparison(
                tree["first"],
                tree["second"],
                tree["weight_set"],
                analysis.CommonOrigin.from_tree(tree["origin"]),
                tuple(
                    (analysis.KernelPCA.from_tree(each["pca"]), analysis.Separation.from_tree(each["separation"]))
                    for each in tree["kernels"]
                ),
            )
            for tree in result["comparisons"]
        )
        found = WeightAnalysis(piece.inputs["network"], dict(zip(keys, statistics, strict=True)), spreads, comparisons)
        gathered.weights.append(found)


def _comparisons(ensembles: dict[str, Ensemble], weight_sets: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Two optimizers and a weight set, wherever both have two minima or more."""
    for weight_set in weight_sets:
        for first, second in combinations(ensembles, 2):
            if min(len(ensembles[first]), len(ensembles[second])) > 1:
                yield first, second, weight_set


def _separate(weights: Tensor, labels: list[str], kernel: str) -> Tree:
    pca = analysis.kernel_pca(weights, kernel, _COMPONENTS)
    return {"pca": pca.to_tree(), "separation": analysis.separation(pca.coordinates, labels).to_tree()}
