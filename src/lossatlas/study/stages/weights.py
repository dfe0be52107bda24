"""Weights: sizes, distances and kernel components of the minima of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import torch
from torch import Tensor

from lossatlas import analysis, optimize
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.files import Tree
from lossatlas.study.config import WeightsConfig
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.results import Gathered, SetComparison, WeightAnalysis
from lossatlas.study.stages.stage import Planning, Stage, of_kind
from lossatlas.study.store import Piece

__all__ = ["Weights"]

_Set = tuple[str, str]
"""Optimizer and weight set."""

_COMPONENTS = 2
_FLOPS = 5e9  # products of two numbers per second, of inner products in float64, about


class Weights(Stage):
    """Compares the weight vectors that the optimizers found."""

    kind = "weights"
    version = 3

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
        for number, (first, second) in enumerate(wanted, 1):
            comparisons.append(_compare(ensembles, (first, second), how, context.config.seed))
            update(number / len(wanted), f"{' '.join(first)}, {' '.join(second)}")
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
                tree["first_set"],
                tree["second_set"],
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


def _comparisons(ensembles: dict[str, Ensemble], weight_sets: Sequence[str]) -> Iterator[tuple[_Set, _Set]]:
    """Every two optimizers: the same weight set of both, then the sets of the paper's Figs. 5 and 6.

    Those are what a full-batch optimizer ended with and what early stopping takes from a mini-batch one.
    """
    for first, second in combinations(ensembles, 2):
        if min(len(ensembles[first]), len(ensembles[second])) < 2:
            continue
        for weight_set in weight_sets:
            yield (first, weight_set), (second, weight_set)
        stochastic = [optimize.get(name).stochastic for name in (first, second)]
        if stochastic[0] != stochastic[1] and {"train", "test"} <= set(weight_sets):
            yield (first, "test" if stochastic[0] else "train"), (second, "test" if stochastic[1] else "train")


def _compare(ensembles: dict[str, Ensemble], sets: tuple[_Set, _Set], how: WeightsConfig, seed: int) -> Tree:
    (first, first_set), (second, second_set) = sets
    one, other = ensembles[first].weight_set(first_set).weights, ensembles[second].weight_set(second_set).weights
    # Replica i of both optimizers starts from the same weights: those two are not independent.
    begun, other_begun = ensembles[first].initial, ensembles[second].initial
    pairs = analysis.matching_rows(begun, other_begun) if begun is not None and other_begun is not None else ()
    labels = [f"{first} {first_set}"] * len(one) + [f"{second} {second_set}"] * len(other)
    return {
        "first": first,
        "second": second,
        "first_set": first_set,
        "second_set": second_set,
        "origin": analysis.common_origin(one, other, pairs=pairs, seed=seed).to_tree(),
        "kernels": [_separate(torch.cat([one, other]), labels, kernel) for kernel in how.kernels],
    }


def _separate(weights: Tensor, labels: list[str], kernel: str) -> Tree:
    pca = analysis.kernel_pca(weights, kernel, _COMPONENTS)
    return {"pca": pca.to_tree(), "separation": analysis.separation(pca.coordinates, labels).to_tree()}
