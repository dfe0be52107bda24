"""Paths between minima: how high the loss rises on the way."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lossatlas.core.options import check_options, option_names
from lossatlas.core.path import Path
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.auto import AutoPathFinder
from lossatlas.paths.averaging import Averaging, averaging
from lossatlas.paths.chains import AutoNEBPathFinder, NEBPathFinder, StringPathFinder
from lossatlas.paths.curves import CurvePathFinder, FourierPathFinder
from lossatlas.paths.diagnose import diagnose
from lossatlas.paths.finder import PathFinder
from lossatlas.paths.linear import LinearPathFinder
from lossatlas.paths.refreshed import refreshed_line
from lossatlas.paths.registry import Named, finders
from lossatlas.paths.saddle import Descent, follow_minimum_mode, steepest_descent
from lossatlas.paths.schedule import SpanningTree, all_pairs, random_pairs

__all__ = [
    "AutoNEBPathFinder",
    "AutoPathFinder",
    "Averaging",
    "CurvePathFinder",
    "Descent",
    "FourierPathFinder",
    "LinearPathFinder",
    "NEBPathFinder",
    "PathFinder",
    "SpanningTree",
    "StringPathFinder",
    "all_pairs",
    "averaging",
    "diagnose",
    "find",
    "finders",
    "follow_minimum_mode",
    "random_pairs",
    "refreshed_line",
    "steepest_descent",
]

finders.add("auto", AutoPathFinder, "picks a finder by the kind of landscape, and says which")
finders.add("linear", LinearPathFinder, "the straight line; nothing is optimized")
finders.add("neb", NEBPathFinder, "climbing-image nudged elastic band with improved tangents")
finders.add("string", StringPathFinder, "string method with a climbing image")
finders.add("autoneb", AutoNEBPathFinder, "nudged elastic band that adds images where segments are poor")
finders.add("fourier", FourierPathFinder, "sine series, relaxed until converged")
finders.add(
    "fourier-published",
    Named(FourierPathFinder, {"method": "published"}),
    "sine series, the method of Yu & Morozov 2026 as published",
)
finders.add("bezier", Named(CurvePathFinder, {"basis": "bezier"}), "Bezier curve, relaxed until converged")
finders.add("polychain", Named(CurvePathFinder, {"basis": "polychain"}), "polygonal chain, relaxed until converged")


def find(
    landscape: Landscape,
    start: Tensor,
    end: Tensor,
    *,
    method: str = "auto",
    initial: Tensor | None = None,
    **options: Any,
) -> Path:
    """Find a path between two points.

    Args:
        landscape: any landscape.
        start: ``(d,)``, t = 0.
        end: ``(d,)``, t = 1.
        method: one of ``finders``.
        initial: ``(m, d)``, a first guess with both ends; default: the straight line.
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
    return factory(**options).find(landscape, start, end, initial=initial)
