"""Chains before, during and after a relaxation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lossatlas.landscape.contract import Landscape
from lossatlas.paths.chains.forces import Batch, Force, sizes
from lossatlas.paths.finder import Status

__all__ = ["Chain", "Control", "Places", "curvatures", "evaluate", "finite", "relative_force"]


@dataclass(frozen=True)
class Control:
    """When a relaxation stops, and how long its steps are.

    Args:
        tolerance: largest force across the chain, times length over rise, that counts as converged.
        climb_from: the same from which the highest image climbs; None: it never does.
        step_error: error of one step in units of the spacing of images.
    """

    tolerance: float
    climb_from: float | None
    step_error: float


@dataclass(frozen=True)
class Places:
    """Where chains of one number of images start.

    Args:
        images: ``(p, m, d)``, m at least 3.
        ends: ``(p, 2)``, losses at their ends.
        shares: ``(p, m - 1)``, length wanted between neighbours, relative to each other.
    """

    images: Tensor
    ends: Tensor
    shares: Tensor

    @classmethod
    def of(cls, chains: Sequence[Chain]) -> Places:
        """Those of chains of one number of images."""
        return cls(
            torch.stack([chain.images for chain in chains]),
            torch.stack([chain.values[[0, -1]] for chain in chains]),
            torch.stack([chain.shares for chain in chains]),
        )


@dataclass(frozen=True)
class Chain:
    """One chain and what was spent on it.

    Args:
        images: ``(m, d)``.
        values: ``(m,)``, losses; before the first relaxation only the two ends'.
        grads: ``(m - 2, d)``.
        shares: ``(m - 1,)``, length wanted between neighbours, relative to each other.
        status: why it stopped.
        message: the same in a sentence.
        iterations: steps of the chain, the first evaluation included.
        gradients: rows evaluated with gradient, in full-batch units.
        loss_values: rows evaluated without.
        heights: highest image, per iteration.
        residuals: largest force across the chain times length over rise, per iteration.
    """

    images: Tensor
    values: Tensor
    grads: Tensor
    shares: Tensor
    status: Status = "iteration limit"
    message: str = ""
    iterations: int = 0
    gradients: float = 0
    loss_values: float = 0
    heights: list[float] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)

    @property
    def height(self) -> float:
        """The highest image."""
        return float(self.values.max())

    @property
    def rise(self) -> float:
        """The highest image above the lowest, ends included."""
        return self.height - float(self.values.min())

    @property
    def length(self) -> float:
        """Length of the polygonal chain."""
        return float(torch.linalg.vector_norm(self.images.diff(dim=0), dim=-1).sum())

    @property
    def top(self) -> int:
        """Number of the highest image; 0 where an end is the highest."""
        top = int(self.values.argmax())
        return 0 if top == len(self.values) - 1 else top

    def after(self, earlier: Chain) -> Chain:
        """The same chain with an earlier one's costs and history added."""
        return replace(
            self,
            iterations=earlier.iterations + self.iterations,
            gradients=earlier.gradients + self.gradients,
            loss_values=earlier.loss_values + self.loss_values,
            heights=earlier.heights + self.heights,
            residuals=earlier.residuals + self.residuals,
        )

    def with_places_of(self, other: Chain) -> Chain:
        """What was spent on this chain, with the images of another and why that one stopped."""
        return replace(
            self,
            images=other.images,
            values=other.values,
            grads=other.grads,
            status=other.status,
            message=other.message,
        )


def evaluate(landscape: Landscape, places: Places, stiffness: Tensor | None = None) -> Batch:
    """Evaluate the inner images of chains; the stiffness is measured on them where it is not given, ``(p,)``."""
    images, ends = places.images, places.ends
    inner, grads = landscape.value_and_grad(images[:, 1:-1])
    values = torch.cat([ends[:, :1], inner, ends[:, 1:]], dim=1)
    batch = Batch(images, values, grads, places.shares, values.new_zeros(len(values)))
    return replace(batch, stiffness=curvatures(batch).mean(1) if stiffness is None else stiffness)


def curvatures(batch: Batch) -> Tensor:
    """Curvatures seen along chains, by differences of losses and of gradients, ``-> (p, k)``."""
    lengths = batch.lengths
    typical = lengths.mean(1, keepdim=True).clamp(min=torch.finfo(lengths.dtype).tiny)
    bends = batch.values.diff(n=2, dim=1).abs() / typical / typical
    turns = sizes(batch.grads.diff(dim=1)) / typical
    return torch.cat([bends, turns], dim=1)


def relative_force(batch: Batch, force: Force) -> Tensor:
    """Largest residual in units of rise over length, ``(p,)``: the same whatever the units of loss and length."""
    worst = force.residual.amax(1)
    # A flat chain without force has nothing to gain; one with force has not converged.
    return torch.where(worst == 0, 0, worst * batch.lengths.sum(1) / batch.rise)


def finite(batch: Batch) -> Tensor:
    """Whether all losses and gradients of a chain are finite, ``(p,)``."""
    return batch.values.isfinite().all(1) & batch.grads.isfinite().all(-1).all(1)
