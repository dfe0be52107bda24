"""The pieces of a study: what is computed, from what, and how."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from lossatlas import analysis, data, optimize, paths, problems, training
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.files import Tree
from lossatlas.core.path import Path
from lossatlas.problems import Problem
from lossatlas.study.config import AtlasConfig, NetworkConfig, OptimizerConfig, PathConfig, StudyConfig
from lossatlas.study.context import Context, Update
from lossatlas.study.numerics import StudyNumerics
from lossatlas.study.path_pieces import compute_atlas, compute_paths
from lossatlas.study.store import Piece

__all__ = ["compute", "list_pieces", "make_problems"]

# Raised when a change of the code changes results, so that old ones are not taken for new.
_VERSIONS = {"ensemble": 1, "paths": 2, "atlas": 1, "tables": 2}


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
    atlases: list[Piece] = []
    for name, network in config.networks.items():
        own = [
            _ensemble_piece(config, made[name], (name, network), (optimizer, settings), numerics)
            for optimizer, settings in network.optimizers.items()
        ]
        ensembles += own
        for stage, how in config.paths.items():
            if how.networks is None or name in how.networks:
                found += [_paths_piece(config, stage, e, weight_set) for e in own for weight_set in how.weight_sets]
        for stage, around in config.atlas.items():
            if around.networks is None or name in around.networks:
                atlases.append(_atlas_piece(config, stage, tuple(own)))
    tables = Piece("tables", "all", {"version": _VERSIONS["tables"]}, (*ensembles, *found))
    return [*ensembles, *found, *atlases, tables]


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


def _paths_piece(config: StudyConfig, stage: str, ensemble: Piece, weight_set: str) -> Piece:
    how = config.paths[stage]
    inputs = {
        "version": _VERSIONS["paths"],
        "network": ensemble.inputs["network"],
        "optimizer": ensemble.inputs["optimizer"],
        "weight_set": weight_set,
        "stage": stage,
        "finder": _finder(how),
        "pairs": how.pairs,
        "seed": config.seed,
    }
    return Piece("paths", f"{stage} {ensemble.label} {weight_set}", inputs, (ensemble,))


def _atlas_piece(config: StudyConfig, stage: str, ensembles: tuple[Piece, ...]) -> Piece:
    how = config.atlas[stage]
    inputs = {
        "version": _VERSIONS["atlas"],
        "network": ensembles[0].inputs["network"],
        "stage": stage,
        "finder": _finder(how),
        "settings": how.model_dump(mode="json", exclude={"networks", "method", "options"}),
        "seed": config.seed,
    }
    return Piece("atlas", f"{stage} {inputs['network']}", inputs, ensembles)


def _finder(how: PathConfig | AtlasConfig) -> str:
    """The finder with the constants in force, so that a changed default is not mistaken for the old one."""
    return repr(paths.finders[how.method](**how.options))


def compute(piece: Piece, context: Context, update: Update) -> Tree:
    """Compute one piece.

    Args:
        piece: what.
        context: problems, configuration, and the results it needs.
        update: told about progress.

    Returns:
        The result as it is stored.
    """
    kinds = {
        "ensemble": _compute_ensemble,
        "paths": compute_paths,
        "atlas": compute_atlas,
        "tables": _compute_tables,
    }
    return kinds[piece.kind](piece, context, update)


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


def _compute_tables(piece: Piece, context: Context, update: Update) -> Tree:
    ensembles: dict[tuple[str, str], Ensemble] = {}
    straight: dict[tuple[str, str, str, str], list[tuple[int, int, Path]]] = {}
    searched: dict[tuple[str, str, str, str], list[tuple[int, int, Path]]] = {}
    for number, source in enumerate(piece.needs, 1):
        result, _ = context.store.load(source)
        key = (source.inputs["network"], source.inputs["optimizer"])
        if source.kind == "ensemble":
            ensembles[key] = Ensemble.from_tree(result)
        else:
            stage = source.inputs["stage"]
            found = straight if context.config.paths[stage].method == "linear" else searched
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
