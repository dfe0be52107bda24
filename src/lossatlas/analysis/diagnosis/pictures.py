"""Pictures of a diagnosis, as numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossatlas.analysis.diagnosis.case import Case
from lossatlas.analysis.diagnosis.records import Picture, Series
from lossatlas.slices.directions import filter_directions

__all__ = [
    "curvature_picture",
    "curves_picture",
    "direction_picture",
    "layers_picture",
    "slices_picture",
    "step_picture",
    "tops_picture",
]

_POINTS = 61
_DRAWN = 2000


def curves_picture(case: Case, what: str = "run") -> tuple[Picture, ...]:
    """Loss and gradient norm against steps, spikes and divergence marked; nothing without a run."""
    run, facts = case.history, case.facts
    if run is None or facts is None:
        return ()
    curves = run.curves
    keep = _some(len(curves))
    marked = torch.isin(curves.steps, torch.tensor(facts.spikes, dtype=curves.steps.dtype))
    steps = curves.steps[keep].double()
    series = [Series("loss", steps, _gaps(curves.losses[keep]))]
    if bool(curves.gradient_norms.isfinite().any()):
        series.append(Series("gradient norm", steps, _gaps(curves.gradient_norms[keep])))
    if bool(marked.any()):
        series.append(Series("spike", curves.steps[marked].double(), _gaps(curves.gradient_norms[marked]), "points"))
    if facts.diverged_at is not None:
        series.append(_level("divergence", float(facts.diverged_at)))
    shown = tuple(each for each in series if each.kind == "level" or bool(each.y.isfinite().any()))
    if all(each.kind == "level" for each in shown):
        return ()
    caption = "Loss and gradient norm at the steps on record."
    if bool(marked.any()):
        caption += " Spikes: norms above five times the median of the twenty before."
    return (Picture(f"{what}-curves", "The run", caption, "Step", "Loss, gradient norm", shown, log_y=True),)


def tops_picture(case: Case) -> tuple[Picture, ...]:
    """2/λ_max along the run against the learning rate."""
    known = [(step, case.stability / top) for step, top in case.tops if top > 0]
    if case.history is None or not known:
        return ()
    steps, limits = (torch.tensor(each, dtype=torch.float64) for each in zip(*known, strict=True))
    series = [
        Series("largest stable learning rate", steps, limits),
        Series("where it was computed", steps, limits, "points"),
    ]
    rates = case.history.curves.learning_rates
    if case.learning_rate is not None:
        ends = torch.stack([steps[0], steps[-1] if len(steps) > 1 else steps[0] + 1])
        series.append(Series("learning rate in question", ends, torch.full((2,), case.learning_rate).double()))
    if bool(rates.isfinite().any()):
        fine = rates.isfinite() & (rates > 0)
        keep = fine.nonzero()[:, 0]
        keep = keep[_some(len(keep))]
        series.append(Series("learning rate on record", case.history.curves.steps[keep].double(), rates[keep]))
    caption = (
        f"The largest stable learning rate, {case.stability:.3g}/λ_max, at snapshots of the run. Where the learning "
        "rate lies above it, steps along the steepest direction grow."
    )
    title = "Learning rate and stability"
    return (Picture("stability", title, caption, "Step", "Learning rate", tuple(series), log_y=True),)


def step_picture(case: Case) -> tuple[Picture, ...]:
    """Loss after one gradient step against its length."""
    point = case.point
    if not point.gradient_norm > 0 or not point.top > 0:
        return ()
    most = max(4 / point.top, 1.2 * (case.learning_rate or 0.0))
    steps = torch.linspace(0, most, _POINTS, dtype=torch.float64)
    series = [
        Series("loss after one step", steps, _gaps(case.along(-point.gradient, steps).cpu())),
        _level("2/λ_max", 2 / point.top),
    ]
    if case.learning_rate is not None:
        series.append(_level("learning rate", case.learning_rate))
    caption = "The loss one step of gradient descent away against the learning rate of that step."
    return (Picture("gradient-step", "One step ahead", caption, "Learning rate", "Loss", tuple(series)),)


def curvature_picture(case: Case) -> tuple[Picture, ...]:
    """Where the gradient and what is left to gain lie in the spectrum."""
    point = case.point
    keep = point.nodes.abs() > point.zero
    if not bool(keep.any()):
        return ()
    order = point.nodes[keep].abs().argsort()
    at, share = point.nodes[keep].abs()[order].cpu(), point.shares[keep][order].cpu()
    gain = share / at
    series = (
        Series("gradient, squared", at, share.cumsum(0) / share.sum()),
        Series("what is left to gain", at, gain.cumsum(0) / gain.sum()),
    )
    caption = (
        "Cumulated shares of the squared gradient and of the decrease that the quadratic model promises, against the "
        "curvature of the direction (Lanczos from the gradient). Far apart: the gradient points along steep "
        "directions, and what is left to gain lies along flat ones."
    )
    title = "Where the gradient lies in the spectrum"
    return (Picture("curvature-seen", title, caption, "|λ|", "Part", series, log_x=True),)


def direction_picture(case: Case, direction: Tensor, reach: float) -> tuple[Picture, ...]:
    """Loss along the most negative curvature and along the steepest direction."""
    steps = torch.linspace(-reach, reach, _POINTS, dtype=torch.float64)
    series = [Series("way down", steps, _gaps(case.along(direction, steps).cpu()))]
    if case.point.top > 0:
        series.append(Series("steepest direction", steps, _gaps(case.along(case.point.top_vector, steps).cpu())))
    caption = "The loss along the direction of most negative curvature, and along that of most positive one."
    return (Picture("way-down", "The way down", caption, "Distance", "Loss", tuple(series)),)


def layers_picture(case: Case) -> tuple[Picture, ...]:
    """Root mean square of gradient and weights of each layer."""
    if len(case.layers) < 2:
        return ()
    at = torch.arange(len(case.layers), dtype=torch.float64)
    gradient = torch.tensor([layer.gradient for layer in case.layers], dtype=torch.float64)
    weight = torch.tensor([layer.weight for layer in case.layers], dtype=torch.float64)
    series = [
        Series(label, at, values.where(values > 0, torch.nan))
        for label, values in (("gradient", gradient), ("weights", weight))
        if bool((values > 0).any())
    ]
    if not series:
        return ()
    names = tuple(layer.name for layer in case.layers)
    caption = "Root mean square of the gradient and of the weights of each layer, from the input to the output."
    return (
        Picture(
            "layers", "Layer by layer", caption, "Layer", "Root mean square", tuple(series), log_y=True,
            categories=names,
        ),
    )  # fmt: skip


def slices_picture(case: Case) -> tuple[Picture, ...]:
    """Mean loss along filter-normalised slices on both sets of data."""
    spec = case.landscape.spec
    if case.held is None or spec is None or all(len(shape) < 2 for shape in spec.shapes):
        return ()
    directions = filter_directions(case.point.w, spec, 5, case.seed)
    steps = torch.linspace(-0.5, 0.5, 21, dtype=torch.float64)
    series = []
    for label, landscape in (("training data", case.landscape), ("test data", case.held.landscape)):
        other = Case(landscape, case.point)
        values = torch.stack([other.along(direction, steps) for direction in directions])
        series.append(Series(label, steps, _gaps(values.mean(0).cpu())))
    caption = (
        "Mean loss along five random filter-normalised directions; 1 is as long as the weights. A narrow valley of the "
        "training loss, with the test loss high above it, is a sharp minimum that does not generalise."
    )
    return (Picture("slices", "Around the minimum", caption, "Distance", "Loss", tuple(series)),)


def _some(count: int) -> Tensor:
    """Positions of as many points as are drawn, evenly spaced."""
    return torch.arange(count)[:: max(1, -(-count // _DRAWN))]


def _level(label: str, at: float) -> Series:
    x = torch.tensor([at], dtype=torch.float64)
    return Series(label, x, torch.full_like(x, math.nan), "level")


def _gaps(values: Tensor) -> Tensor:
    return values.where(values.isfinite(), torch.nan)
