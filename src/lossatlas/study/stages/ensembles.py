"""Ensembles: every network trained by every optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lossatlas import optimize, training
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.files import Tree, load_tree, save_tree
from lossatlas.problems import Problem
from lossatlas.study.config import NetworkConfig, OptimizerConfig
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.results import Experiment, Gathered
from lossatlas.study.stages.stage import Planning, Stage
from lossatlas.study.store import Piece, Store

__all__ = ["Ensembles", "continue_shorter", "duration_of", "train", "training_cost", "training_inputs"]


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

    def begin(self, piece: Piece, store: Store) -> None:
        """Go on from a shorter run."""
        continue_shorter(piece, store)

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

    ensemble = training.train(
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
    _keep_end(piece, context.store, ensemble)
    return ensemble


def continue_shorter(piece: Piece, store: Store) -> None:
    """Let a run that has not begun go on where the same run of fewer iterations or epochs ended.

    Args:
        piece: its inputs are those of :func:`training_inputs`.
        store: of the study.
    """
    file, ended = store.checkpoint(piece), store.ended(_of_any_length(piece))
    if ended.exists() and not file.exists():
        tree = load_tree(ended)
        if tree["state"]["done"] <= _length(piece):
            save_tree(file, tree)


def _keep_end(piece: Piece, store: Store, ensemble: Ensemble) -> None:
    """Keep the state in which a run ended, if it could go on and is the longest of its kind."""
    if all(replica.status != "completed" for replica in ensemble.replicas):
        return
    ended = store.ended(_of_any_length(piece))
    if not ended.exists() or load_tree(ended)["state"]["done"] <= _length(piece):
        save_tree(ended, load_tree(store.checkpoint(piece)))


def _of_any_length(piece: Piece) -> Piece:
    """What names a run however long it is, and however many of its replicas are kept."""
    inputs = {name: value for name, value in piece.inputs.items() if name != "keep"}
    inputs["settings"] = {k: v for k, v in inputs["settings"].items() if k not in ("iterations", "epochs")}
    return Piece(piece.kind, piece.label, inputs)


def _length(piece: Piece) -> int:
    return duration_of(piece.inputs["optimizer"], OptimizerConfig(**piece.inputs["settings"]))[0]


def duration_of(optimizer: str, settings: OptimizerConfig) -> tuple[int, str]:
    """How long an optimizer runs, and in what that is counted: ``"epoch"`` or ``"iteration"``."""
    if optimize.get(optimizer, **settings.options).stochastic:
        return settings.epochs or training.DEFAULT_EPOCHS, "epoch"
    return settings.iterations or training.DEFAULT_ITERATIONS, "iteration"


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
    length, _ = duration_of(optimizer, settings)
    steps = length * -(-own.problem.train.samples // settings.batch_size) if method.stochastic else length
    kept = min(own.kept, replicas)
    seconds = share * (steps * step + length / settings.record_every * own.record()) + 4 * kept * own.exact_value()
    # x, gradient, two best sets, the initial weights, and what the optimizer remembers.
    history = getattr(method, "history", 0)
    memory = own.working + own.bytes((2 * history + 6) * replicas)
    # Kept: three sets of weights, and the state in which the run ends: x, two best sets and what is remembered.
    end = 3 + 2 * min(history, length) + (not method.stochastic)
    return Cost(seconds, memory, own.bytes(3 * kept + end * replicas) + length * replicas * 4 * 8)
