"""network_beside_modes: SGD of full networks, and what the equation of one mode says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.theory.linear.checks import above, choice
from lossatlas.theory.linear.flow import mode_flow
from lossatlas.theory.linear.integrate import integrate
from lossatlas.theory.linear.network import NetworkRun, train_network
from lossatlas.theory.linear.task import LinearTask, aligned_weights, random_weights

__all__ = ["Beginning", "NetworkBeside", "network_beside_modes"]

Beginning: TypeAlias = Literal["aligned", "random"]
"""How networks start: balanced in the target's singular vectors, or with independent Gaussian weights."""


@dataclass(frozen=True)
class NetworkBeside:
    """Modes of full networks beside the prediction for single modes.

    Args:
        run: the networks.
        predicted: ``(T, R, r)``, paths of the one-mode equation; NaN before they begin, and for a replica whose mode is
            not positive there: it has to cross zero first, where this equation does not lead.
        flow: ``(T, r)``, gradient flow of single modes from the mean strength there; NaN before.
        begins: ``(r,)``, moments at which the predictions of the modes begin; -1 where a mode never grew so far.
        negative: ``(r,)``, replicas whose mode was not positive there.
        start: ``"aligned"`` or ``"random"``.
    """

    run: NetworkRun
    predicted: Tensor
    flow: Tensor
    begins: Tensor
    negative: Tensor
    start: Beginning

    @property
    def difference(self) -> Tensor:
        """``(T, r)``, mean strength of the networks that have a prediction less that of these; NaN before it begins."""
        return self._pairs().nanmean(1)

    @property
    def standard_error(self) -> Tensor:
        """``(T, r)``, of the difference."""
        pairs = self._pairs()
        count = (~pairs.isnan()).sum(1)
        variance = (pairs - pairs.nanmean(1, keepdim=True)).square().nansum(1) / (count - 1)
        return (variance / count).sqrt()

    def _pairs(self) -> Tensor:
        return self.run.strengths - self.predicted


def network_beside_modes(
    task: LinearTask,
    *,
    start: Beginning = "aligned",
    strength: Tensor | float = 0.01,
    scale: float = 0.1,
    grown: float = 0.1,
    steps: int = 1000,
    replicas: int = 100,
    every: int = 10,
    seed: int = 0,
) -> NetworkBeside:
    """Train full networks by SGD, and integrate the equation of each mode beside them.

    Aligned networks and predictions begin together. Networks with random weights are not aligned at first: the
    prediction of a mode begins when its mean strength first exceeds ``grown`` of the target, each path from a replica's
    own strength. In narrow layers the hidden directions of random networks' modes overlap, and part while they grow:
    such modes come later than predicted, less so in wide layers. Beyond two layers the equation asks for small weights
    in all of them.

    Paths take Euler-Maruyama steps of η in w, which have the mean and variance of SGD in a diagonal network; what
    remains is what modes do to each other (:func:`~lossatlas.theory.linear.cross_mode_drift`), the weights'
    imbalance, and the tails of a mini-batch's gradient.

    Args:
        task: target, network, step length, batch and noise.
        start: how networks begin.
        strength: initial strength of aligned networks, one number or ``(r,)``, above 0.
        scale: of random weights, as :func:`~lossatlas.theory.linear.random_weights`.
        grown: part of the target at which predictions begin after a random start.
        steps: of SGD.
        replicas: networks, and paths of each mode.
        every: moments are so many steps apart; divides ``steps``.
        seed: names weights, batches and paths.

    Returns:
        Networks and predictions.

    Raises:
        InputError: another beginning, a strength or ``grown`` that cannot be, or sizes that cannot be.

    Example:
        >>> task = LinearTask(torch.diag(torch.tensor([2.0, 1.0])), rate=0.02, batch=64)
        >>> found = network_beside_modes(task, steps=300, every=100)
        >>> found.difference.shape, bool((found.difference.abs() < 0.1).all())
        (torch.Size([4, 2]), True)
    """
    choice(start, "start", ("aligned", "random"))
    part = above(grown, "grown", 0, "predictions begin when a mode has grown to that part of its target")
    if part >= 1:
        raise InputError(f"expected grown below 1, got {grown}: predictions begin before a mode is learned")
    if start == "aligned":
        weights = aligned_weights(task, strength, seed=seed)
        if not bool((torch.as_tensor(strength) > 0).all()):
            raise InputError(f"expected strengths above 0, got {strength}: at 0 a mode rests on the saddle")
    else:
        weights = random_weights(task, scale, replicas, seed=seed)
    run = train_network(task, weights, steps=steps, replicas=replicas, every=every, seed=seed)
    predicted = torch.full_like(run.strengths, torch.nan)
    flow = torch.full_like(run.strengths[:, 0], torch.nan)
    begins, negative = torch.full((task.modes,), -1), torch.zeros(task.modes, dtype=torch.long)
    for mode in range(task.modes):
        equation, goal = task.mode(mode), float(task.targets[mode])
        means = run.strengths[:, :, mode].mean(1)
        reached = (means > part * goal).nonzero()[:, 0]
        if start == "random" and not len(reached):
            continue
        first = int(reached[0]) if start == "random" else 0
        begins[mode] = first
        own = run.strengths[first, :, mode]
        negative[mode] = int((own <= 0).sum())
        left = (len(run.time) - 1 - first) * every
        has = torch.ones_like(own, dtype=torch.bool) if task.depth == 1 else own > 0
        predicted[first, has, mode] = own[has]
        flow[first:, mode] = mode_flow(task.depth, goal, float(means[first]), run.time[first:] - run.time[first])
        if left and bool(has.any()):
            paths = integrate(
                equation, own[has], time=left * task.rate, steps=left, method="euler-maruyama", every=every,
                seed=seed + mode + 1,
            )  # fmt: skip
            predicted[first:, has, mode] = paths.s
    return NetworkBeside(run, predicted, flow, begins, negative, start)
