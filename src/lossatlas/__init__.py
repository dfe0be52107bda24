"""lossatlas: an atlas of loss landscapes.

Train many replicas of a network under any optimizer, then map where they ended: how deep, how far apart, and how high
the passes between them are. Works on the paper's networks, on a network of your own, and on any energy function.

    >>> import lossatlas as la
    >>> toy = la.landscape.get("paper-toy")
    >>> path = la.paths.find(toy, *toy.ends, method="linear", points=101)
    >>> round(path.height, 3)
    1.102
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Ensemble",
    "analysis",
    "curvature",
    "data",
    "landscape",
    "models",
    "optimize",
    "paths",
    "plot",
    "problems",
    "report",
    "slices",
    "study",
    "symmetry",
    "theory",
    "training",
]

if TYPE_CHECKING:
    from lossatlas import (
        analysis,
        curvature,
        data,
        landscape,
        models,
        optimize,
        paths,
        problems,
        report,
        slices,
        study,
        symmetry,
        theory,
        training,
    )
    from lossatlas.core.ensemble import Ensemble
    from lossatlas.report import plot

_MOVED = {"Ensemble": "lossatlas.core.ensemble", "plot": "lossatlas.report"}


def __getattr__(name: str) -> Any:
    # Packages load when first used: `import lossatlas` should not wait for plotting libraries.
    if name in _MOVED:
        return getattr(importlib.import_module(_MOVED[name]), name)
    if name in __all__:
        return importlib.import_module(f"lossatlas.{name}")
    raise AttributeError(f"module 'lossatlas' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
