"""Checks of a configuration that need more than itself: names, options, and what they would make."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from lossatlas import data, landscape, models, optimize, paths, problems
from lossatlas.core.errors import ConfigurationError, InputError, nearest
from lossatlas.core.randomness import preserved_random_state
from lossatlas.landscape import Energy
from lossatlas.study.config import FinderConfig, StudyConfig

__all__ = ["check_names", "make_finder", "map_landscape"]

# Tables of the configuration whose entries choose networks.
_STAGES = ("paths", "atlas", "curvature", "holdout")


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


def map_landscape(name: str) -> tuple[Energy, tuple[Tensor, Tensor]]:
    """The landscape of a map and the ends of its paths.

    Raises:
        ConfigurationError: an unknown name, no ends of its own, or another number of coordinates than two.
    """
    energy = landscape.get(name)
    if energy.dim != 2 or energy.ends is None:
        raise ConfigurationError(
            f"expected a landscape of two coordinates with two ends for a map, got '{name}': "
            "take 'paper-toy' or 'muller-brown'"
        )
    return energy, energy.ends


def check_names(config: StudyConfig) -> None:
    """Make everything that the study will make, so that names and options are refused before anything is computed.

    Raises:
        ConfigurationError: an unknown name, with the nearest valid one, or options that are refused.
    """
    if not config.data.name.endswith(".npz"):
        data.datasets[config.data.name]
    _check_networks(config)
    _check_stages(config)
    if config.select == "validation" and config.data.validation == 0:
        raise ConfigurationError(
            "expected data.validation above 0 with select = 'validation', got 0: hold out a part, such as 0.1"
        )


def _check_networks(config: StudyConfig) -> None:
    for name, network in config.networks.items():
        if name in problems.problems and config.problem_of(name) != name:
            raise ConfigurationError(
                f"expected a name of your own for a network with problem = '{network.problem}', got the problem "
                f"'{name}': call it otherwise"
            )
        with preserved_random_state():  # building the model is the one check that covers every option
            _make(models.get, problems.problems[config.problem_of(name)].model, network.options, f"network '{name}'")
        for optimizer, settings in network.optimizers.items():
            method = _make(optimize.get, optimizer, settings.options, f"optimizer '{optimizer}'")
            stochastic = method.stochastic
            given, wanted = ("iterations", "epochs") if stochastic else ("epochs", "iterations")
            if getattr(settings, given) is not None:
                raise ConfigurationError(
                    f"expected '{wanted}' for optimizer '{optimizer}' of network '{name}', got '{given}'"
                )
            if settings.compiled and not stochastic:
                raise ConfigurationError(
                    f"expected compiled = true for a mini-batch optimizer, got it for '{optimizer}' of network "
                    f"'{name}': leave it out"
                )


def _check_stages(config: StudyConfig) -> None:
    for drawn in config.maps.values():
        map_landscape(drawn.landscape)
    finding: list[FinderConfig] = [*config.paths.values(), *config.atlas.values()]
    for how in (*finding, *(finder for drawn in config.maps.values() for finder in drawn.finders.values())):
        make_finder(how.method, how.options)
    chosen = {f"{kind}.{stage}": how.networks for kind in _STAGES for stage, how in getattr(config, kind).items()}
    if config.weights is not None:
        chosen["weights"] = config.weights.networks
    for stage, networks in chosen.items():
        for wanted in networks or ():
            if wanted not in config.networks:
                raise ConfigurationError(
                    f"expected networks of this study in '{stage}', got '{wanted}': {nearest(wanted, config.networks)}"
                )
