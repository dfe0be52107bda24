"""The nudged elastic band with a climbing image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lossatlas.core.errors import InputError
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.chains.chain import Chain, Places
from lossatlas.paths.chains.finder import ChainFinder
from lossatlas.paths.chains.forces import Nudged, Rule
from lossatlas.paths.chains.newton import relax_by_newton

__all__ = ["NEBPathFinder"]


@dataclass(frozen=True, kw_only=True)
class NEBPathFinder(ChainFinder):
    """The climbing-image nudged elastic band with improved tangents.

    F_i = -∇L(x_i)|_⊥ + k (|x_{i+1} - x_i| - |x_i - x_{i-1}|) τ_i; the highest image feels -∇L + 2 (∇L·τ) τ instead and
    ends at the saddle. k is ``spring`` times the curvature of the landscape along the first chain, measured, so the
    units of the landscape do not matter. Every image takes quasi-Newton steps of its own, with the curvatures that the
    gradients of all images have shown (see :class:`lossatlas.paths.chains.newton.NewtonRelaxation`), and is not
    evaluated while its force meets the tolerance.

    Args:
        spring: spring constant, in units of that curvature.
        newton: take such steps; False: those of an adaptive solver, one step length for all images
            (:func:`lossatlas.paths.chains.relax.relax`).

    Other options: those of :class:`ChainFinder`.

    Raises:
        InputError: an option out of its range.

    Example:
        >>> import torch
        >>> from lossatlas.landscape import from_function
        >>> valley = from_function(lambda x: (x[0] ** 2 - 1) ** 2 + 4 * (x[1] - 1 + x[0] ** 2) ** 2, dim=2)
        >>> ends = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
        >>> path = NEBPathFinder().find(valley, *ends)
        >>> path.status, round(path.points[4, 1].item(), 2), round(path.height, 3)
        ('converged', 1.0, 1.0)

    Source: Henkelman & Jónsson, J. Chem. Phys. 113, 9978 (2000), Eq. 8-12; Henkelman, Uberuaga & Jónsson, J. Chem.
    Phys. 113, 9901 (2000), Eq. 5.
    """

    name: ClassVar[str] = "neb"

    spring: float = 1.0
    newton: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.spring, bool) or not isinstance(self.spring, int | float) or not 0 <= self.spring < 1e6:
            raise InputError(f"expected spring as a number of at least 0, got {self.spring!r}")

        if not isinstance(self.newton, bool):
            raise InputError(f"expected newton as True or False, got {self.newton!r}")

    @property
    def rows_at_once(self) -> int:
        """All images of all starts, a few times over, and what is remembered of their steps."""
        return super().rows_at_once * (1 + 10 * self.newton)

    @property
    def rule(self) -> Rule:
        """The nudged force."""
        return self._band

    @property
    def _band(self) -> Nudged:
        return Nudged(float(self.spring))

    def _relax(
        self, landscape: Landscape, places: Places, limits: list[int], names: list[tuple[int, ...]]
    ) -> list[Chain]:
        if not self.newton:
            return super()._relax(landscape, places, limits, names)
        return relax_by_newton(landscape, places, self._band, self.control, limits)
