"""local_volume: the logarithm of the volume around a minimum in which the loss stays low."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.results import on_cpu
from lossatlas.curvature.density import spectral_density
from lossatlas.curvature.sampling import Sampled, check_confidence, mean_over
from lossatlas.curvature.scaling import INVARIANCE, Scaling
from lossatlas.curvature.sharpness import scaled_hessian
from lossatlas.landscape.contract import Landscape

__all__ = ["LocalVolume", "local_volume"]

# Up to here all eigenvalues at once cost no more than random vectors would.
_DENSE = 1000


@dataclass(frozen=True)
class LocalVolume:
    """Volumes of the ellipsoids in which the loss rises by no more than a given amount.

    Args:
        log_volume: ``(*b,)`` with its error and interval, natural logarithm; without error where all eigenvalues were
            computed.
        log_det: ``(*b,)``, log det(D H₊ D + α) / d with its error and interval: the mean logarithm of the curvature.
        rise: δ.
        damping: α.
        dim: d.
        scaling: what D is.
        products: ``(*b,)``, products spent on each minimum.
        method: how they were computed.
        data: what the loss is averaged over.
        invariance: what the measure does not see, in words.
    """

    log_volume: Sampled
    log_det: Sampled
    rise: float
    damping: float
    dim: int
    scaling: Scaling
    products: Tensor
    method: str
    data: str
    invariance: str


def local_volume(
    landscape: Landscape,
    w: Tensor,
    *,
    rise: float = 1e-2,
    damping: float = 1e-3,
    scaling: Scaling = "none",
    probes: int = 10,
    steps: int = 60,
    confidence: float = 0.99,
    seed: int = 0,
) -> LocalVolume:
    """Log volume of {u : ½ uᵀ (D H₊ D + α) u ≤ δ}, where the quadratic model of the loss at w + D u rises by δ at most.

    log V = (d/2) log(2πδ) − log Γ(d/2 + 1) − ½ log det(D H₊ D + α), with H₊ the positive part of the Hessian. A network
    has far more flat directions than samples can tell apart, and without the damping α the volume would be infinite;
    α is the precision of a Gaussian prior of weights in units of D. It decides how much flat directions count, so
    compare volumes with the same α, δ and D only. The determinant comes from stochastic Lanczos quadrature, or of small
    networks from all eigenvalues.

    Args:
        landscape: any; ``"filter"`` and ``"layer"`` need a network.
        w: points ``(*b, d)``, minima.
        rise: δ, in units of the loss.
        damping: α.
        scaling: ``"none"``, or coordinates relative to the weights: ``"parameter"``, ``"filter"``, ``"layer"``.
        probes: random vectors, at least 2.
        steps: products for each.
        confidence: of the intervals, which speak of the random vectors alone.
        seed: names them.

    Returns:
        The volumes.

    Raises:
        InputError: arguments that cannot be.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=2, eigenvalues=[2.0, 8.0])
        >>> found = local_volume(bowl, torch.zeros(2).double(), rise=0.5, damping=1e-12)
        >>> round(math.exp(float(found.log_volume.value)) / math.pi, 6)
        0.25

    Ubaru, Chen & Saad 2017 for the determinant; Wu, Zhu & E 2017 for the volume as a measure of generalisation.
    """
    check_confidence(confidence)
    if not rise > 0 or not damping > 0:
        raise InputError(f"expected a rise and a damping above 0, got {rise} and {damping}")
    operator = scaled_hessian(landscape, w, scaling)
    if operator.dim <= min(probes * steps, _DENSE):
        values = torch.linalg.eigvalsh(operator.dense())
        exact = torch.log(values.clamp_min(0.0) + damping).mean(-1)
        found = Sampled(exact, torch.zeros_like(exact), exact, exact, 0, confidence)
        method = f"{operator.method}; dense"
    else:
        density = spectral_density(operator, probes=probes, steps=steps, seed=seed)
        logs = torch.log(density.nodes.clamp_min(0.0) + damping)
        found = mean_over((density.weights * logs).sum(-1).movedim(-1, 0), confidence)
        method = density.method
    half = 0.5 * operator.dim
    whole = half * math.log(2 * math.pi * rise) - math.lgamma(half + 1)

    def volume(log_det: Tensor) -> Tensor:
        return whole - half * log_det

    log_volume = Sampled(
        volume(found.value), half * found.error, volume(found.high), volume(found.low), found.samples, confidence
    )
    return on_cpu(
        LocalVolume(
            log_volume,
            found,
            rise,
            damping,
            operator.dim,
            scaling,
            operator.products,
            method,
            operator.data,
            INVARIANCE[scaling],
        )
    )
