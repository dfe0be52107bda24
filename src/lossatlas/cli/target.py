"""What a command works on: a landscape by name or of the user's own."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from torch import nn

from lossatlas import landscape as landscapes
from lossatlas import problems
from lossatlas.cli.types import Folder
from lossatlas.core.errors import ConfigurationError, InputError, LossatlasError, nearest
from lossatlas.core.hardware import resolve_device
from lossatlas.landscape import NetworkLandscape
from lossatlas.landscape.contract import Landscape
from lossatlas.study.load import parse_options

__all__ = ["Target", "load_target", "target_options"]

Function = TypeVar("Function", bound=Callable[..., Any])


def target_options(function: Function) -> Function:
    """Add the options that say what a command works on; the command gets ``target``, a function that makes it."""

    @functools.wraps(function)
    def run(
        *,
        problem: str,
        which: str | None,
        data: str | None,
        data_dir: Path | None,
        options: tuple[str, ...],
        device: str | None,
        **others: Any,
    ) -> Any:
        def target() -> Target:
            return load_target(problem, which=which, data=data, data_dir=data_dir, options=options, device=device)

        return function(target=target, **others)

    added = [
        click.option(
            "--problem", required=True, metavar="NAME|MODULE:ATTR",
            help="A named problem or landscape; or a Landscape, a Problem or a function returning one.",
        ),
        click.option("--landscape", "which", type=click.Choice(["train", "test"]), help="Of a problem; else train."),
        click.option("--data", help="Data of a named problem: a name or an .npz file; default: digits."),
        click.option("--data-dir", type=Folder(), help="Where data files are."),
        click.option(
            "--option", "options", multiple=True, metavar="KEY=VALUE",
            help="Option of the problem, such as activation=relu.",
        ),
        click.option("--device", help="cpu or cuda."),
    ]  # fmt: skip
    wrapped: Any = run
    for option in reversed(added):
        wrapped = option(wrapped)
    return cast(Function, wrapped)


@dataclass(frozen=True)
class Target:
    """What a command works on.

    Args:
        name: of the landscape.
        landscape: the loss or energy.
        unit: of the loss.
        details: of the problem, for the record.
        test: loss over the test data of a problem whose training landscape this is; else None.
        stored: the landscape with normalisation statistics that are given, not taken from the data; None: the network
            keeps none.
    """

    name: str
    landscape: Landscape
    unit: str
    details: dict[str, Any]
    test: Landscape | None = None
    stored: NetworkLandscape | None = None


def load_target(
    problem: str,
    *,
    which: str | None = None,
    data: str | None = None,
    data_dir: Path | None = None,
    options: Sequence[str] = (),
    device: str | None = None,
) -> Target:
    """Make the landscape that a command works on.

    Args:
        problem: the name of a problem or landscape, or ``module:attr``.
        which: ``"train"`` or ``"test"``, of a problem; None: train.
        data: of a named problem.
        data_dir: where its files are.
        options: ``key=value``, of the problem.
        device: where to compute.

    Raises:
        ConfigurationError: an unknown name or option.
        InputError: a module that cannot be imported, or an attribute that is no landscape.
        DataError: missing or corrupt data.
    """
    given = parse_options(options)
    held: Landscape | None = None
    stored: NetworkLandscape | None
    place = None if device is None else str(resolve_device(device))
    made: object
    if problem in problems.problems:
        made = problems.get(problem, data=data or "digits", data_dir=data_dir, device=place, **given)
    else:
        if data is not None or data_dir is not None:
            raise InputError(f"expected --data with a named problem, got it with '{problem}', which brings its own")
        if problem in landscapes.landscapes:
            made = landscapes.get(problem, **given)
        elif ":" in problem:
            made = _imported(problem, given)
        else:
            raise ConfigurationError(f"unknown problem or landscape '{problem}': {_meant(problem)}")
    if isinstance(made, problems.Problem):
        chosen = which or "train"
        held_statistics = made.with_mode("eval") if made.keeps_statistics else None
        stored = None if held_statistics is None else held_statistics.landscape(chosen)
        # Files may come with statistics: commands say where they use those, and where they take them from the data.
        base = made if held_statistics is None or made.mode_is_named else held_statistics
        found: Landscape = base.landscape(chosen)
        name, unit, details = f"{made.name}, {chosen} data", made.loss_unit, dict(made.details)
        held = base.landscape("test") if chosen == "train" else None
    elif isinstance(made, Landscape) and not isinstance(made, type):
        if which is not None:
            raise InputError(
                f"expected --landscape with a problem, got it with the landscape '{problem}': leave it out"
            )
        found, name, unit, details = made, problem, "", {}
        stored = made if isinstance(made, NetworkLandscape) and made.keeps_statistics else None
    else:
        raise InputError(
            f"expected a Landscape, a Problem or a function returning one at '{problem}', got {type(made).__name__}"
            f"{_WRAP.format(name='mine', model='your module') if isinstance(made, nn.Module) else ''}"
        )
    record = {"name": problem, "options": given or None, **_flat(details)}
    if place is not None:
        found, held = found.to(device=place), None if held is None else held.to(device=place)
        stored = None if stored is None else stored.to(device=place)
    return Target(name, found, unit, record, held, stored)


# ---------------------------------------------------------------------- inside
# What is said where a network came without its loss and data.
_WRAP = (
    ": make a problem = lossatlas.problems.Problem('{name}', {model}, loss, train=(x, y), test=(x, y)) and name that"
)


def _meant(problem: str) -> str:
    """What an unknown name may stand for: first a module in this folder, then what there is by name."""
    known = nearest(problem, [*problems.problems, *landscapes.landscapes])
    module = problem.removesuffix(".py")
    if module.isidentifier() and Path(f"{module}.py").is_file():
        return f"for the file {module}.py give {module}:NAME, with what it calls the problem; or {known}"
    return f"{known}, or give module:attr"


def _imported(name: str, options: Mapping[str, Any]) -> object:
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise InputError(f"expected module:attr, got '{name}': for instance mine:problem")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's module fails in its own ways
        absent = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        remedy = "run the command in its folder" if absent else f"mend it until 'import {module_name}' works in Python"
        raise InputError(
            f"expected a module that can be imported at '{module_name}', got {type(error).__name__} '{error}': {remedy}"
        ) from error
    try:
        found: object = module
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError:
        public = [word for word in vars(module) if not word.startswith("_")]
        raise InputError(f"expected '{attribute}' in module '{module_name}': {nearest(attribute, public)}") from None
    if isinstance(found, nn.Module) or (isinstance(found, type) and issubclass(found, nn.Module)):
        came = f"a network of {type(found).__name__}" if isinstance(found, nn.Module) else "a class of networks"
        raise InputError(
            f"expected a Landscape, a Problem or a function returning one at '{name}', got {came}"
            f"{_WRAP.format(name=attribute, model=attribute)}"
        )
    is_made = isinstance(found, problems.Problem | Landscape) and not isinstance(found, type)
    if is_made or not callable(found):
        if options and is_made:
            raise InputError(f"expected --option with a function, got it with '{name}', which is made already")
        return found
    try:
        return found(**options)
    except LossatlasError:
        raise
    except Exception as error:
        raise InputError(
            f"expected a function that returns a Landscape or a Problem at '{name}', got {type(error).__name__} "
            f"'{error}' from it"
        ) from error


def _flat(details: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in details.items():
        for inner, content in value.items() if isinstance(value, Mapping) else ((None, value),):
            flat[key if inner is None else f"{key} {inner}"] = content
    return {key: value for key, value in flat.items() if value is None or isinstance(value, bool | int | float | str)}
