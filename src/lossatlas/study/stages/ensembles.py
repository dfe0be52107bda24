"""Ensembles: every network trained by every optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lossatlas import optimize, training
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.files import Tree
from lossatlas.problems import Problem
from lossatlas.study.config import NetworkConfig, OptimizerConfig
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.results import Experiment, Gathered
from lossatlas.study.stages.stage import Planning, Stage
from lossatlas.study.store import Piece

__all__ = ["Ensembles", "train", "training_cost", "training_inputs"]


class Ensembles(Stage):
    """Trains the replicas."""

    kind = "ensemble"
    version = 1

    def pieces(self, planning: Planning, earlier: Sequence[Piece]) -> list[Piece]:
        """One per network and optimizer."""
        return [
            Piece(
                self.kind,
                f"{name} {method}",
                training_inputs(planning, (name, network), (method, settings), self.version),
            )
            for name, network in planning.config.networks.items()
            for method, settings in network.optimizers.items()
        ]

    def compute(self, piece: Piece, context: Context, update: Update) -> Tree:
        """Train, from the checkpoint where there is one."""
        problem = context.problems[piece.inputs["network"]]
        return train(problem, piece, context, update).to_tree()

    def cost(self, piece: Piece, costs: Costs) -> Cost:
        """Steps and records, each timed."""
        network, optimizer = piece.inputs["network"], piece.inputs["optimizer"]
        return training_cost(costs, network, optimizer, costs.config.networks[network].replicas)

    def read(self, piece: Piece, result: Tree, seconds: float, gathered: Gathered) -> None:
        """Add an experiment."""
        gathered.experiments.append(
            Experiment(
                network=piece.inputs["network"],
                optimizer=piece.inputs["optimizer"],
                ensemble=Ensemble.from_tree(result),
                seconds=seconds,
            )
        )


def train(problem: Problem, piece: Piece, context: Context, update: Update) -> Ensemble:
    """Train what the inputs of a piece say, from its checkpoint where there is one.

    Args:
        problem: with the study's numerics.
        piece: its inputs are those of :func:`training_inputs`.
        context: of the study.
        update: told about progress.

    Raises:
        KeyboardInterrupt: the user's, after the checkpoint was written.
    """
    wanted = piece.inputs
    settings = context.config.networks[wanted["network"]].optimizers[wanted["optimizer"]]

    def tell(progress: training.TrainingProgress) -> None:
        update(
            progress.done / progress.total,
            f"{progress.unit} {progress.done}/{progress.total}, training loss {progress.loss:.2e}",
        )

    return training.train(
        problem,
        wanted["optimizer"],
        replicas=wanted["replicas"],
        keep=wanted["keep"],
        seed=wanted["seed"],
        iterations=settings.iterations,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        compiled=settings.compiled,
        select=wanted["select"],
        record_every=settings.record_every,
        options=settings.options,
        checkpoint=context.store.checkpoint(piece),
        checkpoint_seconds=context.checkpoint_seconds,
        on_interrupt="raise",
        progress=tell,
    )


def training_inputs(
    planning: Planning,
    network: tuple[str, NetworkConfig],
    optimizer: tuple[str, OptimizerConfig],
    version: int,
) -> dict[str, Any]:
    """All that trained weights depend on."""
    name, how = network
    method, settings = optimizer
    return {
        "version": version,
        "network": name,
        "problem": planning.details[name],
        "optimizer": method,
        # The constants in force, so that a changed default is not mistaken for the old one.
        "constants": repr(optimize.get(method, **settings.options)),
        # Results that were stored before there was such a setting keep their addresses.
        "settings": settings.model_dump(mode="json", exclude=None if settings.compiled else {"compiled"}),
        "replicas": how.replicas,
        "keep": how.keep,
        "seed": planning.config.seed,
        "select": planning.config.select,
        "dtype": planning.config.dtype,
        "device": planning.numerics.device,
        "threads": planning.numerics.threads,
        "numerics": planning.numerics.networks[name].to_json(),
    }


def training_cost(costs: Costs, network: str, optimizer: str, replicas: int) -> Cost:
    """What training some replicas of a network needs."""
    own, settings = costs.network(network), costs.config.networks[network].optimizers[optimizer]
    share = replicas / own.rows
    step = own.step(optimizer, settings)
    method = optimize.get(optimizer, **settings.options)
    if method.stochastic:
        length = settings.epochs or training.DEFAULT_EPOCHS
        steps = length * -(-own.problem.train.samples // settings.batch_size)
    else:
        length = settings.iterations or training.DEFAULT_ITERATIONS
        steps = length
    kept = min(own.kept, replicas)
    seconds = share * (steps * step + length / settings.record_every * own.record()) + 4 * kept * own.exact_value()
    # x, gradient, two best sets, the initial weights, and what the optimizer remembers.
    remembered = 2 * getattr(method, "history", 0) + 6
    memory = own.working + own.bytes(remembered * replicas)
    return Cost(seconds, memory, own.bytes(3 * kept) + length * replicas * 4 * 8)
