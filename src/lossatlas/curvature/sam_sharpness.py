"""sam_sharpness: how much the loss rises one step up its gradient, plain (SAM) or relative to the weights (ASAM)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_norm
from lossatlas.core.results import on_cpu
from lossatlas.curvature.scaling import INVARIANCE, Scaling, weight_scale
from lossatlas.landscape.contract import Landscape, accept_rows

__all__ = ["SamSharpness", "sam_sharpness"]

_PLAIN_RADIUS, _ADAPTIVE_RADIUS, _ADAPTIVE_OFFSET = 0.05, 0.5, 0.01


@dataclass(frozen=True)
class SamSharpness:
    """The rise of the loss along its own gradient.

    Args:
        rise: ``(*b,)``, mean over mini-batches of L(w + ε) − L(w); NaN where a gradient vanishes, which has no
            direction.
        error: ``(*b,)``, standard error of that mean; NaN of one batch.
        gradient_norm: ``(*b,)``, mean |D g|: the rise is ρ |D g| to first order.
        batches: how many mini-batches.
        radius: ρ.
        scaling: what D is.
        offset: η in D = T + η.
        data: what the loss is averaged over.
        invariance: what the measure does not see, in words.
    """

    rise: Tensor
    error: Tensor
    gradient_norm: Tensor
    batches: int
    radius: float
    scaling: Scaling
    offset: float
    data: str
    invariance: str


def sam_sharpness(
    landscape: Landscape,
    w: Tensor,
    *,
    radius: float | None = None,
    scaling: Scaling = "none",
    offset: float | None = None,
    batches: Tensor | None = None,
) -> SamSharpness:
    """L(w + ε) − L(w) with ε = ρ D² g / |D g|, the step of sharpness-aware minimisation.

    D = 1 is SAM, with ρ = 0.05; D = |w| + 0.01 (``scaling="parameter"``) is ASAM, with ρ = 0.5. With an offset of 0 the
    adaptive measure does not change at all when single weights are rescaled; with the published 0.01 nearly so.

    At a minimum of the full loss the gradient says little: what sharpness-aware training sees are the rises on
    mini-batches, each along its own gradient (m-sharpness). Pass ``batches`` for those, and
    :func:`lossatlas.curvature.epsilon_sharpness` for the worst direction whatever the gradient.

    Args:
        landscape: any; evaluated in float64 whatever its type.
        w: points ``(*b, d)``.
        radius: ρ; None: 0.05, or 0.5 where scaled.
        scaling: ``"none"``, ``"parameter"``, ``"filter"`` or ``"layer"``.
        offset: η added to the scale; None: 0, or 0.01 where scaled.
        batches: indices of examples, ``(m, B)``; None: the loss as it is.

    Returns:
        The rises.

    Raises:
        InputError: points of another landscape, or arguments that cannot be.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=2, eigenvalues=[1.0, 4.0], rotate=False)
        >>> at = torch.tensor([0.0, 1.0], dtype=torch.float64)
        >>> round(float(sam_sharpness(bowl, at, radius=0.1).rise), 6)
        0.42

    Foret, Kleiner, Mobahi & Neyshabur 2021, eq. 2; Kwon, Kim, Park & Choi 2021, eq. 7.
    """
    w = accept_rows(w, landscape)
    rho = (_PLAIN_RADIUS if scaling == "none" else _ADAPTIVE_RADIUS) if radius is None else radius
    eta = (0.0 if scaling == "none" else _ADAPTIVE_OFFSET) if offset is None else offset
    if not rho > 0 or not eta >= 0:
        raise InputError(f"expected a radius above 0 and an offset of at least 0, got {rho} and {eta}")
    if batches is not None and batches.ndim != 2:
        raise InputError(f"expected batches of shape (m, B), got {tuple(batches.shape)}")
    exact = landscape.to(dtype=torch.float64)
    points = w.detach().double()
    scale = weight_scale(scaling, points, landscape.spec)
    scale = scale if scaling == "none" else scale + eta
    rises, norms = [], []
    for part in [exact] if batches is None else [exact.on(batch) for batch in batches]:
        loss, gradient = part.value_and_grad(points)
        scaled = scale * gradient
        norm = row_norm(scaled)
        ascent = rho * scale * scaled / norm[..., None]
        moving = norm > 0
        risen = part.value(points + ascent.where(moving[..., None], torch.zeros_like(ascent))) - loss
        rises.append(risen.where(moving, torch.nan))
        norms.append(norm)
    every = torch.stack(rises)
    count = len(rises)
    error = every.std(0) / count**0.5 if count > 1 else torch.full_like(every[0], torch.nan)
    words = INVARIANCE[scaling] if scaling == "none" or eta == 0 else f"nearly invariant: {eta:g} is added to the scale"
    samples = landscape.samples
    data = "no data" if samples is None else f"all {samples} examples"
    if batches is not None:
        data = f"{count} mini-batches of {batches.shape[1]} examples"
    return on_cpu(SamSharpness(every.mean(0), error, torch.stack(norms).mean(0), count, rho, scaling, eta, data, words))
