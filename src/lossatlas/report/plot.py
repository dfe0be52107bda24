"""plot: the figure that belongs to a result."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossatlas.analysis import BarrierTree
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.errors import InputError
from lossatlas.core.path import Path
from lossatlas.report.curves import curve_panel
from lossatlas.report.disconnectivity import disconnectivity_figure
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Line, Mark, Points
from lossatlas.report.profiles import loss_axis, path_axis
from lossatlas.report.routes import arc_axis, highest_point, position
from lossatlas.report.surfaces import surface_figure
from lossatlas.report.wording import network_name, number, optimizer_name
from lossatlas.slices import Surface

__all__ = ["plot"]


def plot(result: Ensemble | Path | BarrierTree | Surface | Figure | Sequence[Path]) -> Figure:
    """Draw a result.

    Args:
        result: an ensemble (its loss curves, chosen points marked), a path (the loss along it, its barrier marked),
            several paths in one panel, a barrier tree (its disconnectivity graph), or a surface. A figure is
            returned as it is.

    Returns:
        A figure: it shows itself in a notebook, ``.interactive()`` is the Plotly figure, ``.save(path)`` writes
        PNG, SVG, PDF, HTML or CSV by the suffix of the path.

    Raises:
        InputError: something else, or a result without curves or finite losses.

    Example:
        >>> import torch
        >>> path = Path("linear", torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 4.0, 2.0]), 3.0, 3.0,
        ...             {"values": 3, "gradients": 0})
        >>> [entry.label for entry in plot(path).legend]
        ['higher end', 'barrier 2.0', 'linear', 'highest point']
    """
    if isinstance(result, Figure):
        return result
    if isinstance(result, Ensemble):
        return _ensemble(result)
    if isinstance(result, Path):
        return _path(result)
    if isinstance(result, BarrierTree):
        return disconnectivity_figure(result)
    if isinstance(result, Surface):
        return surface_figure(result)
    if isinstance(result, Sequence) and result and all(isinstance(item, Path) for item in result):
        return _paths(result)
    raise InputError(
        f"expected an Ensemble, a Path or a list of Paths, a BarrierTree or a Surface to plot, got "
        f"{type(result).__name__}"
    )


def _ensemble(ensemble: Ensemble) -> Figure:
    titles = {"train_loss": "On the training data", "test_loss": "On the test data"}
    panels = [curve_panel([ensemble], name, title) for name, title in titles.items()]
    drawn = tuple(panel for panel in panels if panel is not None)
    if not drawn:
        raise InputError("expected an ensemble with loss curves, got none: imported weights have no history")
    network, optimizer = network_name(ensemble.problem), optimizer_name(ensemble.optimizer)
    caption = (
        f"Loss of each kept replica of {network} trained by {optimizer}; "
        "markers show where the weights of each set were taken."
    )
    return Figure("loss-curves", f"Training of {network} by {optimizer}", caption, drawn, columns=len(drawn))


def _check(path: Path) -> None:
    if not bool(path.loss[[0, -1]].isfinite().all()):
        raise InputError("expected a path with finite losses, got NaN or infinity: give ends with finite losses")


def _gaps(path: Path) -> Tensor:
    """Losses with gaps where they are not finite, which happens between two finite ends."""
    return path.loss.where(path.loss.isfinite(), torch.nan)


def _axis(paths: Sequence[Path]) -> Axis:
    """Arc length, or t where that of some path is not known."""
    return path_axis() if any(path.arc is None for path in paths) else arc_axis()


def _loss(paths: Sequence[Path]) -> Axis:
    # A path does not know what its loss is measured in.
    return loss_axis(paths, "")


def _path(path: Path) -> Figure:
    _check(path)
    at, height = highest_point(path)
    level = max(float(path.loss[0]), float(path.loss[-1]))
    marks: list[Mark] = [
        Line([0.0, float(position(path)[-1])], [level, level], "higher end", "neutral", dashed=True),
        Line([at, at], [level, height], f"barrier {number(height - level)}", "neutral"),
        Line(position(path), _gaps(path), path.method, "path"),
        Points([at], [height], "highest point", "path", "diamond"),
    ]
    between = ", refined between the samples," if path.refined else ""
    caption = (
        f"Loss along a {path.method} path from its start to its end. Its highest point, {number(height)}{between} "
        f"lies {number(height - level)} above the higher end."
    )
    panel = Panel(f"{path.method} path", _axis([path]), _loss([path]), tuple(marks))
    return Figure("path", "Loss along a path", caption, (panel,))


def _paths(paths: Sequence[Path]) -> Figure:
    for path in paths:
        _check(path)
    several = len({path.method for path in paths}) > 1
    along = [path.t if _axis(paths) == path_axis() else position(path) for path in paths]
    marks = tuple(
        Line(x, _gaps(p), p.method, p.method if several else "path", member=f"path {i}", faint=len(paths) > 4)
        for i, (x, p) in enumerate(zip(along, paths, strict=True))
    )
    heights = [highest_point(path)[1] for path in paths]
    caption = f"Loss along {len(paths)} paths; their heights run from {number(min(heights))} to {number(max(heights))}."
    panel = Panel("Paths", _axis(paths), _loss(paths), marks)
    return Figure("paths", "Loss along paths", caption, (panel,))
