"""The pieces of a study: what is computed, from what, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from lossatlas import analysis, data, optimize, paths, problems, training
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.files import Tree
from lossatlas.core.path import Path
from lossatlas.paths.schedule import random_pairs
from lossatlas.problems import Problem
from lossatlas.study.config import NetworkConfig, OptimizerConfig, StudyConfig
from lossatlas.study.numerics import StudyNumerics
from lossatlas.study.store import Piece, Store

__all__ = ["Context", "Update", "compute", "list_pieces", "make_problems"]

# Raised when a change of the code changes results, so that old ones are not taken for new.
_VERSIONS = {"ensemble": 1, "paths": 2, "tables": 1}

Update = Callable[[float, str], None]
"""Called with the fraction done and a short text."""


@dataclass(frozen=True)
class Context:
    """What computing a piece may use.

    Args:
        config: the study's configuration.
        problems: by network, numerics fixed.
        store: where results of other pieces are.
        checkpoint_seconds: least time between two checkpoints of a piece.
    """

    config: StudyConfig
    problems: Mapping[str, Problem]
    store: Store
    checkpoint_seconds: float = 30.0


def make_problems(config: StudyConfig, device: str) -> dict[str, Problem]:
    """Load the data once and build the problem of every network."""
    splits = data.get(
        config.data.name,
        data_dir=config.data.directory,
        validation=config.data.validation,
        train_size=config.data.train_size,
        test_size=config.data.test_size,
    )
    return {
        name: problems.get(name, data=splits, device=device, dtype=getattr(torch, config.dtype), **network.options)
        for name, network in config.networks.items()
    }


def list_pieces(config: StudyConfig, made: Mapping[str, Problem], numerics: StudyNumerics) -> list[Piece]:
    """All pieces in an order in which each comes after what it needs.

    Args:
        config: the study's configuration.
        made: problems by network.
        numerics: of the study.
    """
    ensembles: list[Piece] = []
    found: list[Piece] = []
    for name, network in config.networks.items():
        for optimizer, settings in network.optimizers.items():
            ensemble = _ensemble_piece(config, made[name], (name, network), (optimizer, settings), numerics)
            ensembles.append(ensemble)
            weight_sets = config.paths.weight_sets if config.paths else ()
            found.extend(_paths_piece(config, ensemble, weight_set) for weight_set in weight_sets)
    tables = Piece("tables", "all", {"version": _VERSIONS["tables"]}, (*ensembles, *found))
    return [*ensembles, *found, tables]


def _ensemble_piece(
    config: StudyConfig,
    problem: Problem,
    network: tuple[str, NetworkConfig],
    optimizer: tuple[str, OptimizerConfig],
    numerics: StudyNumerics,
) -> Piece:
    name, how = network
    method, settings = optimizer
    inputs = {
        "version": _VERSIONS["ensemble"],
        "network": name,
        "problem": problem.details,
        "optimizer": method,
        # The constants in force, so that a changed default is not mistaken for the old one.
        "constants": repr(optimize.get(method, **settings.options)),
        "settings": settings.model_dump(mode="json"),
        "replicas": how.replicas,
        "keep": how.keep,
        "seed": config.seed,
        "select": config.select,
        "dtype": config.dtype,
        "device": numerics.device,
        "threads": numerics.threads,
        "numerics": numerics.networks[name].to_json(),
    }
    return Piece("ensemble", f"{name} {method}", inputs)


def _paths_piece(config: StudyConfig, ensemble: Piece, weight_set: str) -> Piece:
    how = config.paths
    inputs = {
        "version": _VERSIONS["paths"],
        "network": ensemble.inputs["network"],
        "optimizer": ensemble.inputs["optimizer"],
        "weight_set": weight_set,
        "paths": how.model_dump(mode="json", exclude={"weight_sets"}) if how else None,
        "seed": config.seed,
    }
    return Piece("paths", f"{ensemble.label} {weight_set}", inputs, (ensemble,))


def compute(piece: Piece, context: Context, update: Update) -> Tree:
    """Compute one piece.

    Args:
        piece: what.
        context: problems, configuration, and the results it needs.
        update: told about progress.

    Returns:
        The result as it is stored.
    """
    return {"ensemble": _compute_ensemble, "paths": _compute_paths, "tables": _compute_tables}[piece.kind](
        piece, context, update
    )


def _compute_ensemble(piece: Piece, context: Context, update: Update) -> Tree:
    network = context.config.networks[piece.inputs["network"]]
    method = piece.inputs["optimizer"]
    settings = network.optimizers[method]

    def tell(progress: training.TrainingProgress) -> None:
        update(
            progress.done / progress.total,
            f"{progress.unit} {progress.done}/{progress.total}, training loss {progress.loss:.2e}",
        )

    ensemble = training.train(
        context.problems[piece.inputs["network"]],
        method,
        replicas=network.replicas,
        keep=network.keep,
        seed=context.config.seed,
        iterations=settings.iterations,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        select=context.config.select,
        record_every=settings.record_every,
        options=settings.options,
        checkpoint=context.store.checkpoint(piece),
        checkpoint_seconds=context.checkpoint_seconds,
        on_interrupt="raise",
        progress=tell,
    )
    return ensemble.to_tree()


def _compute_paths(piece: Piece, context: Context, update: Update) -> Tree:
    how = context.config.paths
    if how is None:
        return []
    (source,) = piece.needs
    ensemble = Ensemble.from_tree(context.store.load(source)[0])
    landscape = context.problems[piece.inputs["network"]].train
    weights = ensemble.weight_set(piece.inputs["weight_set"]).weights.to(landscape.device, landscape.dtype)
    chosen = random_pairs(len(weights), how.pairs, context.config.seed, piece.label)
    # One conversion to float64 for all pairs: it copies the data.
    exact = landscape.to(dtype=torch.float64)
    found = []
    for number, (first, second) in enumerate(chosen, 1):
        path = paths.find(exact, weights[first].double(), weights[second].double(), method=how.method, **how.options)
        found.append({"first": first, "second": second, "path": path.to_tree(curve=False)})
        update(number / len(chosen), f"pair {number}/{len(chosen)}")
    return found


def _compute_tables(piece: Piece, context: Context, update: Update) -> Tree:
    ensembles: dict[tuple[str, str], Ensemble] = {}
    found: dict[tuple[str, str, str], list[tuple[int, int, Path]]] = {}
    for number, source in enumerate(piece.needs, 1):
        result, _ = context.store.load(source)
        key = (source.inputs["network"], source.inputs["optimizer"])
        if source.kind == "ensemble":
            ensembles[key] = Ensemble.from_tree(result)
        else:
            found[*key, source.inputs["weight_set"]] = [
                (pair["first"], pair["second"], Path.from_tree(pair["path"])) for pair in result
            ]
        update(number / len(piece.needs), source.label)
    tables = [analysis.loss_table(ensembles), analysis.barrier_table(found), analysis.replica_table(ensembles.items())]
    return [table.to_tree() for table in tables if table.rows]
