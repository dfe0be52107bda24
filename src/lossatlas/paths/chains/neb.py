"""The nudged elastic band with a climbing image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lossatlas.core.errors import InputError
from lossatlas.paths.chains.finder import ChainFinder
from lossatlas.paths.chains.forces import Nudged, Rule

__all__ = ["NEBPathFinder"]


@dataclass(frozen=True, kw_only=True)
class NEBPathFinder(ChainFinder):
    """The climbing-image nudged elastic band with improved tangents.

    F_i = -∇L(x_i)|_⊥ + k (|x_{i+1} - x_i| - |x_i - x_{i-1}|) τ_i; the highest image feels -∇L + 2 (∇L·τ) τ instead and
    ends at the saddle. k is ``spring`` times the curvature of the landscape along the first chain, measured, so the
    units of the landscape do not matter. Steps are those of an adaptive solver (see
    :func:`lossatlas.paths.chains.relax.relax`).

    Args:
        spring: spring constant, in units of that curvature.

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

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.spring, bool) or not isinstance(self.spring, int | float) or not 0 <= self.spring < 1e6:
            raise InputError(f"expected spring as a number of at least 0, got {self.spring!r}")

    @property
    def rule(self) -> Rule:
        """The nudged force."""
        return Nudged(float(self.spring))
