"""Claims: sentences about optimizers and landscapes, tested on everything that the study has measured."""

from __future__ import annotations

from collections.abc import Sequence

from lossatlas.analysis.claims import Claim, evaluate_claims
from lossatlas.core.files import Tree
from lossatlas.study.claim_inputs import claim_inputs
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.results import Gathered
from lossatlas.study.stages.stage import Planning, Stage, of_kind
from lossatlas.study.store import Piece

__all__ = ["Claims"]

_NEEDS = ("ensemble", "paths", "weights", "curvature", "holdout", "map")


class Claims(Stage):
    """Tests the claims of the paper."""

    kind = "claims"
    version = 3

    def pieces(self, planning: Planning, earlier: Sequence[Piece]) -> list[Piece]:
        """One for the whole study."""
        needs = tuple(piece for kind in _NEEDS for piece in of_kind(earlier, kind))
        return [Piece(self.kind, "all", {"version": self.version}, needs)]

    def compute(self, piece: Piece, context: Context, update: Update) -> Tree:
        """Collect the numbers and test."""
        inputs = claim_inputs(context.config, context.gather(piece.needs))
        return [claim.to_tree() for claim in evaluate_claims(inputs)]

    def cost(self, piece: Piece, costs: Costs) -> Cost:
        """Little: numbers that are there already."""
        return Cost(1.0, 2**20, 200_000)

    def read(self, piece: Piece, result: Tree, seconds: float, gathered: Gathered) -> None:
        """Add the claims."""
        gathered.claims += [Claim.from_tree(tree) for tree in result]
