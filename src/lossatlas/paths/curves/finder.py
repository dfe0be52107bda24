"""Finding the lowest curve of any family, over networks and over smooth energies."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from lossatlas.core.curve import bases
from lossatlas.core.errors import ConfigurationError, InputError, nearest
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.curves.modes import Modes
from lossatlas.paths.curves.smooth import SmoothSearch
from lossatlas.paths.curves.stochastic import LOOKS, StochasticSearch
from lossatlas.paths.finder import Ends, PathFinder, Search

__all__ = ["CurvePathFinder", "Strategy"]

Strategy = Literal["auto", "network", "smooth"]


@dataclass(frozen=True, kw_only=True)
class CurvePathFinder(PathFinder):
    """The lowest curve w(t) = (1 - t) w_start + t w_end + Σ_k φ_k(t) c_k of a family.

    Coefficients are optimized in modes ordered by frequency (:class:`Modes`), whatever the family, so that one method
    serves all. There are two searches: :class:`StochasticSearch` for landscapes with samples and
    :class:`SmoothSearch` for the others.

    Args:
        basis: one of :data:`lossatlas.core.curve.bases`: ``"fourier"``, ``"bezier"``, ``"polychain"``.
        coefficients: functions of the family, K.
        strategy: ``"network"``: random points and mini-batches; ``"smooth"``: forces across the path; ``"auto"``:
            the first where the landscape has samples.
        budget: gradients per pair, in full-batch units; 0 gives the start back.
        learning_rate: of the slowest mode, in units of the root mean square difference of the ends' coordinates;
            None: 0.05 for networks, 0.1 for smooth energies.
        falloff: the learning rate of a mode of n half waves is n to the power of minus this.
        per_step: points of the curve per step; None: 5 and 10.
        batch_size: samples per mini-batch of networks; None: a sixteenth of the data, at least 32.
        late: part of a network's search, at its end, in which points are drawn where the loss is high.
        flat: a network's path has converged when its barrier is at most this fraction of the straight line's, or of
            the loss at the higher end.
        force: a smooth path has converged when, at its highest point, the gradient across it times the distance of
            the ends is at most this fraction of (height - lower end).
        perturbation: random change of a smooth path's start, in units of ``learning_rate``'s, to leave symmetric ones.
        points: see :class:`PathFinder`.
        tolerance: likewise.
        saddle: likewise.
        seed: likewise.

    Raises:
        InputError: options out of range.
        ConfigurationError: an unknown family or strategy.

    Reference:
        Garipov et al. 2018, *Loss surfaces, mode connectivity, and fast ensembling of DNNs*, NeurIPS, Sec. 3: random t
        and mini-batches on Bezier curves and polygonal chains.

    Example:
        >>> from lossatlas.landscape import get
        >>> toy = get("paper-toy")
        >>> path = CurvePathFinder(basis="bezier", coefficients=6).find(toy, *toy.ends)
        >>> path.converged, round(path.height, 3)
        (True, 0.624)
    """

    basis: str = "fourier"
    coefficients: int = 10
    strategy: Strategy = "auto"
    budget: float = 5100
    learning_rate: float | None = None
    falloff: float = 1.5
    per_step: int | None = None
    batch_size: int | None = None
    late: float = 0.2
    flat: float = 1e-5
    force: float = 0.03
    perturbation: float = 0.01

    name: ClassVar[str] = "curve"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.basis == "linear" or self.basis not in bases:
            families = [name for name in bases if name != "linear"]
            raise ConfigurationError(f"no family of curves '{self.basis}': {nearest(self.basis, families)}")
        if self.strategy not in ("auto", "network", "smooth"):
            raise ConfigurationError(
                f"unknown strategy '{self.strategy}': {nearest(self.strategy, ['auto', 'network', 'smooth'])}"
            )
        for name, least in (("coefficients", 1), ("per_step", 1), ("batch_size", 1)):
            check_count(name, getattr(self, name), least)
        for name in ("learning_rate", "flat", "force"):
            check_number(name, getattr(self, name), positive=True)
        for name in ("budget", "falloff", "perturbation"):
            check_number(name, getattr(self, name), positive=False)
        if not isinstance(self.late, int | float) or not 0 <= self.late <= 1:
            raise InputError(f"expected late as a part of the search from 0 to 1, got {self.late!r}")
        Modes.of(self.basis, self.coefficients)  # refuses more functions than float64 can tell apart

    @property
    def label(self) -> str:
        """The family."""
        return self.basis

    @property
    def rows_at_once(self) -> int:
        """Points looked at, and four tensors of coefficients."""
        return self.points + 4 * self.coefficients

    def expected_gradients(self, landscape: Landscape) -> float:
        """The budget."""
        return float(self.budget)

    def expected_evaluations(self, landscape: Landscape) -> tuple[float, float]:
        """Those of the diagnostics, and a network's looks at the whole data."""
        values, gradients = super().expected_evaluations(landscape)
        return values + (LOOKS * self.points if self._is_stochastic(landscape) else 0), gradients

    def _is_stochastic(self, landscape: Landscape) -> bool:
        return self.strategy == "network" or (self.strategy == "auto" and landscape.samples is not None)

    def search(self, landscape: Landscape, ends: Ends) -> list[Search]:
        """Relax all pairs together with the search that fits the landscape."""
        modes = Modes.of(self.basis, self.coefficients)
        search = self._stochastic() if self._is_stochastic(landscape) else self._smooth()
        return [replace(found, method=self.label) for found in search.run(landscape, ends, modes)]

    def _stochastic(self) -> StochasticSearch:
        return StochasticSearch(
            rate=_or(self.learning_rate, 0.05),
            falloff=self.falloff,
            budget=self.budget,
            batch_size=self.batch_size,
            per_step=self.per_step or 5,
            late=self.late,
            flat=self.flat,
            points=self.points,
            seed=self.seed,
        )

    def _smooth(self) -> SmoothSearch:
        return SmoothSearch(
            rate=_or(self.learning_rate, 0.1),
            falloff=self.falloff,
            budget=self.budget,
            per_step=self.per_step or 10,
            perturbation=self.perturbation,
            force=self.force,
            points=self.points,
            seed=self.seed,
        )


def check_count(name: str, value: object, least: int) -> None:
    """Refuse what is neither None nor an integer of at least ``least``.

    Raises:
        InputError: it is not.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise InputError(f"expected {name} as an integer of at least {least}, got {value!r}")


def check_number(name: str, value: object, *, positive: bool) -> None:
    """Refuse what is neither None nor a finite number above, or not below, zero.

    Raises:
        InputError: it is not.
    """
    if value is None:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or float(value) < 0 or (positive and value == 0):  # type: ignore[arg-type]
        raise InputError(
            f"expected {name} as a finite number {'above' if positive else 'of at least'} 0, got {value!r}"
        )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
