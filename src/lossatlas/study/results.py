"""StudyResults: everything a finished (or half-finished) study has stored, read back for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from torch import Tensor

from lossatlas.analysis import BarrierTree, CommonOrigin, KernelPCA, Separation, SetSpread, WeightStatistics
from lossatlas.analysis.claims import Claim
from lossatlas.core.ensemble import Curves, Ensemble
from lossatlas.core.path import Path
from lossatlas.core.table import Table
from lossatlas.study.surface import Surface

__all__ = [
    "Atlas",
    "CurvatureSet",
    "Experiment",
    "Gathered",
    "Holdout",
    "Map",
    "Pair",
    "SetComparison",
    "SharpnessSet",
    "StudyResults",
    "WeightAnalysis",
]


@dataclass(frozen=True)
class Pair:
    """A path between two members of one weight set.

    Args:
        first: position of the start in the set.
        second: position of the end.
        path: what was found between them.
        stage: name of the stage in the configuration.
        landscape: on which data its losses are: ``"train"`` or ``"test"``.
        aligned: whether the hidden units of the end were permuted to match those of the start.
    """

    first: int
    second: int
    path: Path
    stage: str = ""
    landscape: str = "train"
    aligned: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is the straight line between the minima as they are, on the training landscape."""
        return self.path.method == "linear" and self.landscape == "train" and not self.aligned


@dataclass(frozen=True)
class Experiment:
    """One network trained by one optimizer.

    Args:
        network: name of the network, such as ``"fcp"``.
        optimizer: name of the optimizer, such as ``"lbfgs-gss"``.
        ensemble: where the replicas ended.
        pairs: paths between members of each weight set: ``{"train": (...), "test": (...)}``, of all stages.
        seconds: wall time spent training.
    """

    network: str
    optimizer: str
    ensemble: Ensemble
    pairs: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Atlas:
    """The minima of all optimizers of one network and the passes between them.

    Args:
        stage: its name in the configuration.
        network: name of the network.
        weight_set: ``"train"`` or ``"test"``.
        members: ``(optimizer, position in its weight set)`` of every minimum.
        pairs: paths between members, by their position in ``members``.
        tree: how the minima join as the level rises.
        seconds: wall time spent.
    """

    stage: str
    network: str
    weight_set: str
    members: tuple[tuple[str, int], ...]
    pairs: tuple[Pair, ...]
    tree: BarrierTree
    seconds: float = 0.0


@dataclass(frozen=True)
class SetComparison:
    """The minima of two optimizers side by side.

    Args:
        first: name of the one optimizer.
        second: name of the other.
        first_set: weight set of the first, ``"train"`` or ``"test"``.
        second_set: weight set of the second.
        origin: distances from their common origin.
        components: kernel components and how well they tell the two apart, kernel by kernel.
    """

    first: str
    second: str
    first_set: str
    second_set: str
    origin: CommonOrigin
    components: tuple[tuple[KernelPCA, Separation], ...]


@dataclass(frozen=True)
class WeightAnalysis:
    """What the weight vectors of one network are like.

    Args:
        network: name of the network.
        statistics: by optimizer and weight set.
        spreads: distances within each set, where it has two minima or more.
        comparisons: every two optimizers: the same set of both, and the training set of a full-batch one against
            the early-stopped set of a mini-batch one.
    """

    network: str
    statistics: Mapping[tuple[str, str], WeightStatistics]
    spreads: Mapping[tuple[str, str], SetSpread]
    comparisons: tuple[SetComparison, ...]


@dataclass(frozen=True)
class SharpnessSet:
    """Sharpness of some minima in one scaling of the coordinates.

    Args:
        top: ``(n,)``, largest eigenvalue of the (scaled) Hessian of the training loss.
        residual: ``(n,)``, of its eigenpair: within this distance there is an eigenvalue.
        trace: ``(n,)``.
        trace_error: ``(n,)``, standard errors.
        converged: ``(n,)``, whether both met their tolerances.
        products: ``(n,)``, Hessian-vector products spent.
        method: how they were computed.
        data: what the loss is averaged over.
        invariance: what the measure does not see.
    """

    top: Tensor
    residual: Tensor
    trace: Tensor
    trace_error: Tensor
    converged: Tensor
    products: Tensor
    method: str
    data: str
    invariance: str


@dataclass(frozen=True)
class CurvatureSet:
    """Sharpness of the minima of one weight set.

    Args:
        stage: its name in the configuration.
        network: name of the network.
        optimizer: name of the optimizer.
        weight_set: ``"train"`` or ``"test"``.
        members: positions of the minima in their set.
        sharpness: by scaling: ``"none"``, ``"parameter"``, ...
        seconds: wall time spent.
    """

    stage: str
    network: str
    optimizer: str
    weight_set: str
    members: tuple[int, ...]
    sharpness: Mapping[str, SharpnessSet]
    seconds: float = 0.0


@dataclass(frozen=True)
class Holdout:
    """One network trained by one optimizer with a part of the training data held out.

    Args:
        stage: its name in the configuration.
        network: name of the network.
        optimizer: name of the optimizer.
        fraction: of the training examples held out, or their number.
        curves: of every replica, with ``"validation_loss"`` among them.
        seconds: wall time spent.
    """

    stage: str
    network: str
    optimizer: str
    fraction: float
    curves: Curves
    seconds: float = 0.0


@dataclass(frozen=True)
class Map:
    """Paths on a landscape of two coordinates.

    Args:
        stage: its name in the configuration.
        landscape: name of the landscape.
        surface: the landscape on a grid.
        paths: by the names of the finders in the configuration.
        heights: of the path and its repetitions, by the same names, ``(repeats,)`` each.
        exact: height of the exact lowest pass between the ends, where the landscape knows it.
    """

    stage: str
    landscape: str
    surface: Surface
    paths: Mapping[str, Path]
    heights: Mapping[str, Tensor]
    exact: float | None = None


@dataclass(frozen=True)
class StudyResults:
    """What a study folder holds.

    Args:
        name: name of the recipe.
        folder: the study's folder.
        configuration: the complete configuration, as in ``study.toml``.
        experiments: every network x optimizer that has been trained so far.
        tables: stored tables by name: ``"table1"`` (losses and accuracies), ``"barriers"``, ``"replicas"``.
        provenance: how it was made: ``{"hardware": {...}, "packages": {name: version}, "numerics": {network: {...}},
            "data": {"name", "train", "test", "checksum", "source"}, "seed", "seconds", "command"}``.
        missing: labels of pieces not computed yet; empty when the study is complete.
        atlases: minima of all optimizers of a network, joined.
        weights: what the weight vectors of each network are like.
        curvatures: how sharp minima are.
        holdouts: training with early stopping on held-out examples.
        maps: paths on landscapes of two coordinates.
        claims: sentences about the networks, tested.
    """

    name: str
    folder: FilePath
    configuration: Mapping[str, Any]
    experiments: tuple[Experiment, ...]
    tables: Mapping[str, Table]
    provenance: Mapping[str, Any]
    missing: tuple[str, ...] = ()
    atlases: tuple[Atlas, ...] = ()
    weights: tuple[WeightAnalysis, ...] = ()
    curvatures: tuple[CurvatureSet, ...] = ()
    holdouts: tuple[Holdout, ...] = ()
    maps: tuple[Map, ...] = ()
    claims: tuple[Claim, ...] = ()


@dataclass
class Gathered:
    """What the stored pieces of a study add up to, while they are read one by one.

    Args:
        experiments: networks x optimizers.
        pairs: paths by network, optimizer and weight set.
        tables: by name.
        atlases: barrier trees.
        weights: comparisons of weight vectors.
        curvatures: how sharp minima are.
        holdouts: curves with held-out examples.
        maps: paths on landscapes of two coordinates.
        claims: sentences about the networks, tested.
        seconds: wall time of all of them together.
    """

    experiments: list[Experiment] = field(default_factory=list)
    pairs: dict[tuple[str, str, str], list[Pair]] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    atlases: list[Atlas] = field(default_factory=list)
    weights: list[WeightAnalysis] = field(default_factory=list)
    curvatures: list[CurvatureSet] = field(default_factory=list)
    holdouts: list[Holdout] = field(default_factory=list)
    maps: list[Map] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    seconds: float = 0.0

    def joined(self) -> tuple[Experiment, ...]:
        """The experiments with their paths."""
        return tuple(
            replace(
                experiment,
                pairs={
                    weight_set: tuple(pairs)
                    for (network, optimizer, weight_set), pairs in self.pairs.items()
                    if (network, optimizer) == (experiment.network, experiment.optimizer)
                },
            )
            for experiment in self.experiments
        )
