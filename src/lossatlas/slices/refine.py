"""The plane refined so that losses on it are those of the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.results import on_cpu
from lossatlas.landscape.contract import Landscape, accept_rows
from lossatlas.slices.plane import Plane, covering

__all__ = ["Refinement", "mismatch_and_gradient", "refine_plane"]

# Bytes of gradients held at a time.
_BYTES = 256 << 20
_ARMIJO = 1e-4
_HALVINGS = 30
# Rotation of the plane that a first step makes, in radians.
_FIRST_TURN = 0.05


@dataclass(frozen=True, eq=False)
class Refinement:
    """A refined plane and how it was found.

    Args:
        plane: the best plane seen.
        objective: Σ_i (loss on the plane − loss of the run)² before the first step and after each, ``(steps + 1,)``.
        status: ``"converged"``, ``"iteration limit"`` or ``"no descent"`` (rounding or a kink ended the search).
        evaluations: losses with gradients, ``{"gradients": n}``.
        message: how it went, in a sentence.
    """

    plane: Plane
    objective: Tensor
    status: str
    evaluations: dict[str, int] = field(default_factory=dict)
    message: str = ""


def mismatch_and_gradient(
    landscape: Landscape, rows: Tensor, losses: Tensor, directions: Tensor
) -> tuple[float, Tensor]:
    """How wrong the losses of projected points are, and the exact gradient with respect to the directions.

    F(D) = Σ_i (L(θ_n + D D⁺ r_i) − L_i)², r_i = θ_i − θ_n, with the directions as columns of D, and

        ∂F/∂D = Σ_i 2 ΔL_i [(I − P) g_i (D⁺ r_i)ᵀ + (I − P) r_i (D⁺ g_i)ᵀ],  P = D D⁺,

    g_i the gradient of the loss at the projected point.

    Args:
        landscape: of the run.
        rows: ``(n, d)``; the last is θ_n.
        losses: L_i, ``(n,)``.
        directions: ``(k, d)``, independent.

    Returns:
        F, and its gradient ``(k, d)``, in float64.

    Raises:
        InputError: rows that do not belong to the landscape.

    Ding, Li & Huang 2023, *Better loss landscape visualization for deep neural networks with trajectory information*.
    """
    rows = accept_rows(rows, landscape)
    basis = directions.to(rows.device).double()
    inverse = torch.linalg.inv(basis @ basis.T) @ basis  # D⁺, (k, d)
    origin = rows[-1]
    total, gradient = 0.0, torch.zeros_like(basis)
    for where in _chunks(rows):
        offsets = rows[where].double() - origin.double()
        along = offsets @ inverse.T
        values, grads = landscape.value_and_grad((origin.double() + along @ basis).to(rows.dtype))
        slopes = grads.double()
        wrong = values.double() - losses[where].to(values.device).double()
        total += float(wrong.square().sum())
        weight = 2 * wrong[:, None]
        gradient += (weight * along).T @ slopes + (weight * (slopes @ inverse.T)).T @ offsets
    return total, gradient - (gradient @ inverse.T) @ basis


def _chunks(rows: Tensor) -> Iterator[slice]:
    size = max(1, _BYTES // (8 * rows.shape[-1]))
    return (slice(start, min(start + size, len(rows))) for start in range(0, len(rows), size))


def refine_plane(
    landscape: Landscape,
    rows: Tensor,
    start: Plane,
    *,
    losses: Tensor | None = None,
    iterations: int = 50,
    tolerance: float = 1e-3,
) -> Refinement:
    """Turn a plane through the end of a run until losses on it are those of the run.

    Minimises F of :func:`mismatch_and_gradient`, which depends on the plane alone and not on its basis: gradient steps
    on the set of planes (orthonormal bases, QR after each step), with step lengths of Barzilai and Borwein and Armijo's
    condition. The best plane seen is returned, with the basis nearest to that of the start.

    Args:
        landscape: of the run.
        rows: ``(n, d)``, the run; its last point is the origin of the plane.
        start: usually ``trajectory_plane(rows).plane``.
        losses: of the run, ``(n,)``; None: evaluated.
        iterations: steps at most.
        tolerance: converged when the gradient has fallen to this part of what it was at the start.

    Returns:
        The plane with the course of the search.

    Raises:
        InputError: a plane that does not pass through the last point of the run.
        DivergenceError: a loss along the run that is not finite.

    Example:
        >>> from lossatlas import landscape
        >>> from lossatlas.slices.trajectory import trajectory_plane
        >>> bowl = landscape.get("quadratic", dim=4, eigenvalues=[1.0, 2.0, 3.0, 400.0])
        >>> t = torch.linspace(1, 0, 12, dtype=torch.float64)[:, None]
        >>> run = torch.cat([t, t**2, t**3, 0.05 * t], dim=1)
        >>> found = refine_plane(bowl, run, trajectory_plane(run).plane)
        >>> bool(found.objective[-1] < 0.5 * found.objective[0])
        True

    Ding, Li & Huang 2023, *Better loss landscape visualization for deep neural networks with trajectory information*;
    step lengths: Barzilai & Borwein 1988, *Two-point step size gradient methods*.
    """
    rows = accept_rows(rows, landscape)
    start = start.to(device=rows.device)
    if rows.ndim != 2 or start.dim != rows.shape[-1] or not torch.equal(rows[-1].to(start.origin), start.origin):
        raise InputError(
            "expected a plane through the last point of the run, got another: pass trajectory_plane(rows).plane"
        )
    if iterations < 0 or not tolerance >= 0:
        raise InputError(f"expected iterations and a tolerance of at least 0, got {iterations} and {tolerance}")
    known = landscape.value(rows) if losses is None else losses
    if not bool(known.isfinite().all()):
        raise DivergenceError("expected finite losses along the run, got NaN or infinity: leave out where it diverged")
    search = _Search(landscape, rows, known, _orthonormal(start.directions.double()))
    search.run(iterations, tolerance)
    basis = _nearest(search.best, start.directions.double())
    bare = Plane(start.origin, basis.to(rows.dtype))
    names = tuple(f"refined direction {k + 1}" for k in range(bare.count))
    window = covering(bare.project(rows).coordinates)
    details = {"mismatch": [search.course[0], search.course[-1]], "points": len(rows)}
    plane = Plane(bare.origin, bare.directions, "refined trajectory", names, window, start.spec, details)
    message = f"{search.status}: mismatch {search.course[0]:.3g} before, {min(search.course):.3g} after"
    course = torch.tensor(search.course, dtype=torch.float64)
    return on_cpu(Refinement(plane, course, search.status, {"gradients": search.calls * len(rows)}, message))


# ---------------------------------------------------------------------- inside
def _orthonormal(rows: Tensor) -> Tensor:
    q, r = torch.linalg.qr(rows.T)
    basis: Tensor = (q * r.diagonal().sign()).T
    return basis


def _nearest(basis: Tensor, wanted: Tensor) -> Tensor:
    """The orthonormal basis of the same plane that is nearest to given directions (orthogonal Procrustes)."""
    u, _, v = torch.linalg.svd(wanted @ basis.T)
    turned: Tensor = (u @ v) @ basis
    return turned


class _Search:
    """Barzilai-Borwein steps on planes; ``best`` is the best one seen, ``course`` the objective after each step."""

    def __init__(self, landscape: Landscape, rows: Tensor, losses: Tensor, basis: Tensor) -> None:
        self._landscape, self._rows, self._losses = landscape, rows, losses
        self.best = basis
        self.calls = 0
        self.value, self._gradient = self._look(basis)
        self.course = [self.value]
        self.status = "iteration limit"

    def _look(self, basis: Tensor) -> tuple[float, Tensor]:
        self.calls += 1
        return mismatch_and_gradient(self._landscape, self._rows, self._losses, basis)

    def run(self, iterations: int, tolerance: float) -> None:
        first = float(self._gradient.norm())
        step = _FIRST_TURN / first if first > 0 else 0.0
        for _ in range(iterations):
            slope = float(self._gradient.norm())
            if slope <= tolerance * first:
                self.status = "converged"
                return
            taken = self._descend(step, slope)
            if taken is None:
                self.status = "no descent"
                return
            step = taken
        if float(self._gradient.norm()) <= tolerance * first:
            self.status = "converged"

    def _descend(self, step: float, slope: float) -> float | None:
        """One step that lowers the objective; the length of the next one, or None where there is none."""
        for _ in range(_HALVINGS):
            basis = _orthonormal(self.best - step * self._gradient)
            value, gradient = self._look(basis)
            if value <= self.value - _ARMIJO * step * slope**2:  # also refuses NaN
                moved = _nearest(basis, self.best)
                # The gradient belongs to the plane: it turns with the basis.
                turned = (moved @ basis.T) @ gradient
                s, y = moved - self.best, turned - self._gradient
                self.best, self.value, self._gradient = moved, value, turned
                self.course.append(value)
                curvature = float((s * y).sum())
                return float((s * s).sum()) / curvature if curvature > 0 else 2 * step
            step /= 2
        return None
