"""What moves the images of a chain: the force across it, and what keeps them apart along it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.paths.chains.spacing import spline_resample, spline_tangents
from lossatlas.paths.chains.tangents import improved_tangents

__all__ = ["Batch", "Force", "Nudged", "Rule", "Strung"]


@dataclass(frozen=True)
class Batch:
    """Chains of one number of images, evaluated.

    Args:
        images: ``(p, m, d)``.
        values: ``(p, m)``, energies.
        grads: ``(p, m - 2, d)``, gradients at the inner images.
        shares: ``(p, m - 1)``, length wanted between neighbours; mean 1.
        stiffness: ``(p,)``, a curvature of the landscape along the first chain; the unit of spring constants.
    """

    images: Tensor
    values: Tensor
    grads: Tensor
    shares: Tensor
    stiffness: Tensor

    @property
    def lengths(self) -> Tensor:
        """Length of every segment, ``(p, m - 1)``."""
        return sizes(self.images.diff(dim=1))

    @property
    def rise(self) -> Tensor:
        """Highest image above the lowest, ends included, ``(p,)``: not zero where a path only crosses a valley."""
        return self.values.amax(1) - self.values.amin(1)

    @property
    def top(self) -> Tensor:
        """Number of the highest image, ``(p,)``; 0 where an end is the highest."""
        top = self.values.argmax(1)
        return torch.where(top == self.values.shape[1] - 1, 0, top)


@dataclass(frozen=True)
class Force:
    """What acts on the inner images.

    Args:
        motion: ``(p, m - 2, d)``, the direction images move in.
        control: ``(p, m - 2, d)``, the part of it that vanishes on a lowest path; steps are controlled by it.
        residual: ``(p, m - 2)``, |force| across the chain; at a climbing image |∇E|.
    """

    motion: Tensor
    control: Tensor
    residual: Tensor


@dataclass(frozen=True)
class Rule(ABC):
    """How the images of a chain move."""

    @abstractmethod
    def force(self, batch: Batch, climbing: Tensor) -> Force:
        """Forces; ``climbing`` ``(p,)`` says in which chains the highest image climbs."""

    @abstractmethod
    def settle(self, images: Tensor, shares: Tensor, fixed: Tensor) -> Tensor:
        """Put moved images back at their places along the chain; ``fixed`` ``(p,)`` as in ``spline_resample``."""


def across(batch: Batch, tangents: Tensor, climbing: Tensor) -> tuple[Tensor, Tensor]:
    """Force across the chain, with the climbing image's along it reversed, and which image climbs.

    Args:
        batch: chains.
        tangents: ``(p, m - 2, d)``.
        climbing: ``(p,)``.

    Returns:
        ``(p, m - 2, d)`` and ``(p, m - 2, 1)``.
    """
    along = (batch.grads * tangents).sum(-1, keepdim=True) * tangents
    inner = torch.arange(1, batch.values.shape[1] - 1, device=climbing.device)
    climbs = (climbing[:, None] & (inner == batch.top[:, None]))[..., None]
    force = along - batch.grads
    # The climbing image feels the full force with its part along the tangent reversed (Henkelman, Uberuaga &
    # Jónsson 2000, Eq. 5): it goes uphill along the chain and downhill across it, to the saddle.
    return torch.where(climbs, force + along, force), climbs


def sizes(vectors: Tensor) -> Tensor:
    """Lengths of vectors, ``(*b, d) -> (*b,)``."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return norms


@dataclass(frozen=True)
class Nudged(Rule):
    """The nudged elastic band: force across the chain and springs along it.

    F = -∇E|_⊥ + k (|x_{i+1} - x_i|/s_i - |x_i - x_{i-1}|/s_{i-1}) τ, with k = spring times the stiffness and shares s
    of the length.

    Source: Henkelman & Jónsson 2000, Eq. 12; Henkelman, Uberuaga & Jónsson, J. Chem. Phys. 113, 9901 (2000).

    Args:
        spring: spring constant in units of the landscape's curvature along the first chain.
    """

    spring: float

    def force(self, batch: Batch, climbing: Tensor) -> Force:
        """Return the nudged force."""
        tangents = improved_tangents(batch.images, batch.values)
        force, climbs = across(batch, tangents, climbing)
        stretch = (batch.lengths / batch.shares).diff(dim=1)
        pull = (self.spring * batch.stiffness)[:, None, None] * stretch[..., None] * tangents
        total = force + torch.where(climbs, 0, pull)
        return Force(total, total, sizes(force))

    def settle(self, images: Tensor, shares: Tensor, fixed: Tensor) -> Tensor:
        """Leave images where they are: the springs hold them."""
        return images


@dataclass(frozen=True)
class Strung(Rule):
    """The simplified string method: every image goes downhill, then all are spread evenly again.

    Source: E, Ren & Vanden-Eijnden 2007, Sec. II; the climbing image as in Ren & Vanden-Eijnden, J. Chem. Phys. 138,
    134105 (2013).

    Args:
        project: move across the string only.
    """

    project: bool

    def force(self, batch: Batch, climbing: Tensor) -> Force:
        """Return the downhill force."""
        # Tangents of the spline are those of the simplified method's resting place; projected on them, kinks grow.
        tangents = improved_tangents(batch.images, batch.values) if self.project else spline_tangents(batch.images)
        force, climbs = across(batch, tangents, climbing)
        motion = force if self.project else torch.where(climbs, force, -batch.grads)
        return Force(motion, force, sizes(force))

    def settle(self, images: Tensor, shares: Tensor, fixed: Tensor) -> Tensor:
        """Spread images on the spline through them."""
        return spline_resample(images, shares, fixed)
