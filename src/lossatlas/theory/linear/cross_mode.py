"""What modes of a full network of two layers do to each other: the drift that the one-mode equation leaves out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.theory.linear.checks import strengths_of, whole
from lossatlas.theory.linear.network import layer_gradients, product_gradient
from lossatlas.theory.linear.task import LinearTask, aligned_weights, multiply

__all__ = ["CrossModeDrift", "cross_mode_drift", "measure_cross_mode_drift"]

_CHUNK = 20_000


def cross_mode_drift(task: LinearTask, strengths: Tensor | float) -> Tensor:
    """Extra drift of each mode from the gradient noise between modes, (η/B) Σ_{β≠α} s_β δ_α δ_β with δ = s* − s.

    A step of SGD changes the product by W₂ ΔW₁ + ΔW₂ W₁ + ΔW₂ ΔW₁. The last term is η² G Wᵀ G, and entries (α, β) and
    (β, α) of the gradient's noise have the covariance δ_α δ_β / B. It is per unit of t = η · steps, at aligned and
    balanced weights; away from these, entries of the product between modes add terms of the same order in η/B.

    Args:
        task: target, rate and batch, of depth 2.
        strengths: s, ``(r,)`` or one number for all.

    Returns:
        ``(r,)``, beside the drift of :class:`~lossatlas.theory.linear.ModeSDE` in the coordinate s.

    Raises:
        InputError: another depth, or strengths that are negative or too many.

    Example:
        >>> task = LinearTask(torch.diag(torch.tensor([2.0, 1.0])), rate=0.1)
        >>> cross_mode_drift(task, torch.tensor([1.0, 0.5]))  # 0.1 * 0.5 * 1 * 0.5 and 0.1 * 1 * 0.5 * 1
        tensor([0.0250, 0.0500], dtype=torch.float64)
    """
    if task.depth != 2:
        raise InputError(f"expected a task of depth 2, got {task.depth}: this drift is known for two layers")
    s = strengths_of(strengths, task.modes, "strengths")
    delta = task.targets - s
    pull = s * delta
    return task.rate / task.batch * delta * (pull.sum() - pull)


@dataclass(frozen=True)
class CrossModeDrift:
    """The drift between modes, measured beside its formula.

    Args:
        measured: ``(r,)``, per unit of t.
        standard_error: ``(r,)``, of it.
        predicted: ``(r,)``, the formula.
        samples: steps of SGD that were averaged.
    """

    measured: Tensor
    standard_error: Tensor
    predicted: Tensor
    samples: int

    @property
    def z(self) -> Tensor:
        """``(r,)``, the difference in standard errors."""
        return (self.measured - self.predicted) / self.standard_error


def measure_cross_mode_drift(
    task: LinearTask, strengths: Tensor | float, *, samples: int = 100_000, seed: int = 0
) -> CrossModeDrift:
    """Measure the drift between modes: steps of a full network less those of a diagonal one with the same batches.

    In the diagonal network a mode sees its own entry of the gradient alone, s ← (√s − η √s G_αα)². Both take the same
    step otherwise, so their difference is the cross-mode term without the noise of the rest.

    Args:
        task: target, rate, batch and noise, of depth 2.
        strengths: s, ``(r,)`` or one number for all.
        samples: single steps from these weights, at least 2.
        seed: names weights and batches.

    Returns:
        Measured drift, its standard error and the formula.

    Raises:
        InputError: another depth, fewer than 2 samples, or strengths that are negative or too many.

    Example:
        >>> task = LinearTask(torch.diag(torch.tensor([2.0, 1.0])), rate=0.1)
        >>> found = measure_cross_mode_drift(task, torch.tensor([1.0, 0.5]), samples=20000)
        >>> bool((found.z.abs() < 4).all()), bool((found.measured > 3 * found.standard_error).all())
        (True, True)
    """
    whole(samples, "samples", 2, "a standard error needs two")
    predicted = cross_mode_drift(task, strengths)
    s = strengths_of(strengths, task.modes, "strengths")
    weights, source = aligned_weights(task, s, seed=seed), generator(seed, "cross-mode drift")
    product = multiply(weights)
    differences = []
    for done in range(0, samples, _CHUNK):
        count = min(_CHUNK, samples - done)
        slope = product_gradient(task, product.expand(count, *product.shape), source)
        full = tuple(w - task.rate * g for w, g in zip(weights, layer_gradients(weights, slope), strict=True))
        alone = s * (1 - task.rate * task.strengths(slope)) ** 2
        differences.append((task.strengths(multiply(full)) - alone) / task.rate)
    found = torch.cat(differences)
    return CrossModeDrift(found.mean(0), found.std(0) / samples**0.5, predicted, samples)
