"""Path finders by name."""

from __future__ import annotations

from collections.abc import Callable

from lossatlas.core.registry import Registry
from lossatlas.paths.finder import PathFinder

__all__ = ["finders"]

finders = Registry[Callable[..., PathFinder]]("path finder")
"""Path finders by name."""
