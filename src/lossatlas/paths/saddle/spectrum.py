"""The lowest Hessian eigenvalues at a point and how many of them are negative."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.randomness import generator
from lossatlas.paths.saddle.model import QuadraticModel
from lossatlas.paths.saddle.probe import Probe

__all__ = ["ZERO", "Spectrum", "lowest_spectrum"]

ZERO = 1e-6
"""Eigenvalues within this part of the largest |eigenvalue| count as zero."""

# Up to here the whole Hessian costs no more products than a careful search for its lowest eigenvalues.
_DENSE = 100
_MOST_PRODUCTS = 300
_BASIS = 60
_REPORTED = 6


@dataclass(frozen=True)
class Spectrum:
    """The lower end of a Hessian's spectrum.

    Args:
        values: ``(k,)``, lowest eigenvalues, ascending; directions that never change the loss are left out.
        vectors: ``(k, d)``, their eigenvectors.
        index: number of eigenvalues below -1e-6 of the largest; None where the search did not settle.
    """

    values: Tensor
    vectors: Tensor
    index: int | None


def lowest_spectrum(probe: Probe, x: Tensor, value: float, gradient: Tensor, start: Tensor) -> Spectrum:
    """Count the negative Hessian eigenvalues at a point.

    With at most 100 coordinates the whole Hessian is made and the count is exact. Beyond, a block Lanczos method with
    random starting vectors goes on until an eigenvalue that is not negative has settled above all negative ones.

    Args:
        probe: the landscape.
        x: ``(d,)``.
        value: loss there.
        gradient: ``(d,)`` there.
        start: ``(n, d)``, directions to begin with, such as the lowest mode.

    Returns:
        The six lowest eigenvalues.
    """
    model = QuadraticModel(probe, x, value, gradient, start)
    if len(x) <= _DENSE:
        model.grow(torch.eye(len(x), dtype=x.dtype, device=x.device))
        return _report(model, settled=True)
    stream = generator(0, "lowest eigenvalues", len(x))
    spent = probe.products + probe.gradients
    # A single start never sees a second eigenvector of a repeated eigenvalue, nor another symmetry; three rarely miss.
    model.grow(torch.randn(3, len(x), dtype=x.dtype, generator=stream).to(x.device))
    while not model.complete:
        negative = _negative(model)
        wanted = min(negative + 1, len(model.values))
        scale = torch.cat([model.values[:wanted].abs(), model.values.new_tensor([ZERO * model.stiffness])])
        residuals = torch.stack([model.residual(i) for i in range(wanted)])
        rough = torch.linalg.vector_norm(residuals, dim=1) > 0.1 * scale[:-1].clamp(min=float(scale[-1]))
        if not bool(rough.any()) and len(model.values) > wanted:
            return _report(model, settled=True)
        if probe.products + probe.gradients - spent > _MOST_PRODUCTS or not model.grow(residuals[rough][:4]):
            return _report(model, settled=False)
        if len(model.values) > _BASIS + negative:
            model.keep(negative + _BASIS // 3)
    return _report(model, settled=True)


def _negative(model: QuadraticModel) -> int:
    return int((model.values < -ZERO * model.stiffness).sum())


def _report(model: QuadraticModel, *, settled: bool) -> Spectrum:
    negative = _negative(model)
    count = min(len(model.values), _REPORTED)
    return Spectrum(model.values[:count], model.vectors[:count], negative if settled else None)
