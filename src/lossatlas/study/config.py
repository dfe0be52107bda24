"""Typed configuration of a study: what a recipe or ``study.toml`` may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "AtlasConfig",
    "CurvatureConfig",
    "DataConfig",
    "FinderConfig",
    "HoldoutConfig",
    "MapConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "PathConfig",
    "StudyConfig",
    "WeightsConfig",
]

# More than this of anything is a slip of the keyboard; the libraries below count in 64 bits and say so cryptically.
_Count = Annotated[int, Field(ge=1, lt=2**31)]


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError("expected each name once")
    return values


class _Strict(BaseModel):
    """Unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Strict):
    """Which examples.

    Attributes:
        name: data set, or path of an ``.npz`` file.
        directory: where its files are; null: the usual places.
        validation: fraction or number of training examples held out.
        train_size: use this many training examples.
        test_size: use this many test examples.
    """

    name: str = "digits"
    directory: str | None = None
    validation: int | float = Field(default=0.0, ge=0)
    train_size: _Count | None = None
    test_size: _Count | None = None


class OptimizerConfig(_Strict):
    """How one optimizer is run.

    Attributes:
        iterations: steps of a full-batch optimizer.
        epochs: passes over the data of a mini-batch optimizer.
        batch_size: examples per mini-batch.
        compiled: compile the gradients on a mini-batch before the first step; see :func:`lossatlas.training.train`.
        record_every: iterations or epochs between points of the curves.
        options: constants of the optimizer, such as ``lr``.
    """

    iterations: _Count | None = None
    epochs: _Count | None = None
    batch_size: _Count = 64
    compiled: bool = False
    record_every: _Count = 1
    options: dict[str, Any] = Field(default_factory=dict)


class NetworkConfig(_Strict):
    """How one network is trained.

    Attributes:
        problem: named problem; null: the one that is called as the network is.
        replicas: runs per optimizer.
        keep: keep this many with the lowest training loss; null: all that did not diverge.
        train_size: use this many training examples; null: as many as ``[data]`` says.
        test_size: use this many test examples; null: as many as ``[data]`` says.
        options: of the model, such as ``activation = "relu"``.
        optimizers: by name.
    """

    problem: str | None = None
    replicas: _Count = 6
    keep: _Count | None = None
    train_size: _Count | None = None
    test_size: _Count | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    optimizers: dict[str, OptimizerConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _keep_fits(self) -> NetworkConfig:
        if self.keep is not None and self.keep > self.replicas:
            raise ValueError(f"expected to keep at most {self.replicas} replicas, got {self.keep}")
        return self


class FinderConfig(_Strict):
    """A path finder and its options.

    Attributes:
        method: path finder.
        options: of it, such as ``points``.
    """

    method: str = "auto"
    options: dict[str, Any] = Field(default_factory=dict)


class PathConfig(FinderConfig):
    """Which paths are found between minima of one optimizer and weight set.

    Attributes:
        method: path finder.
        networks: whose minima; null: those of all networks.
        weight_sets: sets whose members are connected.
        landscape: on which data the paths are found: ``"train"`` or ``"test"``.
        align: permute the hidden units of each end to match those of its start before anything else.
        pairs: at most this many pairs per set, drawn at random, the same in all stages; null: all.
        options: of the finder, such as ``points``.
    """

    method: str = "linear"
    networks: Annotated[tuple[str, ...], AfterValidator(_distinct)] | None = None
    weight_sets: Annotated[tuple[Literal["train", "test"], ...], AfterValidator(_distinct)] = ("train", "test")
    landscape: Literal["train", "test"] = "train"
    align: bool = False
    pairs: _Count | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class AtlasConfig(FinderConfig):
    """Paths among the minima of all optimizers of a network, and the barrier tree they give.

    Attributes:
        method: path finder.
        networks: whose minima; null: those of all networks.
        weight_set: which minima.
        landscape: on which data the paths are found: ``"train"`` or ``"test"``.
        minima: at most this many per optimizer, those with the lowest training loss; null: all.
        paths: at most this many paths per network, those that matter for the tree first; null: all pairs.
        options: of the finder, such as ``points``.
    """

    method: str = "auto"
    networks: Annotated[tuple[str, ...], AfterValidator(_distinct)] | None = None
    weight_set: Literal["train", "test"] = "train"
    landscape: Literal["train", "test"] = "train"
    minima: _Count | None = None
    paths: _Count | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class WeightsConfig(_Strict):
    """How the weight vectors of the optimizers are compared.

    Attributes:
        networks: whose minima; null: those of all networks.
        weight_sets: which minima.
        kernels: of kernel PCA.
    """

    networks: Annotated[tuple[str, ...], AfterValidator(_distinct)] | None = None
    weight_sets: Annotated[tuple[Literal["train", "test"], ...], AfterValidator(_distinct)] = ("train", "test")
    kernels: Annotated[tuple[Literal["rbf", "poly", "sigmoid", "linear"], ...], AfterValidator(_distinct)] = (
        "rbf",
        "poly",
        "sigmoid",
        "linear",
    )


class CurvatureConfig(_Strict):
    """How sharp minima are: largest eigenvalue and trace of the Hessian of the training loss, in float64.

    Attributes:
        networks: whose minima; null: those of all networks.
        weight_sets: which minima.
        minima: at most this many per set, those with the lowest training loss; null: all.
        scalings: units of the coordinates: ``"none"``, or scale-invariant ``"parameter"``, ``"filter"``, ``"layer"``.
        tolerance: standard error of a trace relative to it.
        products: at most this many Hessian-vector products for the eigenvalue, and again for the trace.
    """

    networks: Annotated[tuple[str, ...], AfterValidator(_distinct)] | None = None
    weight_sets: Annotated[tuple[Literal["train", "test"], ...], AfterValidator(_distinct)] = ("train", "test")
    minima: _Count | None = None
    scalings: Annotated[tuple[Literal["none", "parameter", "filter", "layer"], ...], AfterValidator(_distinct)] = (
        "none",
        "parameter",
    )
    tolerance: float = Field(default=0.1, gt=0)
    products: Annotated[int, Field(ge=30, lt=2**31)] = 200  # a sketch and the first probes of a trace


class HoldoutConfig(_Strict):
    """Training once more with early stopping on held-out training examples instead of the test data.

    Attributes:
        fraction: of the training examples held out, or their number.
        networks: which; null: all.
        replicas: at most this many per optimizer; null: as many as the network has.
    """

    fraction: int | float = Field(default=0.1, gt=0)
    networks: Annotated[tuple[str, ...], AfterValidator(_distinct)] | None = None
    replicas: _Count | None = None


class MapConfig(_Strict):
    """Paths on a landscape of two coordinates, between its own ends.

    Attributes:
        landscape: its name.
        finders: by a name of your choice.
        repeats: how often each search is repeated with other random numbers; the first is drawn.
        resolution: grid points along each side of the map.
    """

    landscape: str = "paper-toy"
    finders: dict[str, FinderConfig] = Field(min_length=1)
    repeats: _Count = 1
    resolution: _Count = 121


class StudyConfig(_Strict):
    """A whole study.

    Attributes:
        name: what reports call it.
        description: one line.
        seed: of initial weights, mini-batches and pairs; all optimizers start from the same initial weights.
        dtype: floating type of training.
        select: where early stopping looks: ``"test"`` as in the paper, or ``"validation"``.
        data: the examples.
        networks: by name of the problem, or by a name of your choice with ``problem = "..."`` in it.
        paths: between minima of one optimizer, by a name of your choice: ``[paths.straight]``, ``[paths.low]``.
        atlas: all minima of each network in one barrier tree, by a name of your choice.
        weights: sizes, distances and kernel components of the minima; null: not wanted.
        curvature: how sharp minima are, by a name of your choice.
        holdout: early stopping on held-out examples, by a name of your choice.
        maps: paths on landscapes of two coordinates, by a name of your choice.
    """

    name: str = Field(min_length=1)
    description: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)
    dtype: Literal["float32", "float64"] = "float32"
    select: Literal["test", "validation"] = "test"
    data: DataConfig = DataConfig()
    networks: dict[str, NetworkConfig] = Field(min_length=1)
    paths: dict[str, PathConfig] = Field(default_factory=dict)
    atlas: dict[str, AtlasConfig] = Field(default_factory=dict)
    weights: WeightsConfig | None = None
    curvature: dict[str, CurvatureConfig] = Field(default_factory=dict)
    holdout: dict[str, HoldoutConfig] = Field(default_factory=dict)
    maps: dict[str, MapConfig] = Field(default_factory=dict)

    def problem_of(self, network: str) -> str:
        """Name of the problem behind a network."""
        return self.networks[network].problem or network

    def to_toml(self) -> str:
        """The complete configuration, defaults included, as TOML."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value
