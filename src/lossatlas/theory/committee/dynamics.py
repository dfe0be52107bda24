"""One-pass SGD in the limit of many inputs: the overlaps obey ordinary differential equations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import integrate, optimize
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.theory.committee.activation import Activation
from lossatlas.theory.committee.flow import flow_rates, population_loss
from lossatlas.theory.committee.overlaps import activation_of, check_overlaps, check_teacher, covariance

__all__ = ["Course", "Dynamics", "check_rate", "check_times", "noise_floor"]

_Vector: TypeAlias = NDArray[np.float64]

# Weights this many times longer than at the start are on their way to infinity.
_BLOWN_UP = 1e3


@dataclass(frozen=True)
class Course:
    """Overlaps and loss against time.

    Args:
        times: t = steps / d, ``(n,)``.
        q: student with student, ``(n, K, K)``.
        r: student with teacher, ``(n, K, M)``.
        loss: population loss, ``(n,)``.
        evaluations: of the right-hand side.
    """

    times: Tensor
    q: Tensor
    r: Tensor
    loss: Tensor
    evaluations: int


def check_rate(value: float, what: str, *, zero: bool = False) -> float:
    """Return a finite number that is positive, or at least zero.

    Raises:
        InputError: it is not.
    """
    good = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    if not good or value < 0 or (value == 0 and not zero):
        least = "of at least 0" if zero else "above 0"
        raise InputError(f"expected {what} as a finite number {least}, got {value!r}: it is a size, not a sign")
    return float(value)


def check_times(times: Sequence[float] | Tensor) -> Tensor:
    """Times as a float64 tensor, ``(n,)``.

    Raises:
        InputError: fewer than two, not finite, negative, or not increasing.
    """
    t = torch.as_tensor(times, dtype=torch.float64)
    if t.ndim != 1 or len(t) < 2 or not bool(torch.isfinite(t).all()) or t[0] < 0 or not bool((t.diff() > 0).all()):
        raise InputError(
            f"expected at least two increasing times from 0 on, got {times!r}: for instance torch.linspace(0, 10, 101)"
        )
    return t


@dataclass(frozen=True)
class Dynamics:
    """The equations of one-pass SGD w_j ← w_j − (η/√d)(e − ζ) g′(λ_j) x, Var ζ = σ², time t = steps/d.

    dR/dt = −η (AR − BP),
    dQ/dt = −η (AQ − BRᵀ) + transpose + η² {Σ_ab s_a s_b I₄(j, l, a, b) + σ² E[g′_j g′_l]}.

    Args:
        p: overlaps of the teacher, float64 ``(M, M)``.
        learning_rate: η; None is gradient flow, with time in units of 1/η.
        label_noise: variance σ² of the noise on labels.
        activation: "relu" or "erf".

    Raises:
        InputError: impossible teacher, a rate that is not positive, negative noise, noise in gradient flow, or an
            unknown activation.

    Example:
        >>> p = torch.eye(2, dtype=torch.float64)
        >>> course = Dynamics(p, 0.5).solve(p, 0.5 * p, [0.0, 4.0])
        >>> bool(course.loss[1] < 0.5 * course.loss[0])
        True

    Source: Saad & Solla 1995; Goldt et al. 2019; Huang, Loureiro & Sarao Mannelli, arXiv 2604.09412, for ReLU.
    """

    p: Tensor
    learning_rate: float | None = None
    label_noise: float = 0.0
    activation: str = "relu"
    _g: Activation = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_teacher(self.p)
        object.__setattr__(self, "_g", activation_of(self.activation))
        check_rate(self.label_noise, "the variance of the label noise", zero=True)
        if self.learning_rate is not None:
            check_rate(self.learning_rate, "the learning rate")
        elif self.label_noise > 0:
            raise InputError(
                f"expected no label noise in gradient flow, got {self.label_noise}: it averages out at a vanishing "
                "rate, give a learning_rate"
            )

    def rates(self, q: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """dQ/dt and dR/dt, ``(*b, K, K), (*b, K, M) -> (*b, K, K), (*b, K, M)``; nothing is checked."""
        dq, dr = flow_rates(q, r, self.p, self._g)
        if self.learning_rate is None:
            return dq, dr
        k, m = r.shape[-2:]
        signs = torch.cat([q.new_ones(k), -q.new_ones(m)])
        noise = self._g.four_point(covariance(q, r, self.p), k, signs)
        if self.label_noise > 0:
            noise = noise + self.label_noise * self._gates(q)
        return self.learning_rate * dq + self.learning_rate**2 * noise, self.learning_rate * dr

    def loss(self, q: Tensor, r: Tensor) -> Tensor:
        """Population loss without label noise, ``(*b, K, K), (*b, K, M) -> (*b,)``."""
        return population_loss(q, r, self.p, self._g)

    def solve(
        self,
        q: Tensor,
        r: Tensor,
        times: Sequence[float] | Tensor,
        *,
        method: str = "RK45",
        rtol: float = 1e-6,
        atol: float = 1e-8,
    ) -> Course:
        """Integrate from (Q, R) at ``times[0]`` with :func:`scipy.integrate.solve_ivp`.

        Args:
            q: ``(K, K)``.
            r: ``(K, M)``.
            times: where to report, increasing, ``(n,)``.
            method: of solve_ivp.
            rtol: relative tolerance.
            atol: absolute tolerance.

        Raises:
            InputError: impossible overlaps or times.
            DivergenceError: the solution leaves the finite numbers; a rate too large does that.
        """
        check_overlaps(q, r, self.p)
        if q.ndim != 2:
            raise InputError(f"expected one start, Q (K, K), got {tuple(q.shape)}: solve for one at a time")
        t = check_times(times)
        limit = _BLOWN_UP**2 * float(q.trace() + self.p.trace())

        def blown_up(_: float, y: _Vector) -> float:
            return limit - float(self._unpack(torch.from_numpy(y), len(q))[0].trace())

        blown_up.terminal = True  # type: ignore[attr-defined]
        found = integrate.solve_ivp(
            self._right_hand_side(len(q)),
            (float(t[0]), float(t[-1])),
            self._pack(q, r),
            method=method,
            t_eval=t.numpy(),
            events=blown_up,
            rtol=rtol,
            atol=atol,
        )
        if found.status != 0 or not np.isfinite(found.y).all():
            reached = float(found.t_events[0][0]) if found.status == 1 else float(found.t[-1])
            raise DivergenceError(
                f"expected a solution that stays finite, got weights {_BLOWN_UP:.0e} times longer than at first or "
                f"a stop of the solver, at t = {reached:.4g} with learning rate {self.learning_rate}: use a smaller one"
            )
        qs, rs = self._unpack(torch.as_tensor(found.y.T).contiguous(), len(q))
        return Course(t, qs, rs, self.loss(qs, rs), int(found.nfev))

    def stationary(self, q: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """The fixed point of the equations near (Q, R), by Powell's hybrid method.

        Raises:
            InputError: impossible overlaps.
            DivergenceError: none was found from there.
        """
        check_overlaps(q, r, self.p)
        right = self._right_hand_side(len(q))
        found = optimize.root(lambda y: right(0.0, y), self._pack(q, r), tol=1e-13)
        if np.abs(found.fun).max() > 1e-9:
            raise DivergenceError(
                f"expected a fixed point near the overlaps given, got a rate of {np.abs(found.fun).max():.2g} at best: "
                "integrate further before asking"
            )
        return self._unpack(torch.as_tensor(found.x), len(q))

    def _gates(self, q: Tensor) -> Tensor:
        a = q.diagonal(dim1=-2, dim2=-1)
        gates = self._g.slope_pair(a[..., :, None], a[..., None, :], q)
        return gates - torch.diag_embed(gates.diagonal(dim1=-2, dim2=-1) - self._g.slope_own(a))

    def _pack(self, q: Tensor, r: Tensor) -> _Vector:
        j, m = torch.triu_indices(len(q), len(q))
        packed: _Vector = torch.cat([q[j, m], r.flatten()]).numpy()
        return packed

    def _unpack(self, y: Tensor, k: int) -> tuple[Tensor, Tensor]:
        j, m = torch.triu_indices(k, k)
        q = y.new_zeros(*y.shape[:-1], k, k)
        q[..., j, m] = y[..., : len(j)]
        q[..., m, j] = y[..., : len(j)]
        return q, y[..., len(j) :].reshape(*y.shape[:-1], k, len(self.p))

    def _right_hand_side(self, k: int) -> Callable[[float, _Vector], _Vector]:
        def right(_: float, y: _Vector) -> _Vector:
            return self._pack(*self.rates(*self._unpack(torch.from_numpy(y), k)))

        return right


def noise_floor(q: Tensor, learning_rate: float, label_noise: float, activation: str = "relu") -> Tensor:
    """Excess loss at which SGD with label noise stands still, ε* = (ησ²/4) Σ_j E[g′(λ_j)²], for small η.

    Args:
        q: overlaps of the student at the minimum, ``(*b, K, K)``.
        learning_rate: η.
        label_noise: variance σ².
        activation: "relu" (ε* = ησ²K/8 whatever Q) or "erf".

    Returns:
        ``(*b,)``.

    Raises:
        InputError: a rate that is not positive, negative noise, or an unknown activation.

    Example:
        >>> noise_floor(torch.eye(4, dtype=torch.float64), 0.1, 0.2)
        tensor(0.0100, dtype=torch.float64)
    """
    check_rate(learning_rate, "the learning rate")
    check_rate(label_noise, "the variance of the label noise", zero=True)
    gates = activation_of(activation).slope_own(q.diagonal(dim1=-2, dim2=-1))
    return learning_rate * label_noise / 4 * gates.sum(-1)
