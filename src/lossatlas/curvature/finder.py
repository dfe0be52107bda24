"""A finder of critical points of any index: |g|² is minimised, far away along H g, near by Newton's steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_norm
from lossatlas.core.results import on_cpu
from lossatlas.curvature.critical import Classification, classify
from lossatlas.curvature.damped import DampedModel, damped_models
from lossatlas.curvature.hessian import HessianOperator
from lossatlas.landscape.contract import Landscape, accept_rows

__all__ = ["CriticalPoints", "FinderStatus", "find_critical_points"]

FinderStatus: TypeAlias = Literal["converged", "gradient-flat", "no progress", "iteration limit", "not finite"]

# Damping μ in units of the largest |θ|: at first, and how it follows the ratio of what a step did to what it promised.
_FIRST, _LEAST, _MOST = 0.1, 1e-12, 1e6
_EASED, _TIGHTENED = 0.1, 8.0
_GOOD, _POOR, _ACCEPTED = 0.75, 0.25, 1e-4
# So many steps that together take less than this part off |g| are the end.
_PATIENCE, _PROGRESS = 20, 0.01


@dataclass(frozen=True)
class CriticalPoints:
    """Where searches for critical points ended.

    Args:
        x: ``(*b, d)``, float64.
        classification: of these points: kinds, losses, |g|, indices.
        status: of each search of the flattened batch. ``"gradient-flat"``: |g|² has a minimum or a stretch without
            slope there, H g = 0, although g is not zero, and no critical point is near; ``"no progress"``: steps no
            longer made |g| smaller.
        flatness: ``(*b,)``, |H g| / (|λ|_max |g|) at the end: zero where gradient-flat, one at the steepest.
        distance: ``(*b,)``, how far each search went.
        iterations: ``(*b,)``, steps taken or tried.
        gradients: ``(*b,)``, gradients spent.
        products: ``(*b,)``, Hessian products spent.
        history: ``(*b, iterations + 1)``, |g| after each step; NaN after the end.
        method: how products were computed, and the search.
    """

    x: Tensor
    classification: Classification
    status: tuple[FinderStatus, ...]
    flatness: Tensor
    distance: Tensor
    iterations: Tensor
    gradients: Tensor
    products: Tensor
    history: Tensor
    method: str

    @property
    def converged(self) -> Tensor:
        """``(*b,)``, whether |g| fell below the tolerance."""
        return torch.tensor([status == "converged" for status in self.status]).reshape(self.distance.shape)


@dataclass
class _Row:
    """One search in progress."""

    x: Tensor
    g: Tensor
    norm: float
    damping: float = _FIRST
    status: FinderStatus | None = None
    flatness: float = float("nan")
    iterations: int = 0
    gradients: int = 1
    history: list[float] = field(default_factory=list)


def find_critical_points(
    landscape: Landscape,
    starts: Tensor,
    *,
    gradient: float = 1e-8,
    iterations: int = 200,
    inner: int = 100,
    flat: float = 1e-3,
    classified: float = 1e-5,
    seed: int = 0,
) -> CriticalPoints:
    """Find critical points, of whatever index, near some starts.

    Each step solves min_p |g + H p|² + μ² |p|² in the Krylov space of H and g (MINRES with full
    reorthogonalisation, damped). Far away μ is large and steps go along -H g, down the slope of |g|²/2; where
    steps keep what they promise μ falls and they become Newton's, -H⁺ g. A step is taken only if |g| falls. All
    searches ask for products together, and for gradients; a search does not depend on its company.

    Args:
        landscape: smooth; in float64 whatever its type. Its rows share their data.
        starts: ``(*b, d)``.
        gradient: |g| at which a search has converged.
        iterations: steps of each search, at most.
        inner: Hessian products of each step, at most.
        flat: a search that stops short is called gradient-flat where |H g| ≤ ``flat`` |λ|_max |g|.
        classified: tolerance of |g| with which :func:`lossatlas.curvature.classify` looks at the points.
        seed: names the random vectors of spaces that are invariant.

    Returns:
        Where each search ended, what kind of point that is, and why it stopped there.

    Raises:
        InputError: starts of another landscape, or arguments that cannot be.

    Example:
        >>> from lossatlas import landscape
        >>> toy = landscape.get("muller-brown")
        >>> near = toy.saddles[0].x + torch.tensor([0.02, -0.01], dtype=torch.float64)
        >>> found = find_critical_points(toy, near)
        >>> found.status, found.classification.kinds, bool(torch.dist(found.x, toy.saddles[0].x) < 1e-6)
        (('converged',), ('saddle',), True)

    Moré 1978, *The Levenberg-Marquardt algorithm*; Roosta, Liu, Xu & Mahoney 2018, *Newton-MR*; Frye et al. 2021,
    *Critical point-finding methods reveal gradient-flat regions of deep network losses*, eq. 11 for gradient-flat.
    """
    starts = accept_rows(starts, landscape)
    if not (gradient > 0 and iterations >= 1 and inner >= 1 and flat >= 0):
        raise InputError(
            f"expected a gradient above 0, at least 1 iteration and inner product and flat of at least 0, got "
            f"{gradient}, {iterations}, {inner} and {flat}"
        )
    exact = landscape.to(dtype=torch.float64)
    begin = starts.detach().double().reshape(-1, landscape.dim)
    slopes = _slopes(exact, begin)
    rows = [_Row(x, g, float(row_norm(g))) for x, g in zip(begin, slopes, strict=True)]
    products = torch.zeros(len(rows), dtype=torch.int64)
    method = "no product"
    search = _Search(exact, gradient, iterations, flat)
    for row in rows:
        row.history.append(row.norm)
        search.stop(row)
    while active := [i for i, row in enumerate(rows) if row.status is None]:
        hessian = HessianOperator(exact, torch.stack([rows[i].x for i in active]))
        some = [rows[i] for i in active]
        models = damped_models(
            hessian, torch.stack([row.g for row in some]), [row.damping for row in some], inner, seed
        )
        products[active] += hessian.products
        method = hessian.method
        search.advance(some, models)
    x = torch.stack([row.x for row in rows]).reshape(starts.shape) if rows else begin.reshape(starts.shape)
    batch = starts.shape[:-1]
    length = max((len(row.history) for row in rows), default=1)
    history = torch.full((len(rows), length), torch.nan, dtype=torch.float64)
    for i, row in enumerate(rows):
        history[i, : len(row.history)] = torch.tensor(row.history, dtype=torch.float64)

    def shaped(numbers: list[float]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64).reshape(batch)

    return on_cpu(
        CriticalPoints(
            x,
            classify(exact, x, gradient=max(classified, gradient), seed=seed),
            tuple(row.status or "iteration limit" for row in rows),
            shaped([row.flatness for row in rows]),
            row_norm(x - starts.double()).cpu(),
            torch.tensor([row.iterations for row in rows]).reshape(batch),
            torch.tensor([row.gradients for row in rows]).reshape(batch),
            products.reshape(batch),
            history.reshape(*batch, length),
            f"{method}; Levenberg-Marquardt on |g|² in Krylov spaces",
        )
    )


def _slopes(landscape: Landscape, x: Tensor) -> Tensor:
    """Gradients, NaN where the loss is not finite, ``(n, d) -> (n, d)``."""
    value, slopes = landscape.value_and_grad(x)
    return slopes.where(value.isfinite()[:, None], torch.full_like(slopes, torch.nan))


@dataclass(frozen=True)
class _Search:
    """What all searches of a call have in common."""

    landscape: Landscape
    gradient: float
    iterations: int
    flat: float

    def stop(self, row: _Row) -> None:
        """Say so where a search has come to its end."""
        if not math.isfinite(row.norm):
            row.status = "not finite"
        elif row.norm <= self.gradient:
            row.status = "converged"
        elif row.iterations >= self.iterations:
            row.status = "gradient-flat" if row.flatness <= self.flat else "iteration limit"
        elif len(row.history) > _PATIENCE and row.norm > (1 - _PROGRESS) * row.history[-1 - _PATIENCE]:
            row.status = "gradient-flat" if row.flatness <= self.flat else "no progress"

    def advance(self, rows: list[_Row], models: list[DampedModel | None]) -> None:
        """One step of each search: damping grows until |g| falls."""
        waiting = []
        for row, model in zip(rows, models, strict=True):
            row.iterations += 1
            if model is None:
                row.status = "not finite"
            else:
                row.flatness = model.flatness
                waiting.append((row, model))
        while waiting:
            solved = [model.solve(row.damping) for row, model in waiting]
            trials = torch.stack([row.x + model.step(y) for (row, model), (y, _) in zip(waiting, solved, strict=True)])
            slopes = _slopes(self.landscape, trials)
            waiting = [
                pair
                for pair, (_, promised), x, g in zip(waiting, solved, trials, slopes, strict=True)
                if self._refused(pair[0], promised, x, g)
            ]

    def _refused(self, row: _Row, promised: float, x: Tensor, g: Tensor) -> bool:
        """Take a step or damp it more; whether it should be tried again."""
        row.gradients += 1
        norm = float(row_norm(g))
        promise = row.norm**2 - promised**2
        kept = (row.norm**2 - norm**2) / promise if promise > 0 and math.isfinite(norm) else -1.0
        if kept >= _ACCEPTED:
            row.x, row.g, row.norm = x, g, norm
            factor = _EASED if kept > _GOOD else _TIGHTENED if kept < _POOR else 1.0
            row.damping = min(max(row.damping * factor, _LEAST), _MOST)
            row.history.append(norm)
            self.stop(row)
            return False
        if row.damping >= _MOST or promise <= 0:
            row.status = "gradient-flat" if row.flatness <= self.flat else "no progress"
            return False
        row.damping = min(row.damping * _TIGHTENED, _MOST)
        return True
