"""FourierPathFinder: sine series, relaxed as published or until converged."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal, get_args

from lossatlas.core.errors import ConfigurationError, InputError, nearest
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.curves.finder import CurvePathFinder, Strategy, check_count, check_number
from lossatlas.paths.curves.modes import Modes
from lossatlas.paths.curves.published import Keep, Length, Objective, PublishedSearch
from lossatlas.paths.finder import Ends, PathFinder, Search

__all__ = ["FourierPathFinder"]

_PUBLISHED = ("steps", "penalty", "length", "noise", "objective", "keep")
_CONVERGED = ("strategy", "budget", "falloff", "per_step", "batch_size", "late", "flat", "force", "perturbation")


@dataclass(frozen=True, kw_only=True)
class FourierPathFinder(PathFinder):
    """The sine series w(t) = (1 - t) w_start + t w_end + Σ_{n=1..N} b_n sin(nπt), in one of two ways.

    ``method="converged"`` is :class:`CurvePathFinder` with ``basis="fourier"``. ``method="published"`` is the method
    of the paper, whose defaults here are those for networks: 100 steps of Adam at 1e-3 on Σ_m L(w(t_m)) +
    1e-4 Σ_m |w(t_{m+1}) - w(t_m)|² at 51 fixed points, the iterate with the lowest Σ_m L kept. For the paper's
    two-dimensional example take the notebook's ``FourierPathFinder(method="published", coefficients=15, points=101,
    steps=300, learning_rate=0.01, penalty=10.0, noise=1.0, objective="squared loss", keep="lowest total")``. The
    paper writes w(t) = t w_i + (1 - t) w_j; its w_i is ``end`` here.

    Args:
        method: ``"converged"`` or ``"published"``.
        coefficients: N.
        learning_rate: converged: see :class:`CurvePathFinder`; published: of Adam, in the units of the coordinates.
        strategy: converged: see :class:`CurvePathFinder`.
        budget: converged: likewise.
        falloff: converged: likewise.
        per_step: converged: likewise.
        batch_size: converged: likewise.
        late: converged: likewise.
        flat: converged: likewise.
        force: converged: likewise.
        perturbation: converged: likewise.
        steps: published: steps of Adam.
        penalty: published: λ.
        length: published: ``"squared"`` steps |Δw|² or ``"plain"`` ones |Δw| are penalised.
        noise: published: standard deviation of the normal noise added to the gradient of b.
        objective: published: Σ_m ``"loss"`` or Σ_m ``"squared loss"``.
        keep: published: the iterate with the ``"lowest loss"`` (the sum), with the ``"lowest total"`` (penalty
            included), or the ``"last"``.
        points: see :class:`PathFinder`; published: the M points of the sum.
        tolerance: see :class:`PathFinder`.
        saddle: likewise.
        seed: likewise.

    Raises:
        InputError: options out of range, or an option of the other method.
        ConfigurationError: an unknown method or word.

    Reference:
        Yu & Morozov 2026, *Neural network optimization strategies and the topography of the loss landscape*,
        arXiv 2602.21276, Eq. 3-5, and its notebooks.

    Example:
        >>> from lossatlas.landscape import get
        >>> toy = get("paper-toy")
        >>> published = FourierPathFinder(method="published", learning_rate=0.01, steps=50)
        >>> default = FourierPathFinder()
        >>> published.find(toy, *toy.ends).height > default.find(toy, *toy.ends).height
        True
    """

    method: Literal["converged", "published"] = "converged"
    coefficients: int = 10
    learning_rate: float | None = None
    strategy: Strategy | None = None
    budget: float | None = None
    falloff: float | None = None
    per_step: int | None = None
    batch_size: int | None = None
    late: float | None = None
    flat: float | None = None
    force: float | None = None
    perturbation: float | None = None
    steps: int | None = None
    penalty: float | None = None
    length: Length | None = None
    noise: float | None = None
    objective: Objective | None = None
    keep: Keep | None = None

    name: ClassVar[str] = "fourier"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in ("converged", "published"):
            raise ConfigurationError(
                f"unknown method '{self.method}': {nearest(str(self.method), ['converged', 'published'])}"
            )
        foreign, owner = (_PUBLISHED, "published") if self.method == "converged" else (_CONVERGED, "converged")
        for name in foreign:
            if getattr(self, name) is not None:
                raise InputError(
                    f"expected options of method='{self.method}', got {name}={getattr(self, name)!r}: leave it out, "
                    f"or take method='{owner}'"
                )
        check_count("coefficients", self.coefficients, 1)
        if self.method == "converged":
            self._converged()
            return
        check_count("steps", self.steps, 0)
        check_number("learning_rate", self.learning_rate, positive=True)
        for name in ("penalty", "noise"):
            check_number(name, getattr(self, name), positive=False)
        for name, words in (("length", Length), ("objective", Objective), ("keep", Keep)):
            word, valid = getattr(self, name), get_args(words)
            if word is not None and word not in valid:
                raise ConfigurationError(f"unknown {name} '{word}': {nearest(str(word), valid)}")

    @property
    def label(self) -> str:
        """Which of the two ways."""
        return "fourier" if self.method == "converged" else "fourier-published"

    @property
    def constants(self) -> dict[str, Any]:
        """Those of the chosen method, defaults filled in."""
        if self.method == "converged":
            return self._converged().constants
        given = {"points": self.points, "tolerance": self.tolerance, "coefficients": self.coefficients}
        return given | asdict(self._published())

    @property
    def rows_at_once(self) -> int:
        """Points, their gradients and the tensors of coefficients."""
        return self.points + 4 * self.coefficients

    def expected_gradients(self, landscape: Landscape) -> float:
        """The budget, or steps times points."""
        if self.method == "converged":
            return self._converged().expected_gradients(landscape)
        return float(self._published().steps * self.points)

    def expected_evaluations(self, landscape: Landscape) -> tuple[float, float]:
        """Those of the chosen method."""
        if self.method == "converged":
            return self._converged().expected_evaluations(landscape)
        return super().expected_evaluations(landscape)

    def search(self, landscape: Landscape, ends: Ends) -> list[Search]:
        """Relax all pairs with the chosen method."""
        if self.method == "converged":
            return self._converged().search(landscape, ends)
        modes = Modes.of("fourier", self.coefficients)
        return [replace(found, method=self.label) for found in self._published().run(landscape, ends, modes)]

    def _converged(self) -> CurvePathFinder:
        names = ("points", "tolerance", "saddle", "seed", "coefficients", "learning_rate", *_CONVERGED)
        given: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return CurvePathFinder(basis="fourier", **given)

    def _published(self) -> PublishedSearch:
        return PublishedSearch(
            steps=100 if self.steps is None else self.steps,
            learning_rate=1e-3 if self.learning_rate is None else self.learning_rate,
            penalty=1e-4 if self.penalty is None else self.penalty,
            length=self.length or "squared",
            noise=self.noise or 0.0,
            objective=self.objective or "loss",
            keep=self.keep or "lowest loss",
            points=self.points,
            seed=self.seed,
        )
