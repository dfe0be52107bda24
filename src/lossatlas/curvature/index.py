"""Index against loss: are there more downward directions where the loss is higher, and what would chance give?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.stats import rankdata
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_norm
from lossatlas.core.randomness import generator
from lossatlas.curvature.condition import DENSE, ZERO
from lossatlas.curvature.density import spectral_density
from lossatlas.curvature.hessian import HessianOperator
from lossatlas.landscape.contract import Landscape

__all__ = ["IndexAgainstLoss", "index_against_loss", "semicircle_below"]

_PERMUTATIONS = 9999


def semicircle_below(t: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """The part of Wigner's semicircle below t, elementwise, ``(*s) -> (*s)``.

    With u = (t − m) / 2σ in [−1, 1]: 1/2 + (u √(1 − u²) + arcsin u) / π; 0 below and 1 above.

    Args:
        t: where.
        mean: m, of the eigenvalues.
        deviation: σ, their standard deviation: the semicircle ends at m ± 2σ. Where it is 0 all lie at m.

    Example:
        >>> zero, one = torch.zeros(1), torch.ones(1)
        >>> semicircle_below(zero, zero, one), semicircle_below(zero, 2 * one, one)
        (tensor([0.5000]), tensor([0.]))

    Wigner 1958, *On the distribution of the roots of certain symmetric matrices*, Annals of Mathematics 67.
    """
    u = ((t - mean) / (2 * deviation).clamp(min=torch.finfo(deviation.dtype).tiny)).clamp(-1, 1)
    return 0.5 + (u * (1 - u**2).sqrt() + u.arcsin()) / math.pi


@dataclass(frozen=True)
class IndexAgainstLoss:
    """Index and loss of n points, beside a random-matrix null.

    Args:
        loss: ``(n,)``.
        gradient_norm: ``(n,)``.
        fraction: ``(n,)``, α: the part of all eigenvalues below -``zero`` |λ|_max.
        error: ``(n,)``, its standard error; 0 where every eigenvalue was computed.
        mean: ``(n,)``, mean eigenvalue tr H / d.
        deviation: ``(n,)``, standard deviation of the eigenvalues, from tr H² / d.
        intercept: of the line mean = intercept + slope · loss through all points, by least squares.
        slope: of that line; NaN with fewer than two losses.
        correlation: Spearman's rank correlation of α and loss; NaN with fewer than three points or without ranks.
        p_value: two-sided, the part of random orders of the losses with a correlation as large; NaN where that is.
        zero: which eigenvalues count as zero.
        method: how products were computed, and the rest.
        data: what the loss is averaged over.
    """

    loss: Tensor
    gradient_norm: Tensor
    fraction: Tensor
    error: Tensor
    mean: Tensor
    deviation: Tensor
    intercept: float
    slope: float
    correlation: float
    p_value: float
    zero: float
    method: str
    data: str

    @property
    def semicircle(self) -> Tensor:
        """α of a semicircle with each point's own mean and deviation, ``(n,)``."""
        return semicircle_below(torch.zeros_like(self.mean), self.mean, self.deviation)

    def null(self, loss: Tensor) -> Tensor:
        """α of a Gaussian random field at some losses, ``(m,) -> (m,)``.

        Its Hessian is a Wigner matrix whose semicircle has one width and is shifted in proportion to the loss (Bray &
        Dean 2007): the line fitted here, with the root mean square of the deviations.
        """
        at = loss.double()
        width = self.deviation.square().mean().sqrt().expand_as(at)
        slope = self.slope if math.isfinite(self.slope) else 0.0
        return semicircle_below(torch.zeros_like(at), self.intercept + slope * at, width)


def index_against_loss(
    landscape: Landscape,
    w: Tensor,
    *,
    zero: float = ZERO,
    dense: int = DENSE,
    probes: int = 10,
    steps: int = 60,
    seed: int = 0,
) -> IndexAgainstLoss:
    """Index of the Hessian against the loss: at critical points, or along a training run.

    On a Gaussian random field in many dimensions almost all critical points of high energy are saddles of high index,
    and minima lie low (Bray & Dean 2007); Dauphin et al. 2014 found the same course for networks. Two nulls stand
    beside the points: the semicircle with the mean and the deviation of each point's own eigenvalues, and the course of
    such a field with the line and width fitted to all of them. Networks depart from both, because most of their
    eigenvalues lie near zero and a few far out.

    With up to ``dense`` coordinates every eigenvalue is computed; beyond, α, mean and deviation come from the spectral
    density, where a node of the quadrature stands for many eigenvalues.

    Args:
        landscape: any; products are in float64, whatever its type.
        w: ``(n, d)``: critical points, or the weights of a run one after another.
        zero: which eigenvalues count as zero, relative to the largest |λ|.
        dense: up to how many coordinates the whole matrix is made.
        probes: random vectors for the density.
        steps: products for each probe.
        seed: names the random vectors and permutations.

    Returns:
        One point per row, with the nulls and the rank correlation.

    Raises:
        InputError: not at least one row, rows that are not finite, or another landscape.

    Example:
        >>> from lossatlas import landscape
        >>> toy = landscape.get("muller-brown")
        >>> points = torch.stack([point.x for point in toy.minima + toy.saddles])
        >>> index_against_loss(toy, points).fraction
        tensor([0.0000, 0.0000, 0.0000, 0.5000, 0.5000], dtype=torch.float64)

    Bray & Dean 2007, *Statistics of critical points of Gaussian fields on large-dimensional spaces*, Phys. Rev. Lett.
    98, 150201, eq. 14; Dauphin et al. 2014, *Identifying and attacking the saddle point problem in high-dimensional
    non-convex optimization*, figure 1.
    """
    if w.ndim != 2 or len(w) == 0:
        raise InputError(f"expected points as (n, {landscape.dim}) with n of at least 1, got shape {tuple(w.shape)}")
    hessian = HessianOperator(landscape, w)
    loss, slopes = landscape.to(dtype=torch.float64).value_and_grad(hessian.x)
    if not bool(loss.isfinite().all()):
        raise InputError("expected points with finite losses, got NaN or infinity: leave these rows out")
    if landscape.dim <= dense:
        fraction, error, mean, square = _exactly(hessian, zero)
        how = "dense"
    else:
        fraction, error, mean, square = _estimated(hessian, zero, probes, steps, seed)
        how = "stochastic Lanczos quadrature"
    loss = loss.cpu()
    line = _line(loss, mean)
    correlation, p_value = _correlation(loss, fraction, seed)
    return IndexAgainstLoss(
        loss, row_norm(slopes).cpu(), fraction, error, mean, (square - mean**2).clamp(min=0).sqrt(), *line,
        correlation, p_value, zero, f"{hessian.method}; {how}", hessian.data,
    )  # fmt: skip


def _exactly(hessian: HessianOperator, zero: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    values = torch.linalg.eigvalsh(hessian.dense().cpu())
    border = zero * values.abs().amax(1, keepdim=True)
    fraction = (values < -border).double().mean(1)
    return fraction, torch.zeros_like(fraction), values.mean(1), values.square().mean(1)


def _estimated(
    hessian: HessianOperator, zero: float, probes: int, steps: int, seed: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    density = spectral_density(hessian, probes=probes, steps=steps, seed=seed)
    border = zero * density.nodes.abs().flatten(1).amax(1)
    below = (density.weights * (density.nodes < -border[:, None, None])).sum(-1)
    error = below.std(1) / probes**0.5
    return below.mean(1), error, density.moment(1).value, density.moment(2).value


def _line(loss: Tensor, mean: Tensor) -> tuple[float, float]:
    centred = loss - loss.mean()
    spread = float(centred.square().sum())
    if not spread > 0:
        return float(mean.mean()), math.nan
    slope = float((centred * mean).sum()) / spread
    return float(mean.mean()) - slope * float(loss.mean()), slope


def _correlation(loss: Tensor, fraction: Tensor, seed: int) -> tuple[float, float]:
    if len(loss) < 3 or bool((loss == loss[0]).all()) or bool((fraction == fraction[0]).all()):
        return math.nan, math.nan
    ranks = [torch.as_tensor(rankdata(each.numpy())) for each in (loss, fraction)]
    a, b = ((each - each.mean()) / row_norm(each - each.mean()) for each in ranks)
    stream = generator(seed, "permutations", len(loss))
    orders = torch.stack([torch.randperm(len(a), generator=stream) for _ in range(_PERMUTATIONS)])
    found = float(a @ b)
    larger = int(((a[orders] @ b).abs() >= abs(found) - 1e-12).sum())
    return found, (1 + larger) / (1 + _PERMUTATIONS)
