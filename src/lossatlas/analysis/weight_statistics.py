"""Weight statistics: how large the components of a set of weights are, with errors over minima."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossatlas.analysis.gram import checked_weights
from lossatlas.analysis.uncertainty import Estimate, mean_of_runs
from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree
from lossatlas.core.params import ParamSpec

__all__ = ["ComponentStatistics", "WeightStatistics", "weight_statistics"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ComponentStatistics:
    """Mean and standard deviation of the components of one parameter tensor, or of all.

    Args:
        name: of the parameter tensor.
        size: components per minimum.
        mean: μ, with its standard error over minima.
        deviation: σ, with its standard error over minima.
    """

    name: str
    size: int
    mean: Estimate
    deviation: Estimate

    @classmethod
    def from_tree(cls, tree: Tree) -> ComponentStatistics:
        """Rebuild from a dict of the fields."""
        return cls(tree["name"], tree["size"], Estimate(**tree["mean"]), Estimate(**tree["deviation"]))


@dataclass(frozen=True, eq=False)
class WeightStatistics:
    """Sizes of the weights of a set; made by :func:`weight_statistics`.

    Args:
        components: over all components, named ``"all"``.
        tensors: the same for each parameter tensor, in flat order; empty without a spec.
        norms: ``(n,)``, |w_i|, in float64.
        norm: their mean.
        norm_deviation: their standard deviation (n − 1 in the denominator).
    """

    components: ComponentStatistics
    tensors: tuple[ComponentStatistics, ...]
    norms: Tensor
    norm: Estimate
    norm_deviation: Estimate

    @property
    def minima(self) -> int:
        """Number n of minima."""
        return len(self.norms)

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which statistics are stored."""
        return asdict(self)

    @classmethod
    def from_tree(cls, tree: Tree) -> WeightStatistics:
        """Rebuild statistics from :meth:`to_tree`."""
        return cls(
            ComponentStatistics.from_tree(tree["components"]),
            tuple(ComponentStatistics.from_tree(part) for part in tree["tensors"]),
            tree["norms"],
            Estimate(**tree["norm"]),
            Estimate(**tree["norm_deviation"]),
        )


def _jackknife(whole: float, without: Array, confidence: float) -> Estimate:
    """The estimate of all minima with a standard error from those that leave out one each."""
    n = len(without)
    # The spread of the pseudo-values is the jackknife's; their mean, corrected for bias, is not the number published.
    pseudo = mean_of_runs((n * whole - (n - 1) * without).tolist(), confidence)
    shift = whole - pseudo.mean
    return Estimate(whole, pseudo.error, pseudo.low + shift, pseudo.high + shift, n)


def _unknown(value: float, units: int) -> Estimate:
    return Estimate(value, math.nan, math.nan, math.nan, units)


def _components(name: str, weights: Tensor, confidence: float) -> ComponentStatistics:
    size = weights.shape[1]
    means = _per_row(weights, torch.mean)
    centre = float(means.mean())
    # About the mean of all, in a second pass: E[w²] − μ² would lose the digits of a large mean.
    squares = _per_row(weights, lambda row: (row - centre).square().mean())
    n = len(means)
    deviation = math.sqrt(float(squares.mean()))
    mean = mean_of_runs(means.tolist(), confidence)
    if n < 2:
        return ComponentStatistics(name, size, mean, _unknown(deviation, n))
    shifts = (means.sum() - means) / (n - 1) - centre
    without = np.sqrt(np.maximum((squares.sum() - squares) / (n - 1) - shifts**2, 0))
    return ComponentStatistics(name, size, mean, _jackknife(deviation, without, confidence))


def _per_row(weights: Tensor, measure: Callable[[Tensor], Tensor]) -> Array:
    """One number per row, each row in float64: a whole set in float64 may not fit beside the others."""
    return np.array([float(measure(row.double())) for row in weights])


def weight_statistics(weights: Tensor, spec: ParamSpec | None = None, confidence: float = 0.95) -> WeightStatistics:
    """Mean and standard deviation of all components, and the lengths of the vectors.

    μ = Σ_ik w_ik / nd and σ² = Σ_ik (w_ik − μ)² / nd. Components of one minimum are not independent, minima are:
    the error of μ is that of the n means of the minima, the error of σ comes from leaving out one minimum at a time,
    se² = (n−1)/n Σ_i (σ_(i) − σ_(·))²; intervals are Student's with n − 1 degrees of freedom.

    Args:
        weights: ``(n, d)``, one row per minimum, in units of the parameters; summed in float64.
        spec: names and shapes of the parameters, for the breakdown by tensor.
        confidence: of the intervals.

    Returns:
        The statistics; with one minimum all errors are NaN.

    Raises:
        InputError: no set of weights (see :func:`~lossatlas.analysis.gram.checked_weights`), or a spec of another
            number of parameters.

    Reference:
        Yu & Morozov 2026, arXiv 2602.21276, table S1; Efron & Tibshirani 1993, *An Introduction to the Bootstrap*,
        eq. 11.5.

    Example:
        >>> found = weight_statistics(torch.tensor([[1.0, 3.0], [2.0, 6.0]]))
        >>> found.components.mean.mean, round(found.components.deviation.mean, 4), found.components.mean.error
        (3.0, 1.8708, 1.0)
        >>> [round(length, 4) for length in found.norms.tolist()]
        [3.1623, 6.3246]
    """
    rows = checked_weights(weights)
    if spec is not None and spec.dim != rows.shape[1]:
        raise InputError(f"expected rows of {spec.dim} parameters, as the spec says, got {rows.shape[1]}")
    parts: tuple[ComponentStatistics, ...] = ()
    if spec is not None:
        slices = zip(spec.names, spec.offsets, spec.sizes, strict=True)
        parts = tuple(_components(name, rows[:, at : at + size], confidence) for name, at, size in slices if size)
    norms = _per_row(rows, torch.linalg.vector_norm)
    n = len(norms)
    spread = _unknown(math.nan, n)
    if n > 1:
        spread = _unknown(float(norms.std(ddof=1)), n)
    if n > 2:
        without = np.array([np.delete(norms, i).std(ddof=1) for i in range(n)])
        spread = _jackknife(spread.mean, without, confidence)
    return WeightStatistics(
        _components("all", rows, confidence),
        parts,
        torch.from_numpy(norms),
        mean_of_runs(norms.tolist(), confidence),
        spread,
    )
