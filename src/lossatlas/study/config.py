"""Typed configuration of a study: what a recipe or ``study.toml`` may say."""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lossatlas import data, models, optimize, paths, problems
from lossatlas.core.errors import ConfigurationError, InputError, nearest
from lossatlas.core.randomness import preserved_random_state

__all__ = [
    "AtlasConfig",
    "DataConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "PathConfig",
    "StudyConfig",
    "load_config",
    "make_finder",
    "parse_options",
    "recipe_names",
    "recipe_summary",
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
    validation: float = Field(default=0.0, ge=0)
    train_size: _Count | None = None
    test_size: _Count | None = None


class OptimizerConfig(_Strict):
    """How one optimizer is run.

    Attributes:
        iterations: steps of a full-batch optimizer.
        epochs: passes over the data of a mini-batch optimizer.
        batch_size: examples per mini-batch.
        record_every: iterations or epochs between points of the curves.
        options: constants of the optimizer, such as ``lr``.
    """

    iterations: _Count | None = None
    epochs: _Count | None = None
    batch_size: _Count = 64
    record_every: _Count = 1
    options: dict[str, Any] = Field(default_factory=dict)


class NetworkConfig(_Strict):
    """How one network is trained.

    Attributes:
        replicas: runs per optimizer.
        keep: keep this many with the lowest training loss; null: all that did not diverge.
        options: of the model, such as ``activation = "relu"``.
        optimizers: by name.
    """

    replicas: _Count = 6
    keep: _Count | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    optimizers: dict[str, OptimizerConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _keep_fits(self) -> NetworkConfig:
        if self.keep is not None and self.keep > self.replicas:
            raise ValueError(f"expected to keep at most {self.replicas} replicas, got {self.keep}")
        return self


class PathConfig(_Strict):
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

    @property
    def plain(self) -> bool:
        """Whether these are straight lines between the minima as they are, on the training landscape."""
        return self.method == "linear" and self.landscape == "train" and not self.align


class AtlasConfig(_Strict):
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


class StudyConfig(_Strict):
    """A whole study.

    Attributes:
        name: what reports call it.
        description: one line.
        seed: of initial weights, mini-batches and pairs; all optimizers start from the same initial weights.
        dtype: floating type of training.
        select: where early stopping looks: ``"test"`` as in the paper, or ``"validation"``.
        data: the examples.
        networks: by name of the problem.
        paths: between minima of one optimizer, by a name of your choice: ``[paths.straight]``, ``[paths.low]``.
        atlas: all minima of each network in one barrier tree, by a name of your choice.
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

    def to_toml(self) -> str:
        """The complete configuration, defaults included, as TOML."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value


def _recipe_files() -> dict[str, Any]:
    folder = resources.files("lossatlas.study") / "recipes"
    return {Path(entry.name).stem: entry for entry in folder.iterdir() if entry.name.endswith(".toml")}


def recipe_names() -> list[str]:
    """Names of the recipes that come with lossatlas.

    Example:
        >>> "quickstart" in recipe_names()
        True
    """
    return sorted(_recipe_files())


def recipe_summary(name: str) -> str:
    """The one-line description of a recipe."""
    return load_config(name).description


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a recipe or a TOML file.

    Args:
        source: name of a recipe, or path of a ``.toml`` file.
        overrides: ``key=value`` with dotted keys and TOML values, such as ``networks.fcp.replicas=3``.

    Returns:
        The checked configuration.

    Raises:
        ConfigurationError: unknown recipe, unreadable TOML, an unknown key or name (with the nearest valid one), or a
            value out of range.

    Example:
        >>> load_config("quickstart", ["networks.fcp.replicas=3"]).networks["fcp"].replicas
        3
    """
    text, origin = _read(source)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"expected TOML in {origin}, got a syntax error: {error}") from error
    for override in overrides:
        _apply(document, override)
    return parse_config(document, origin)


def parse_config(document: Mapping[str, Any], origin: str = "the configuration") -> StudyConfig:
    """Check a configuration given as nested dictionaries.

    Raises:
        ConfigurationError: see :func:`load_config`.
    """
    networks = document.get("networks")
    for name in networks if isinstance(networks, dict) else ():
        problems.problems[name]  # first: a misspelt network would otherwise be reported as one without optimizers
    try:
        config = StudyConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, origin)) from None
    _check_names(config)
    return config


def _read(source: str | Path) -> tuple[str, str]:
    recipes = _recipe_files()
    if isinstance(source, str) and source in recipes:
        return recipes[source].read_text(encoding="utf-8"), f"recipe '{source}'"
    path = Path(source)
    if path.suffix == ".toml":
        try:
            return path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"expected a readable TOML file, got {path}: {error}") from error
    raise ConfigurationError(f"unknown recipe '{source}': {nearest(str(source), recipes)}, or give a .toml file")


def parse_options(given: Sequence[str]) -> dict[str, Any]:
    """Options given as text, ``key=value`` with TOML values; a bare word is a string.

    Raises:
        ConfigurationError: something else.

    Example:
        >>> parse_options(["points=101", "penalty=1e-4", "activation=relu"])
        {'points': 101, 'penalty': 0.0001, 'activation': 'relu'}
    """
    document: dict[str, Any] = {}
    for option in given:
        _apply(document, option, "points=101")
    return document


def _apply(document: dict[str, Any], override: str, example: str = "networks.fcp.replicas=3") -> None:
    key, equals, text = override.partition("=")
    *parents, last = (part.strip() for part in key.split("."))
    if not equals or not last or not all(parents):
        raise ConfigurationError(f"expected key=value, got '{override}': for instance {example}")
    try:
        override.encode()
    except UnicodeEncodeError:  # the shell passed bytes that are no text
        raise ConfigurationError(f"expected key=value in UTF-8, got {override!a}") from None
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        parsed = {}
    # A bare word is a string, for shells eat the quotes; several lines are one too, not several keys.
    value = parsed["value"] if len(parsed) == 1 else text
    table: Any = document
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"expected a table at '{parent}' in '{override}', got a value")
    table[last] = value


def _fields_at(location: Iterable[int | str]) -> list[str]:
    """Names of the fields of the model at a place in the configuration."""
    model: Any = StudyConfig
    for part in location:
        # A dictionary's key (the name of a network) is no field: the model of its values is at hand already.
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            annotation = model.model_fields[str(part)].annotation
            arguments = [a for a in getattr(annotation, "__args__", ()) if a is not type(None)]
            model = arguments[-1] if arguments else annotation
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _explain(error: ValidationError, origin: str) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *parents, key = first["loc"]
        return f"unknown key '{where}' in {origin}: {nearest(str(key), _fields_at(parents))}"
    if first["type"] == "missing":
        return f"expected the key '{where}' in {origin}, got none: add it"
    if first["type"] in {"model_type", "model_attributes_type", "dict_type"}:
        return f"expected a table '{where}' in {origin}, got {first['input']!r}: write its keys below [{where}]"
    message = first["msg"].removeprefix("Value error, ")
    if message != first["msg"] and isinstance(first["input"], dict):
        return f"{message} in '{where}' of {origin}"  # of several keys together; the table itself says little
    return f"expected a valid '{where}' in {origin}, got {first['input']!r}: {message}"


def make_finder(name: str, options: Mapping[str, Any]) -> paths.PathFinder:
    """Make a path finder, its options checked as those of a recipe are.

    Raises:
        ConfigurationError: an unknown name or option, or one that the finder refuses.
    """
    made: paths.PathFinder = _make(_finder, name, options, f"path finder '{name}'")
    return made


def _finder(name: str, **options: Any) -> Any:
    factory = paths.finders[name]
    valid = inspect.signature(factory).parameters
    for option in options:
        if option not in valid and not any(p.kind is p.VAR_KEYWORD for p in valid.values()):
            raise ConfigurationError(f"path finder '{name}' has no option '{option}': {nearest(option, valid)}")
    return factory(**options)


def _make(factory: Callable[..., Any], name: str, options: Mapping[str, Any], what: str) -> Any:
    """Make what will be made when the study runs, so that its options are refused before anything is computed."""
    try:
        made = factory(name, **options)
    except ConfigurationError:
        raise
    except InputError as error:
        raise ConfigurationError(f"{error} in the options of {what}") from error
    except Exception as error:  # options reach code of others, which fails in its own ways
        raise ConfigurationError(f"expected options that {what} accepts, got {dict(options)}: {error}") from error
    _check_types(made, options, what)
    return made


def _check_types(made: object, options: Mapping[str, Any], what: str) -> None:
    """Refuse 1.5 or "no" where a default says whole number or true/false, which Python would take for now."""
    if not dataclasses.is_dataclass(made):
        return
    for field in dataclasses.fields(made):
        kind = type(field.default)
        if field.name in options and kind in {int, bool} and type(options[field.name]) is not kind:
            wanted = "a whole number" if kind is int else "true or false"
            raise ConfigurationError(f"expected {wanted} for '{field.name}' of {what}, got {options[field.name]!r}")
        if field.name not in options:
            _check_types(getattr(made, field.name), options, what)


def _check_names(config: StudyConfig) -> None:
    if not config.data.name.endswith(".npz"):
        data.datasets[config.data.name]
    for name, network in config.networks.items():
        with preserved_random_state():  # building the model is the one check that covers every option
            _make(models.get, problems.problems[name].model, network.options, f"network '{name}'")
        for optimizer, settings in network.optimizers.items():
            method = _make(optimize.get, optimizer, settings.options, f"optimizer '{optimizer}'")
            stochastic = method.stochastic
            given, wanted = ("iterations", "epochs") if stochastic else ("epochs", "iterations")
            if getattr(settings, given) is not None:
                raise ConfigurationError(
                    f"expected '{wanted}' for optimizer '{optimizer}' of network '{name}', got '{given}'"
                )
    for kind, stages in (("paths", config.paths), ("atlas", config.atlas)):
        for stage, how in stages.items():
            make_finder(how.method, how.options)
            for wanted in how.networks or ():
                if wanted not in config.networks:
                    raise ConfigurationError(
                        f"expected networks of this study in '{kind}.{stage}', got '{wanted}': "
                        f"{nearest(wanted, config.networks)}"
                    )
    if config.select == "validation" and config.data.validation == 0:
        raise ConfigurationError(
            "expected data.validation above 0 with select = 'validation', got 0: hold out a part, such as 0.1"
        )
