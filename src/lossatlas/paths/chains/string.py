"""The string method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lossatlas.paths.chains.finder import ChainFinder
from lossatlas.paths.chains.forces import Rule, Strung

__all__ = ["StringPathFinder"]


@dataclass(frozen=True, kw_only=True)
class StringPathFinder(ChainFinder):
    """The string method, with a climbing image.

    Every image moves downhill by h; then all are put back at equal steps of the natural cubic spline through them. The
    highest image climbs once the chain is near, and splits the string in two that are spread separately. The step
    length h is controlled by the force across the string (see :func:`lossatlas.paths.chains.relax.relax`).

    Args:
        project: move across the string only, -h ∇L|_⊥, with the tangents of :class:`NEBPathFinder`. False: the
            simplified method, -h ∇L, whose resting place is off by a part of h: heights are as good, but the force
            across the string rarely falls below the tolerance.

    Other options: those of :class:`ChainFinder`.

    Raises:
        InputError: an option out of its range.

    Example:
        >>> import torch
        >>> from lossatlas.landscape import from_function
        >>> valley = from_function(lambda x: (x[0] ** 2 - 1) ** 2 + 4 * (x[1] - 1 + x[0] ** 2) ** 2, dim=2)
        >>> ends = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
        >>> path = StringPathFinder().find(valley, *ends)
        >>> path.status, round(path.points[4, 1].item(), 2), round(path.height, 3)
        ('converged', 1.0, 1.0)

    Source: E, Ren & Vanden-Eijnden, Phys. Rev. B 66, 052301 (2002), and, simplified and with splines, J. Chem. Phys.
    126, 164103 (2007); climbing as in Ren & Vanden-Eijnden, J. Chem. Phys. 138, 134105
    (2013).
    """

    name: ClassVar[str] = "string"

    project: bool = True

    @property
    def rule(self) -> Rule:
        """Downhill, then spread."""
        return Strung(self.project)
