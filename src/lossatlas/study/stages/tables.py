"""Tables: the numbers of all other pieces, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lossatlas import analysis
from lossatlas.analysis.claims import claims_table
from lossatlas.core.files import Tree
from lossatlas.core.path import Path
from lossatlas.core.table import Table
from lossatlas.study.config import StudyConfig
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.results import Gathered, Holdout, Map, SetComparison, WeightAnalysis
from lossatlas.study.stages.stage import Planning, Stage, of_kind
from lossatlas.study.store import Piece

__all__ = ["Tables"]

_NEEDS = ("ensemble", "paths", "weights", "holdout", "map", "curvature", "claims")
_Found = dict[tuple[str, str, str, str], list[tuple[int, int, Path]]]


class Tables(Stage):
    """Makes the tables of losses, paths, weights, early stopping and replicas, and the comparison with the paper."""

    kind = "tables"
    version = 7

    def pieces(self, planning: Planning, earlier: Sequence[Piece]) -> list[Piece]:
        """One for the whole study."""
        needs = tuple(piece for kind in _NEEDS for piece in of_kind(earlier, kind))
        return [Piece(self.kind, "all", {"version": self.version}, needs)]

    def compute(self, piece: Piece, context: Context, update: Update) -> Tree:
        """Read everything and summarise."""
        found = context.gather(piece.needs)
        ensembles = {(each.network, each.optimizer): each.ensemble for each in found.experiments}
        straight, searched = _by_stage(found, straight=True), _by_stage(found, straight=False)
        tables = [
            analysis.loss_table(ensembles),
            analysis.barrier_table(straight, title="Straight lines between minima"),
            analysis.barrier_table(searched, name="passes", title="Other paths"),
            *_weight_tables(found.weights),
            analysis.sharpness_table(_sharpness(found)),
            claims_table(found.claims),
            analysis.side_by_side_table(
                ensembles, _statistics(found.weights), _map_heights(found.maps, context.config)
            ),
            analysis.early_stopping_table(
                {_holdout_key(each): (each.fraction, each.curves) for each in found.holdouts}
            ),
            analysis.replica_table(ensembles.items()),
        ]
        return [table.to_tree() for table in tables if table.rows]

    def cost(self, piece: Piece, costs: Costs) -> Cost:
        """Next to nothing."""
        return Cost(0.1, 0, 20_000)

    def read(self, piece: Piece, result: Tree, seconds: float, gathered: Gathered) -> None:
        """Add the tables."""
        gathered.tables.update({tree["name"]: Table.from_tree(tree) for tree in result})


def _by_stage(found: Gathered, *, straight: bool) -> _Found:
    """Paths by network, optimizer, weight set and stage: straight lines between the minima as they are, or the rest."""
    chosen: _Found = {}
    for key, pairs in found.pairs.items():
        for pair in pairs:
            if pair.plain == straight:
                chosen.setdefault((*key, pair.stage), []).append((pair.first, pair.second, pair.path))
    return chosen


def _statistics(found: Sequence[WeightAnalysis]) -> dict[tuple[str, str, str], analysis.WeightStatistics]:
    return {(each.network, *key): some for each in found for key, some in each.statistics.items()}


def _holdout_key(found: Holdout) -> tuple[str, str, str]:
    return found.stage, found.network, found.optimizer


def _map_heights(found: Sequence[Map], config: StudyConfig) -> dict[tuple[str, str], list[float]]:
    """Heights of straight lines and of paths found as published, by landscape and the penalty of the search."""
    heights: dict[tuple[str, str], list[float]] = {}
    for each in found:
        for name, path in each.paths.items():
            penalty = config.maps[each.stage].finders[name].options.get("penalty")
            way = {"linear": "straight", "fourier-published": f"λ = {penalty:g}" if penalty else ""}.get(path.method)
            if way:
                heights.setdefault((each.landscape, way), each.heights[name].tolist())
    return heights


def _weight_tables(found: Sequence[WeightAnalysis]) -> list[Table]:
    statistics = _statistics(found)
    compared = [(each.network, pair) for each in found for pair in each.comparisons]
    origins = {_sides(*each): each[1].origin for each in compared}
    components = {_sides(*each): each[1].components for each in compared}
    return [
        analysis.weight_table(statistics),
        analysis.tensor_table(statistics),
        analysis.distance_table(origins),
        analysis.separation_table(components),
    ]


def _sharpness(found: Gathered) -> dict[tuple[str, str, str, str], tuple[Tensor, Tensor, Tensor]]:
    """Top eigenvalues, traces and whether they converged, by network, optimizer, weight set and scaling."""
    return {
        (each.network, each.optimizer, each.weight_set, scaling): (own.top, own.trace, own.converged)
        for each in found.curvatures
        for scaling, own in each.sharpness.items()
    }


def _sides(network: str, pair: SetComparison) -> tuple[str, str, str]:
    return network, f"{pair.first} {pair.first_set}", f"{pair.second} {pair.second_set}"
