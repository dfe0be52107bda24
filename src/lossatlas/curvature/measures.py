"""Measures of sharpness by name: one number per minimum, larger where it is sharper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from lossatlas.core.registry import Registry
from lossatlas.curvature.eigenpairs import eigenvalues
from lossatlas.curvature.local_volume import local_volume
from lossatlas.curvature.sam_sharpness import sam_sharpness
from lossatlas.curvature.scaling import Scaling
from lossatlas.curvature.sharpness import scaled_hessian
from lossatlas.curvature.slice_flatness import slice_flatness
from lossatlas.curvature.trace import trace
from lossatlas.curvature.worst_loss import epsilon_sharpness
from lossatlas.landscape.contract import Landscape

__all__ = ["Measure", "measure", "measures"]

Compute: TypeAlias = Callable[[Landscape, Tensor, int], Tensor]
"""Landscape, minima ``(n, d)`` and seed to ``(n,)``."""


@dataclass(frozen=True)
class Measure:
    """One way to say how sharp a minimum is.

    Args:
        compute: from a landscape, minima ``(n, d)`` and a seed to ``(n,)``.
        invariant: whether it stays the same where the layers of a ReLU network are rescaled and its outputs are not.
        network: whether it needs a network.
    """

    compute: Compute
    invariant: bool
    network: bool = False


measures: Registry[Measure] = Registry("sharpness measure")
"""Every named measure."""


def _top(scaling: Scaling) -> Compute:
    return lambda landscape, w, seed: eigenvalues(scaled_hessian(landscape, w, scaling), k=1, seed=seed).values[..., 0]


def _trace(scaling: Scaling) -> Compute:
    return lambda landscape, w, seed: trace(scaled_hessian(landscape, w, scaling), seed=seed).value


def _log_det(scaling: Scaling) -> Compute:
    return lambda landscape, w, seed: local_volume(landscape, w, scaling=scaling, seed=seed).log_det.value


measures.add("top eigenvalue", Measure(_top("none"), False), "largest eigenvalue of the Hessian")
measures.add("trace", Measure(_trace("none"), False), "trace of the Hessian")
measures.add("relative top eigenvalue", Measure(_top("parameter"), True), "of D H D with D = |w|")
measures.add("relative trace", Measure(_trace("parameter"), True), "of D H D with D = |w|")
measures.add(
    "epsilon",
    Measure(lambda landscape, w, seed: epsilon_sharpness(landscape, w, seed=seed).percent, False),
    "worst loss in the box |s| ≤ 0.001 (|w| + 1), in per cent",
)
measures.add(
    "relative epsilon",
    Measure(
        lambda landscape, w, seed: (
            epsilon_sharpness(landscape, w, radius=0.05, norm="euclidean", scaling="parameter", seed=seed).rise
        ),
        True,
    ),
    "worst rise of the loss in the ball |s / w| ≤ 0.05",
)
measures.add(
    "sam",
    Measure(lambda landscape, w, seed: sam_sharpness(landscape, w).rise, False),
    "rise of the loss a step of 0.05 up its gradient",
)
measures.add(
    "asam",
    Measure(lambda landscape, w, seed: sam_sharpness(landscape, w, scaling="parameter", offset=0.0).rise, True),
    "the same with a step of 0.5 relative to the weights",
)
measures.add(
    "filter slices",
    Measure(lambda landscape, w, seed: slice_flatness(landscape, w, span=0.5, seed=seed).mean_rise, True, network=True),
    "mean rise along filter-normalised slices, up to half the weights' length",
)
measures.add("log det", Measure(_log_det("none"), False), "mean logarithm of the curvature: minus the local volume")
measures.add("relative log det", Measure(_log_det("parameter"), True), "the same of D H D with D = |w|")


def measure(landscape: Landscape, w: Tensor, names: Sequence[str] | None = None, *, seed: int = 0) -> dict[str, Tensor]:
    """Measure how sharp minima are in several ways.

    Args:
        landscape: any.
        w: minima ``(n, d)``.
        names: of :data:`measures`; None: all, without those that need a network where there is none.
        seed: names the random numbers.

    Returns:
        Name to ``(n,)`` in float64; larger is sharper.

    Raises:
        ConfigurationError: an unknown name.
        InputError: points of another landscape, or a measure that needs a network where there is none.

    Example:
        >>> import torch
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=2, eigenvalues=[1.0, 3.0])
        >>> found = measure(bowl, torch.zeros(1, 2).double(), ["top eigenvalue", "trace"])
        >>> {name: round(float(values[0]), 6) for name, values in found.items()}
        {'top eigenvalue': 3.0, 'trace': 4.0}
    """
    chosen = [name for name in measures if landscape.spec is not None or not measures[name].network]
    wanted = chosen if names is None else list(names)
    entries = {name: measures[name] for name in wanted}
    return {name: entry.compute(landscape, w, seed).double().cpu() for name, entry in entries.items()}
