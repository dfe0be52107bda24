"""Reading a configuration: recipes, TOML files, overrides, and errors that name the nearest valid key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from lossatlas import problems
from lossatlas.core.errors import ConfigurationError, nearest
from lossatlas.study.checks import check_names
from lossatlas.study.config import StudyConfig

__all__ = ["load_config", "parse_config", "parse_options", "recipe_names", "recipe_summary"]


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
    for name, network in networks.items() if isinstance(networks, dict) else ():
        if not (isinstance(network, dict) and network.get("problem")):
            problems.problems[name]  # first: a misspelt network would otherwise be reported as one without optimizers
    try:
        config = StudyConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, origin)) from None
    check_names(config)
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
