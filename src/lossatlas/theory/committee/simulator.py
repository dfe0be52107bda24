"""True one-pass SGD of a student on a teacher's labels, many replicas side by side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.randomness import generator
from lossatlas.landscape.analytic.energy import check_count
from lossatlas.theory.committee.dynamics import Dynamics, check_times
from lossatlas.theory.committee.overlaps import activation_of, realise

__all__ = ["Simulation", "simulate"]

# Numbers of one block of inputs.
_BLOCK = 1 << 21


@dataclass(frozen=True)
class Simulation:
    """What replicas of one-pass SGD did.

    Args:
        times: t = steps / d, rounded to whole steps, ``(n,)``.
        q: student with student, ``(n, replicas, K, K)``.
        r: student with teacher, ``(n, replicas, K, M)``.
        loss: population loss by the closed form, ``(n, replicas)``.
        dim: d.
    """

    times: Tensor
    q: Tensor
    r: Tensor
    loss: Tensor
    dim: int

    def mean(self, what: str = "loss") -> tuple[Tensor, Tensor]:
        """Mean of "loss", "q" or "r" over replicas with its standard error (NaN for one replica)."""
        values: Tensor = getattr(self, what)
        return values.mean(1), values.std(1) / math.sqrt(values.shape[1])


def simulate(
    dynamics: Dynamics,
    q: Tensor,
    r: Tensor,
    times: Sequence[float] | Tensor,
    *,
    dim: int = 1000,
    replicas: int = 16,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Simulation:
    """Run u_j ← u_j − (η/d)(e − ζ) g′(λ_j) x from weights with exactly the overlaps given, an input at a time.

    Args:
        dynamics: the system; its learning rate must not be None.
        q: overlaps at the start, ``(K, K)``.
        r: ``(K, M)``.
        times: where to measure, increasing from 0 on, in units of d steps.
        dim: number of inputs d, at least K + M.
        replicas: each sees inputs and noise of its own.
        seed: names the inputs.
        dtype: floating type of the weights.

    Raises:
        InputError: gradient flow instead of SGD, impossible overlaps, times or counts.
        DivergenceError: a replica left the finite numbers.

    Example:
        >>> p = torch.eye(1, dtype=torch.float64)
        >>> run = simulate(Dynamics(p, 0.5), p, 0.0 * p, [0.0, 4.0], dim=100, replicas=4)
        >>> bool((run.loss[1] < run.loss[0]).all())
        True

    Source: the algorithm of Saad & Solla 1995, *On-line learning in soft committee machines*.
    """
    if dynamics.learning_rate is None:
        raise InputError("expected Dynamics with a learning rate, got gradient flow: SGD needs one")
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"expected a floating dtype such as torch.float32, got {dtype}: weights are real numbers")
    check_count(replicas, "replicas")
    start, teacher = realise(q, r, dynamics.p, check_count(dim, "dim"))
    when = [round(float(t) * dim) for t in check_times(times)]
    active = sum(r.shape)
    shared = teacher[:, :active].to(dtype)
    student = start.to(dtype).repeat(replicas, 1, 1)
    streams = (generator(seed, "committee inputs", dim, replicas), generator(seed, "committee noise", dim, replicas))
    measured = [_measure(student, teacher)]
    if when[0] > 0:
        measured, when = [], [0, *when]
    for before, now in itertools.pairwise(when):
        _run(dynamics, student, shared, now - before, streams)
        measured.append(_measure(student, teacher))
    qs, rs = (torch.stack(part) for part in zip(*measured, strict=True))
    found = Simulation(torch.tensor(when[-len(measured) :]).double() / dim, qs, rs, dynamics.loss(qs, rs), dim)
    if not bool(torch.isfinite(found.loss).all()):
        lost = int((~torch.isfinite(found.loss)).any(0).sum())
        raise DivergenceError(
            f"expected finite weights, got {lost} of {replicas} replicas without at learning rate "
            f"{dynamics.learning_rate}: use a smaller one"
        )
    return found


def _measure(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    u = student.double()
    return u @ u.mT, u @ teacher.mT


def _run(
    dynamics: Dynamics, student: Tensor, shared: Tensor, steps: int, streams: tuple[torch.Generator, torch.Generator]
) -> None:
    """Advance ``student`` (replicas, K, d) in place."""
    assert dynamics.learning_rate is not None
    g = activation_of(dynamics.activation)
    replicas, _, dim = student.shape
    rate, spread = dynamics.learning_rate / dim, math.sqrt(dynamics.label_noise)
    at_once = max(1, _BLOCK // (replicas * dim))
    for first in range(0, steps, at_once):
        count = min(at_once, steps - first)
        # A draw for each step, so that the inputs do not depend on when the run is measured.
        inputs, noise = student.new_empty(count, replicas, dim), student.new_empty(count, replicas)
        for i in range(count):
            torch.randn(replicas, dim, generator=streams[0], out=inputs[i])
            torch.randn(replicas, generator=streams[1], out=noise[i])
        labels = g(inputs[..., : shared.shape[1]] @ shared.mT).sum(-1) + spread * noise
        for x, y in zip(inputs, labels, strict=True):
            fields = torch.bmm(student, x[..., None])
            error = g(fields).sum(1, keepdim=True) - y[:, None, None]
            student.baddbmm_(error * g.slope(fields), x[:, None, :], alpha=-rate)
