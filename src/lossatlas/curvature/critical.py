"""What kind of point a point is: minimum, saddle and of which index, maximum, plateau, or not critical at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_norm
from lossatlas.curvature.at_points import PointOperator
from lossatlas.curvature.condition import DENSE, ZERO
from lossatlas.curvature.eigenpairs import eigenvalues
from lossatlas.curvature.hessian import HessianOperator
from lossatlas.curvature.operator import CurvatureOperator, SomeRows
from lossatlas.landscape.contract import Landscape

__all__ = ["Classification", "PointKind", "classify"]

PointKind: TypeAlias = Literal["minimum", "saddle", "maximum", "plateau", "not critical", "not finite"]

# Negative eigenvalues are counted by searches for so many of the smallest, one after another.
_COUNTS = (4, 16, 64)


@dataclass(frozen=True)
class Classification:
    """What points are, with the tolerances of the answer.

    Args:
        kinds: one word for each point of the flattened batch.
        value: ``(*b,)``, loss in float64.
        gradient_norm: ``(*b,)``, |g| in float64.
        index: ``(*b,)``, whole numbers: eigenvalues below -``zero`` |λ|_max that were seen.
        complete: ``(*b,)``, whether these are all; else there are at least so many.
        largest: ``(*b,)``, λ_max.
        smallest: ``(*b,)``, λ_min.
        null: ``(*b,)``, how many |λ| are at most ``zero`` |λ|_max; NaN where not all eigenvalues were computed.
        gradient: tolerance of |g|.
        zero: tolerance of eigenvalues, relative to the largest |λ|.
        flat: tolerance of the largest |λ|.
        method: how it was found.
        data: what the loss is averaged over.
    """

    kinds: tuple[PointKind, ...]
    value: Tensor
    gradient_norm: Tensor
    index: Tensor
    complete: Tensor
    largest: Tensor
    smallest: Tensor
    null: Tensor
    gradient: float
    zero: float
    flat: float
    method: str
    data: str

    @property
    def tolerances(self) -> str:
        """The tolerances in a sentence."""
        return (
            f"Critical: the gradient norm is at most {self.gradient:g}. Negative or positive: beyond {self.zero:g} of "
            f"the largest |eigenvalue|. Plateau: critical, and no |eigenvalue| above {self.flat:g}."
        )


def classify(
    landscape: Landscape,
    w: Tensor,
    *,
    gradient: float = 1e-5,
    zero: float = ZERO,
    flat: float = 1e-9,
    max_products: int = 1000,
    seed: int = 0,
    hessian: PointOperator | None = None,
) -> Classification:
    """Tell minima, saddles, maxima and plateaus apart, with the tolerances stated.

    A point is *not critical* where |g| > ``gradient``; of its Hessian the index is told all the same. Else it is a
    *plateau* where max |λ| ≤ ``flat``; a *minimum* where no eigenvalue is below -``zero`` |λ|_max; a *maximum* where
    none is above it; else a *saddle*, and its *index* is the number below. A minimum may have directions without
    curvature: to second order nothing more can be said of them.

    With at most 2000 coordinates, or a Hessian that is assembled, every eigenvalue is computed. Beyond, Lanczos finds
    the ends and the negative ones as far as 64; ``complete`` says whether that was all. Of an eigenvalue repeated
    exactly it is sure to see one.

    Args:
        landscape: any; in float64 whatever its type.
        w: points ``(*b, d)``.
        gradient: tolerance of |g|, in units of the loss per unit of the weights.
        zero: tolerance of eigenvalues, relative to the largest |λ|.
        flat: tolerance of the largest |λ|, in units of the loss per weights squared.
        max_products: for each point and search.
        seed: names the starting vectors.
        hessian: one at the same points that is known, such as an :class:`lossatlas.curvature.AssembledOperator`; None:
            made here.

    Returns:
        A word for each point, and the numbers behind it.

    Raises:
        InputError: points of another landscape, tolerances that cannot be, or a Hessian at other points.

    Example:
        >>> from lossatlas import landscape
        >>> toy = landscape.get("muller-brown")
        >>> points = torch.stack([toy.minima[0].x, toy.saddles[0].x, torch.zeros(2, dtype=torch.float64)])
        >>> found = classify(toy, points, gradient=1e-4)
        >>> found.kinds, found.index.tolist()
        (('minimum', 'saddle', 'not critical'), [0, 1, 1])

    Tolerance of the gradient as Frye et al. 2021, *Critical point-finding methods reveal gradient-flat regions of deep
    network losses*, Neural Computation 33: |g|² < 1e-10.
    """
    if not (gradient >= 0 and 0 <= zero < 1 and flat >= 0):
        raise InputError(
            f"expected tolerances of at least 0 and zero below 1, got gradient {gradient}, zero {zero} and flat {flat}"
        )
    made = HessianOperator(landscape, w)
    if hessian is not None and not torch.equal(hessian.x.double(), made.x.double()):
        raise InputError("expected the Hessian at the same points, got one at others: leave it out")
    hessian = made if hessian is None else hessian
    exact = landscape.to(dtype=torch.float64)
    value, slope = exact.value_and_grad(hessian.x)
    norm = row_norm(slope).reshape(-1).cpu()
    if hessian.known or hessian.dim <= DENSE:
        ends, index, complete, null = _all(hessian, zero)
        how = "dense"
    else:
        ends, index, complete = _some(hessian, zero, max_products, seed)
        null, how = torch.full_like(norm, torch.nan), "thick-restart Lanczos"
    numbers = torch.stack([value.reshape(-1).cpu(), norm, ends[:, 0], ends[:, 1]], 1)
    kinds = tuple(_kind(row, gradient, zero, flat) for row in numbers)
    batch = hessian.batch
    return Classification(
        kinds, value.cpu(), norm.reshape(batch), index.reshape(batch), complete.reshape(batch),
        ends[:, 0].reshape(batch), ends[:, 1].reshape(batch), null.reshape(batch), gradient, zero, flat,
        f"{hessian.method}; {how}", hessian.data,
    )  # fmt: skip


def _kind(numbers: Tensor, gradient: float, zero: float, flat: float) -> PointKind:
    """The word for a loss, a gradient's norm, and the two ends of a spectrum, ``(4,)``."""
    # Every comparison with NaN is false, so what is not finite is set aside first.
    if not bool(numbers.isfinite().all()):
        return "not finite"
    _, norm, largest, smallest = numbers.tolist()
    scale = max(abs(largest), abs(smallest))
    if norm > gradient:
        return "not critical"
    if scale <= flat:
        return "plateau"
    if smallest >= -zero * scale:
        return "minimum"
    return "maximum" if largest <= zero * scale else "saddle"


def _all(hessian: CurvatureOperator, zero: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    matrices = hessian.dense().reshape(-1, hessian.dim, hessian.dim).cpu()
    finite = matrices.isfinite().flatten(1).all(1)
    values = torch.linalg.eigvalsh(matrices.where(finite[:, None, None], torch.zeros_like(matrices)))
    border = zero * values.abs().amax(1, keepdim=True) if len(values) else values[:, :1]
    ends = values[:, [-1, 0]].where(finite[:, None], torch.full((len(values), 2), torch.nan, dtype=torch.float64))
    null = (values.abs() <= border).sum(1).double()
    return ends, (values < -border).sum(1), finite, null.where(finite, torch.full_like(null, torch.nan))


def _some(hessian: CurvatureOperator, zero: float, budget: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    found = eigenvalues(hessian, k=1, which="both", tolerance=1e-4, max_products=budget, seed=seed)
    ends, settled = found.values.reshape(-1, 2).cpu(), found.converged.reshape(-1, 2).cpu()
    border = -zero * ends.abs().amax(1)
    index = (ends[:, 1] < border).long()
    complete = settled[:, 1] & (index == 0)
    open_rows = (index > 0).nonzero()[:, 0]
    for count in _COUNTS:
        if not len(open_rows) or count > hessian.dim:
            break
        # An eigenvalue below a thousandth of the largest has settled within a millionth of it: its sign is known.
        lowest = eigenvalues(
            SomeRows(hessian, open_rows), k=count, which="smallest", tolerance=1e-3, max_products=budget, seed=seed
        )
        values, sure = lowest.values.cpu(), lowest.converged.cpu()
        negative = values < border[open_rows, None]
        index[open_rows] = torch.maximum(index[open_rows], negative.sum(1))
        # Complete once a settled eigenvalue that is not negative lies above settled negative ones.
        past = ~negative & sure
        done = past.any(1) & (sure | ~negative).all(1)
        complete[open_rows] = done
        open_rows = open_rows[negative.all(1)]
    return ends, index, complete
