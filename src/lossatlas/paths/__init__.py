"""Paths between minima: how high the loss rises on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from lossatlas.core.options import check_options, option_names
from lossatlas.core.path import Path
from lossatlas.core.registry import Registry
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.diagnose import diagnose
from lossatlas.paths.finder import PathFinder
from lossatlas.paths.linear import LinearPathFinder
from lossatlas.paths.saddle import Descent, follow_minimum_mode, steepest_descent

__all__ = [
    "Descent",
    "LinearPathFinder",
    "PathFinder",
    "diagnose",
    "find",
    "finders",
    "follow_minimum_mode",
    "steepest_descent",
]


finders = Registry[Callable[..., PathFinder]]("path finder")
"""Path finders by name."""
finders.add("linear", LinearPathFinder, "the straight line; nothing is optimized")


def find(landscape: Landscape, start: Tensor, end: Tensor, *, method: str = "linear", **options: Any) -> Path:
    """Find a path between two points.

    Args:
        landscape: any landscape.
        start: ``(d,)``, t = 0.
        end: ``(d,)``, t = 1.
        method: one of ``finders``.
        options: of that finder, such as ``points=101``.

    Returns:
        The path with its height, barriers and cost.

    Raises:
        ConfigurationError: unknown method or option.
        InputError: ends that are not points of the landscape.

    Example:
        >>> import torch
        >>> from lossatlas.landscape import from_function
        >>> double_well = from_function(lambda x: (x[0] ** 2 - 1) ** 2, dim=1)
        >>> ends = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
        >>> find(double_well, *ends, points=5).height
        1.0
    """
    factory = finders[method]
    check_options(f"path finder '{method}'", options, option_names(factory) or options)
    return factory(**options).find(landscape, start, end)
