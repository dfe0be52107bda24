"""Tables: the numbers of all other pieces, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from lossatlas import analysis
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.files import Tree
from lossatlas.core.path import Path
from lossatlas.core.table import Table
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.results import Gathered
from lossatlas.study.stages.stage import Planning, Stage, of_kind
from lossatlas.study.store import Piece

__all__ = ["Tables"]

_Found = dict[tuple[str, str, str, str], list[tuple[int, int, Path]]]


class Tables(Stage):
    """Makes the tables of losses, paths and replicas."""

    kind = "tables"
    version = 3

    def pieces(self, planning: Planning, earlier: Sequence[Piece]) -> list[Piece]:
        """One for the whole study."""
        needs = (*of_kind(earlier, "ensemble"), *of_kind(earlier, "paths"))
        return [Piece(self.kind, "all", {"version": self.version}, needs)]

    def compute(self, piece: Piece, context: Context, update: Update) -> Tree:
        """Read everything and summarise."""
        ensembles: dict[tuple[str, str], Ensemble] = {}
        straight: _Found = {}
        searched: _Found = {}
        for number, source in enumerate(piece.needs, 1):
            result, _ = context.store.load(source)
            key = (source.inputs["network"], source.inputs["optimizer"])
            if source.kind == "ensemble":
                ensembles[key] = Ensemble.from_tree(result)
            else:
                stage = source.inputs["stage"]
                how = context.config.paths[stage]
                found = straight if how.plain else searched
                found[*key, source.inputs["weight_set"], stage] = [
                    (pair["first"], pair["second"], Path.from_tree(pair["path"])) for pair in result
                ]
            update(number / len(piece.needs), source.label)
        tables = [
            analysis.loss_table(ensembles),
            analysis.barrier_table(straight, title="Straight lines between minima"),
            analysis.barrier_table(searched, name="passes", title="Paths that were searched for"),
            analysis.replica_table(ensembles.items()),
        ]
        return [table.to_tree() for table in tables if table.rows]

    def cost(self, piece: Piece, costs: Costs) -> Cost:
        """Next to nothing."""
        return Cost(0.1, 0, 20_000)

    def read(self, piece: Piece, result: Tree, seconds: float, gathered: Gathered) -> None:
        """Add the tables."""
        gathered.tables.update({tree["name"]: Table.from_tree(tree) for tree in result})
