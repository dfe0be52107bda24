"""L-BFGS-GSS: quasi-Newton directions, step lengths from golden-section line search."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from lossatlas.core.errors import ConfigurationError
from lossatlas.core.files import Tree
from lossatlas.landscape.contract import Landscape
from lossatlas.optimize.history import Pairs
from lossatlas.optimize.line_search import GoldenSectionLineSearch, LineSearchResult
from lossatlas.optimize.optimizer import State, Status, start_rows, to_device
from lossatlas.optimize.rows import all_rows_finite, masked_value, masked_value_and_grad, stable_norm

__all__ = ["LBFGSGSS", "LBFGSState"]


@dataclass(frozen=True)
class LBFGSState(State):
    """State of L-BFGS-GSS.

    Args:
        gradient: at ``x``, ``(n, d)``.
        pairs: recent steps and gradient changes.
    """

    gradient: Tensor
    pairs: Pairs

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which states are stored."""
        return {**super().to_tree(), "pairs": self.pairs.to_tree()}

    @classmethod
    def from_tree(cls, tree: Tree, device: str | torch.device | None = None) -> Self:
        """Rebuild a state from :meth:`to_tree`, on ``device`` if one is given."""
        rest = {name: value for name, value in tree.items() if name != "pairs"}
        return cls(**to_device(rest, device), pairs=Pairs.from_tree(tree["pairs"], device))


@dataclass(frozen=True)
class LBFGSGSS:
    """L-BFGS with golden-section line search; the published constants are the defaults.

    Each step goes along d = −Hg (two-loop recursion over the last ``history`` pairs) by the u that
    :class:`~lossatlas.optimize.line_search.GoldenSectionLineSearch` finds, then evaluates loss and gradient once at
    the new point. The direction is −g and the history cleared when the newest pair has s·y/(|s||y|) below
    ``minimum_cosine`` or |s||y| = 0 (older pairs passed the same test when they were new), or when d is not finite.

    The published search can return a point above its start. With ``guard`` such a point is not taken: the row makes
    no step, adds no pair, forgets its history, and searches once more along −g without the tolerance and with up to
    ``retry_evaluations`` losses until one is below the start. If none is, its status becomes
    :attr:`Status.PRECISION_REACHED`.

    ``value`` and ``value_and_grad`` may round differently. With ``guard`` a point that the search found below the
    start but whose loss, evaluated with the gradient, is above it is not taken either; the row forgets its history
    and tries −g in its next step, or stops with PRECISION_REACHED if it went along −g already. So the recorded loss
    never rises.

    Args:
        history: pairs m kept.
        minimum_cosine: smallest s·y/(|s||y|).
        regularisation: ε in ρ = 1/(s·y + ε).
        guard: refuse steps uphill; False is the published behaviour.
        retry_evaluations: losses the guard may use to find a point below the start along −g.
        gradient_tolerance: a row whose |g| is at most this stops as :attr:`Status.CONVERGED`.
        search: the line search.

    Raises:
        ConfigurationError: a constant is out of range.

    Example:
        >>> from lossatlas.optimize import get
        >>> optimizer = get("lbfgs-gss", history=5)
        >>> optimizer.history, optimizer.search.evaluations
        (5, 6)

    Reference:
        Yu & Morozov (2026), arXiv:2602.21276, Algorithm 1.
    """

    history: int = 10
    minimum_cosine: float = 1e-4
    regularisation: float = 1e-6
    guard: bool = True
    retry_evaluations: int = 40
    gradient_tolerance: float = 0.0
    search: GoldenSectionLineSearch = field(default_factory=GoldenSectionLineSearch)

    stochastic: ClassVar[bool] = False
    state_type: ClassVar[type[LBFGSState]] = LBFGSState

    def __post_init__(self) -> None:
        for name, wanted, good in (
            ("history", "at least 1", self.history >= 1),
            ("minimum_cosine", "a number from 0 to 1", 0 <= self.minimum_cosine <= 1),
            ("regularisation", "a number >= 0", 0 <= self.regularisation < float("inf")),
            ("retry_evaluations", "at least 1", self.retry_evaluations >= 1),
            ("gradient_tolerance", "a number >= 0", self.gradient_tolerance >= 0),
        ):
            if not good:
                raise ConfigurationError(f"expected {name} to be {wanted}, got {getattr(self, name)}")

    def init(self, landscape: Landscape, x: Tensor) -> LBFGSState:
        """Evaluate loss and gradient at the rows of ``x``, ``(n, d)``.

        Raises:
            InputError: ``x`` does not belong to the landscape.
        """
        start = start_rows(landscape, x)
        value, gradient = masked_value_and_grad(landscape, start["x"], start["active"])
        finite = value.isfinite() & all_rows_finite(gradient)
        start |= {"value": value.clone(), "gradients": start["gradients"] + 1}
        return self._settle(LBFGSState(**start, gradient=gradient.clone(), pairs=Pairs.empty(x)), finite)

    def step(self, landscape: Landscape, state: LBFGSState) -> LBFGSState:
        """Search along the direction from the stored gradient, move, and evaluate loss and gradient there."""
        if not bool(state.active.any()):
            return replace(state, steps=state.steps + 1)
        x, start, gradient, active = state.x, state.value, state.gradient, state.active
        direction, count = self._direction(state)
        found = self._search(self.search, landscape, state, direction, active)
        values = state.values + found.evaluations
        u, moved = found.step, active
        if self.guard:
            moved = active & (found.value < start)
            retry = active & ~moved
            if bool(retry.any()):
                count = torch.where(retry, 0, count)
                direction = torch.where(retry[:, None], -gradient, direction)
                again = self._search(self._patient_search, landscape, state, direction, retry)
                values = values + again.evaluations
                u = torch.where(retry, again.step, u)
                moved = moved | (retry & (again.value < start))

        new_x = torch.where(moved[:, None], x + u[:, None] * direction, x)
        value, new_gradient = masked_value_and_grad(landscape, new_x, moved)
        finite = value.isfinite() & all_rows_finite(new_gradient) & all_rows_finite(new_x)
        accepted = moved & finite
        stuck = active & ~moved
        if self.guard:
            above = accepted & (value > start)
            accepted = accepted & ~above
            stuck = stuck | (above & (count == 0))

        taken = accepted[:, None]
        zero = torch.zeros_like(x)
        pairs = replace(state.pairs, count=count).add(
            torch.where(taken, new_x - x, zero),
            torch.where(taken, new_gradient - gradient, zero),
            accepted,
            self.history,
            self.minimum_cosine,
        )
        return self._settle(
            replace(
                state,
                x=torch.where(taken, new_x, x),
                value=torch.where(accepted, value, start),
                gradient=torch.where(taken, new_gradient, gradient),
                pairs=pairs,
                values=values,
                gradients=state.gradients + moved,
                steps=state.steps + 1,
            ),
            finite=~moved | finite,
            stuck=stuck,
        )

    @property
    def _patient_search(self) -> GoldenSectionLineSearch:
        most = max(self.retry_evaluations, self.search.evaluations)
        return replace(self.search, tolerance=0.0, shrinking_evaluations=most)

    def _direction(self, state: LBFGSState) -> tuple[Tensor, Tensor]:
        """The quasi-Newton direction, or −g where it cannot be used, and the pairs still in use."""
        direction = state.pairs.direction(state.gradient, self.regularisation)
        usable = all_rows_finite(direction)
        count = torch.where(usable, state.pairs.count, 0)
        return torch.where(usable[:, None], direction, -state.gradient), count

    @staticmethod
    def _search(
        search: GoldenSectionLineSearch, landscape: Landscape, state: LBFGSState, direction: Tensor, rows: Tensor
    ) -> LineSearchResult:
        def along(u: Tensor, mask: Tensor) -> Tensor:
            return masked_value(landscape, state.x + u[:, None] * direction, mask)

        return search.search(along, state.value, stable_norm(direction), rows)

    def _settle(self, state: LBFGSState, finite: Tensor, stuck: Tensor | None = None) -> LBFGSState:
        """Give every row that stops its reason."""
        status = state.status
        flat = stable_norm(state.gradient) <= self.gradient_tolerance
        reasons: list[tuple[Status, Tensor]] = [(Status.DIVERGED, ~finite), (Status.CONVERGED, flat)]
        if stuck is not None:
            reasons.append((Status.PRECISION_REACHED, stuck))
        active = state.active
        for reason, rows in reasons:
            status = torch.where(active & rows, int(reason), status)
            active = active & ~rows
        return replace(state, active=active, status=status)
