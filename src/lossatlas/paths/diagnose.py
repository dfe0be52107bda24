"""Diagnostics of a path: what was sampled, what lies between the samples, and what a reader should know."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossatlas.core.curve import Curve
from lossatlas.core.errors import InputError
from lossatlas.core.path import Path
from lossatlas.core.results import on_cpu
from lossatlas.landscape.contract import AffineRows, Landscape, SupportsHvp, SupportsMetrics
from lossatlas.paths.refine import refine_height
from lossatlas.paths.saddle import finish_saddle

__all__ = ["check_ends", "diagnose", "resolution"]

# Samples on a stretch as long as the straight distance between the ends, before the resolution is doubled: losses of
# networks are smooth on that scale and dear, energies may have narrow features and are cheap.
_RESOLUTION_NETWORK = 25
_RESOLUTION_ENERGY = 100
_MOST_SAMPLES = 20_000
# Numbers in the sampled points that are kept with a path: enough for anything that is drawn, not for networks.
_KEPT_NUMBERS = 100_000
# An end counts as a minimum where no step of these fractions of the distance along -∇L lowers the loss by more than
# this fraction of (height - lower end).
_END_STEPS = (1e-4, 1e-3, 1e-2)
_END_DROP = 1e-3


def resolution(landscape: Landscape) -> int:
    """Samples on a stretch as long as the straight distance, before the refined height doubles them."""
    return _RESOLUTION_ENERGY if landscape.samples is None else _RESOLUTION_NETWORK


def check_ends(start: Tensor, end: Tensor) -> None:
    """Refuse ends whose coordinates are not finite: on the way between them each would spoil the other.

    Args:
        start: ``(*b, d)``.
        end: ``(*b, d)``.

    Raises:
        InputError: NaN or infinity in one of them.
    """
    for x, name in ((start, "start"), (end, "end")):
        wrong = ~x.isfinite()
        if bool(wrong.any()):
            raise InputError(
                f"expected finite coordinates at both ends, got {_spell(x[wrong])} ones at the {name}: "
                "choose another point"
            )


def diagnose(
    landscape: Landscape,
    curve: Curve,
    t: Tensor,
    *,
    method: str,
    tolerance: float = 1e-6,
    saddle: bool | None = False,
) -> Path:
    """Measure a curve in float64 on the whole data.

    Args:
        landscape: where, in any dtype.
        curve: the path.
        t: ``(m,)``, the samples, from 0 to 1.
        method: its name.
        tolerance: of the refined height, see :func:`lossatlas.paths.refine.refine_height`; 0: neither
            refined nor are the ends checked to be minima.
        saddle: follow the softest mode from the highest point to a stationary point; None: where the landscape is
            smooth and has Hessian-vector products, but is not a network.

    Returns:
        The path; its ``evaluations`` hold what the diagnostics cost, its ``status`` is ``"not finite"`` where the
        loss is not.

    Raises:
        InputError: the loss or a coordinate of an end is not finite.
    """
    check_ends(curve.start, curve.end)
    exact = landscape.to(dtype=torch.float64)
    curve = curve.to(dtype=torch.float64, device=exact.device)
    t = t.to(dtype=torch.float64, device="cpu")
    directions = curve.directions
    base = torch.zeros_like(curve.start)

    def rows(at: Tensor) -> AffineRows:
        return AffineRows(base, curve.weights(at.to(exact.device)), directions)

    def loss_at(at: Tensor) -> Tensor:
        return exact.value(rows(at)).cpu()

    metrics: dict[str, Tensor] | None = None
    if isinstance(exact, SupportsMetrics):
        metrics = {name: values.cpu() for name, values in exact.metrics(rows(t)).items()}
        loss = metrics.pop("loss")
    else:
        loss = loss_at(t)
    for value, name in ((loss[0], "start"), (loss[-1], "end")):
        if not bool(value.isfinite()):
            raise InputError(f"expected a finite loss at both ends, got {float(value)} at the {name}")

    grid = _grid(curve, t, resolution(landscape))
    arc = curve.arc_length(grid)
    length = float(arc[-1])
    evaluations: dict[str, float] = {"values": len(t), "diagnostic_values": 0, "diagnostic_gradients": 0}
    status, message = "not optimized", ""
    refined = None
    broken = ~loss.isfinite()
    if bool(broken.any()):
        status, message = "not finite", f"the loss is {_spell(loss[broken])} at t = {float(t[broken][0]):.6g}"
    elif tolerance > 0:
        refined = refine_height(loss_at, grid, known=(t, loss), tolerance=tolerance)
        evaluations["diagnostic_values"] += refined.evaluations
        if math.isnan(refined.value):
            status, message = "not finite", f"the loss is not finite at t = {refined.t:.6g}, between two samples"
            refined = None
    warnings: list[str] = []
    height = float(loss.max()) if refined is None else refined.value
    if refined is not None and not refined.converged:
        warnings.append("the refined height still changed when the resolution was doubled for the last time")
    # Without refinement the samples alone were asked for: the ends' gradients would cost as much again.
    if status != "not finite" and curve.distance > 0 and tolerance > 0:
        scale = height - min(float(loss[0]), float(loss[-1]))
        for name, x, value in (("start", curve.start, loss[0]), ("end", curve.end, loss[-1])):
            drop = _drop_beside(exact, x, float(value), curve.distance)
            evaluations["diagnostic_gradients"] += 1
            evaluations["diagnostic_values"] += len(_END_STEPS)
            if drop > _END_DROP * scale and drop > 1e-12 * abs(float(value)):
                warnings.append(
                    f"the {name} is not a minimum: the loss falls from {float(value):.6g} to {float(value) - drop:.6g} "
                    "beside it"
                )
    found = None
    top = float(t[loss.argmax()]) if refined is None else refined.t
    if status != "not finite" and curve.distance > 0 and 0 < top < 1 and _wants_saddle(exact, saddle):
        found = finish_saddle(exact, curve, top)
        evaluations["saddle_gradients"] = found.evaluations["gradients"]
        evaluations["hessian_products"] = found.evaluations["hessian_products"]
    return Path(
        method=method,
        t=t,
        loss=loss,
        length=length,
        distance=curve.distance,
        evaluations=evaluations,
        points=curve.at(t).cpu() if len(t) * len(curve.start) <= _KEPT_NUMBERS else None,
        metrics=metrics or None,
        message=message,
        status=status,
        arc=torch.stack([arc[torch.searchsorted(grid, at)] for at in t]).cpu(),
        refined_height=None if refined is None else refined.value,
        refined_t=None if refined is None else refined.t,
        refined=refined is not None and refined.converged,
        curve=curve.to(device="cpu"),
        saddle=on_cpu(found),
        warnings=tuple(warnings),
    )


def _grid(curve: Curve, t: Tensor, resolution: int) -> Tensor:
    """The path's own samples and, unless they lie that close, others at equal steps of arc length."""
    coarse = curve.uniform(len(t))
    stretch = float(curve.arc_length(coarse)[-1]) / curve.distance if curve.distance > 0 else 1.0
    # An infinite or NaN length means infinite coefficients; the loss says so at the samples.
    wanted = resolution * stretch if math.isfinite(stretch) else 0
    widest = float(curve.arc_length(t).diff().max())
    if widest * wanted <= stretch * curve.distance:
        even = t
    else:
        even = curve.uniform(min(max(resolution, int(wanted)), _MOST_SAMPLES) + 1)
    # A chain has its maxima at its corners more often than not, and Brent's search is slow at a corner.
    corners = torch.linspace(0, 1, len(curve.coefficients) + 2, dtype=t.dtype) if curve.basis == "polychain" else t
    grid: Tensor = torch.cat([even.cpu(), t, corners]).unique()  # type: ignore[no-untyped-call]
    return grid


def _drop_beside(landscape: Landscape, x: Tensor, value: float, distance: float) -> float:
    """How far the loss falls at most along -∇L within a small part of the distance."""
    _, grad = landscape.value_and_grad(x)
    norm = torch.linalg.vector_norm(grad)
    if not bool(norm.isfinite()) or float(norm) == 0:
        return 0.0
    steps = torch.tensor(_END_STEPS, dtype=x.dtype, device=x.device) * distance
    values = landscape.value(AffineRows(x, -steps[:, None], (grad / norm)[None]))
    return max(0.0, value - float(values.nan_to_num(nan=math.inf).min()))


def _wants_saddle(landscape: Landscape, asked: bool | None) -> bool:
    if asked is None:
        return landscape.samples is None and isinstance(landscape, SupportsHvp)
    return asked


def _spell(values: Tensor) -> str:
    return "NaN" if bool(values.isnan().any()) else "infinite"
