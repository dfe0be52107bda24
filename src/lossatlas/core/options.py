"""Options by name: unknown ones are refused with the nearest valid name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping

from lossatlas.core.errors import ConfigurationError, nearest

__all__ = ["check_options", "option_names"]


def option_names(factory: Callable[..., object]) -> tuple[str, ...] | None:
    """Names of a factory's keyword arguments; None if it takes any.

    Example:
        >>> option_names(lambda lr, momentum=0.0: None)
        ('lr', 'momentum')
    """
    parameters = inspect.signature(factory).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return tuple(p.name for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY})


def check_options(owner: str, given: Mapping[str, object], valid: Iterable[str]) -> None:
    """Refuse options that do not exist.

    Raises:
        ConfigurationError: names the first unknown option and the nearest valid one.

    Example:
        >>> check_options("sgd", {"momentun": 0.9}, ["lr", "momentum"])
        Traceback (most recent call last):
        lossatlas.core.errors.ConfigurationError: sgd has no option 'momentun': did you mean 'momentum'? ...
    """
    names = list(valid)
    for name in given:
        if name not in names:
            raise ConfigurationError(f"{owner} has no option '{name}': {nearest(name, names)}")
