"""Holdout: early stopping on examples held out of the training data, against early stopping on the test data."""

from __future__ import annotations

from collections.abc import Sequence

from lossatlas.core.ensemble import Curves
from lossatlas.core.files import Tree
from lossatlas.study.config import HoldoutConfig
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.made import make_problem
from lossatlas.study.results import Gathered, Holdout
from lossatlas.study.stages.ensembles import continue_shorter, train, training_cost, training_inputs
from lossatlas.study.stages.stage import Planning, Stage
from lossatlas.study.store import Piece, Store

__all__ = ["Holdouts"]


class Holdouts(Stage):
    """Trains again on a part of the training data and keeps the curves."""

    kind = "holdout"
    version = 1

    def pieces(self, planning: Planning, earlier: Sequence[Piece]) -> list[Piece]:
        """One per stage of the configuration, network and optimizer."""
        return [
            Piece(
                self.kind,
                f"{stage} {name} {method}",
                {
                    **training_inputs(planning, (name, network), (method, settings), self.version),
                    "stage": stage,
                    "fraction": how.fraction,
                    "replicas": _replicas(how, network.replicas),
                    "keep": None,
                    "select": "validation",
                },
            )
            for stage, how in planning.config.holdout.items()
            for name, network in planning.config.networks.items()
            if how.networks is None or name in how.networks
            for method, settings in network.optimizers.items()
        ]

    def begin(self, piece: Piece, store: Store) -> None:
        """Go on from a shorter run."""
        continue_shorter(piece, store)

    def compute(self, piece: Piece, context: Context, update: Update) -> Tree:
        """Train on what is not held out, from the checkpoint where there is one."""
        name = piece.inputs["network"]
        whole = context.problems[name]
        problem = make_problem(context.config, name, str(whole.device), validation=piece.inputs["fraction"])
        ensemble = train(problem.with_numerics(whole.train.numerics), piece, context, update)
        return ensemble.to_tree()["curves"]

    def cost(self, piece: Piece, costs: Costs) -> Cost:
        """As much as training that many replicas."""
        found = training_cost(costs, piece.inputs["network"], piece.inputs["optimizer"], piece.inputs["replicas"])
        return Cost(found.seconds, found.memory, found.disk)

    def read(self, piece: Piece, result: Tree, seconds: float, gathered: Gathered) -> None:
        """Add the curves."""
        gathered.holdouts.append(
            Holdout(
                piece.inputs["stage"],
                piece.inputs["network"],
                piece.inputs["optimizer"],
                piece.inputs["fraction"],
                Curves(**result),
                seconds,
            )
        )


def _replicas(how: HoldoutConfig, replicas: int) -> int:
    return min(how.replicas or replicas, replicas)
