"""Path finders by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lossatlas.core.errors import ConfigurationError
from lossatlas.core.registry import Registry
from lossatlas.paths.finder import PathFinder

__all__ = ["Named", "finders"]


@dataclass(frozen=True)
class Named:
    """A finder under a name of its own: some of its options make the name, and cannot be given.

    Args:
        factory: makes the finder.
        fixed: the options that the name stands for.

    Example:
        >>> from lossatlas.paths import CurvePathFinder
        >>> bezier = Named(CurvePathFinder, {"basis": "bezier"})
        >>> bezier(coefficients=4).label
        'bezier'
        >>> bezier(basis="fourier")
        Traceback (most recent call last):
        lossatlas.core.errors.ConfigurationError: expected no option 'basis', which is 'bezier' under this name, got ...
    """

    factory: Callable[..., PathFinder]
    fixed: Mapping[str, str]

    @property
    def __signature__(self) -> inspect.Signature:
        """What may be given: everything but what is fixed."""
        signature = inspect.signature(self.factory)
        return signature.replace(parameters=[p for n, p in signature.parameters.items() if n not in self.fixed])

    def __call__(self, **options: Any) -> PathFinder:
        """Make the finder.

        Raises:
            ConfigurationError: an option that the name stands for.
        """
        for name, value in self.fixed.items():
            if name in options:
                raise ConfigurationError(
                    f"expected no option '{name}', which is '{value}' under this name, got {options[name]!r}: "
                    "leave it out, or choose the finder by the name of what should run"
                )
        return self.factory(**options, **self.fixed)


finders = Registry[Callable[..., PathFinder]]("path finder")
"""Path finders by name."""
