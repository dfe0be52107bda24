"""Fokker–Planck on the circle: where walkers are at any time under any schedule, without walkers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.linalg import eigvalsh
from scipy.sparse import csc_array

from lossatlas.core.errors import InputError, LossatlasError
from lossatlas.theory.annealing.circle import Potential, circle_extrema, curvature_at, potential_of
from lossatlas.theory.annealing.schedule import Beta, check_schedule

__all__ = ["CircleDensity", "evolve_density", "eyring_kramers_gap", "generator_matrix", "spectral_gap"]

Array = NDArray[np.float64]

# Hotter schedules than this start from it: diffusion mixes the circle at once, so that the density stays uniform.
_HOTTEST = 1e-6


def generator_matrix(potential: Potential, beta: float, cells: int = 512) -> csc_array:
    """∂p/∂t = ∂_θ(U′ p) + β⁻¹ ∂_θθ p as the rates of a chain of cells, ``(n, n)`` with columns that sum to 0.

    Cell i loses B(δ)/(βΔ²) to cell i + 1 and gains B(−δ)/(βΔ²), with δ = β(U_{i+1} − U_i), B(z) = z/(e^z − 1). No
    probability is ever negative, none is lost, and exp(−βU_i) is stationary exactly.

    Args:
        potential: U(θ), or an energy with ``angle_energy``.
        beta: 1/energy, above 0.
        cells: n, at least 8, of width Δ = 2π/n with centres at iΔ.

    Raises:
        InputError: β or n out of range, or energies that are not finite.

    Reference:
        Scharfetter & Gummel 1969, IEEE Trans. Electron Devices 16, 64; Chang & Cooper 1970, J. Comput. Phys. 6, 1.

    Example:
        >>> rates = generator_matrix(np.cos, 2.0, cells=64)
        >>> stationary = np.exp(-2.0 * np.cos(np.arange(64) * 2 * np.pi / 64))
        >>> bool(np.abs(rates @ stationary).max() < 1e-10)
        True
    """
    if not 0 < beta < math.inf:
        raise InputError(f"expected beta as a finite number above 0, got {beta!r}: descent has no density to follow")
    return _rates(_energies(potential, cells), beta)


def _energies(potential: Potential, cells: int) -> Array:
    if isinstance(cells, bool) or not isinstance(cells, int) or cells < 8:
        raise InputError(f"expected cells as an integer of at least 8, got {cells!r}: 512 are usual")
    return potential_of(potential)(_centres(cells))


def _centres(cells: int) -> Array:
    return np.asarray(np.arange(cells) * (2 * math.pi / cells), dtype=np.float64)


def _rates(u: Array, beta: float) -> csc_array:
    n = len(u)
    rise = beta * (np.roll(u, -1) - u)
    scale = (n / (2 * math.pi)) ** 2 / beta
    forth, back = scale * _bernoulli(rise), scale * _bernoulli(-rise)
    here, there = np.arange(n), np.roll(np.arange(n), -1)
    rows, columns = np.concatenate([there, here, here, there]), np.concatenate([here, here, there, there])
    return csc_array((np.concatenate([forth, -forth, back, -back]), (rows, columns)), shape=(n, n))


def _bernoulli(z: Array) -> Array:
    """z/(e^z − 1), 1 at 0, without overflow."""
    small = np.abs(z) < 1e-8
    safe = np.where(small, 1.0, np.clip(z, -700, 700))
    return np.asarray(np.where(small, 1 - z / 2, np.where(z < -700, -z, safe / np.expm1(safe))))


@dataclass(frozen=True, eq=False)
class CircleDensity:
    """Probability of each cell at some times; made by :func:`evolve_density`.

    Args:
        times: ``(m,)``.
        probability: ``(m, n)``, sums to 1 along n.
        angles: ``(n,)``, centres of the cells, radians.
        wrong: ``(m,)``, probability outside the basin of the global minimum.
        evaluations: right-hand sides computed.
    """

    times: Array
    probability: Array
    angles: Array
    wrong: Array
    evaluations: int

    @property
    def success(self) -> Array:
        """``(m,)``, probability of the basin of the global minimum."""
        return 1 - self.wrong


def evolve_density(
    potential: Potential,
    beta: Beta,
    times: Sequence[float],
    *,
    cells: int = 512,
    start: Array | None = None,
    tolerance: float = 1e-6,
) -> CircleDensity:
    """Solve ∂p/∂t = ∂_θ(U′ p) + β(t)⁻¹ ∂_θθ p on the circle by implicit steps of controlled error (BDF).

    Args:
        potential: U(θ), a numpy function, or an energy with ``angle_energy``.
        beta: β(t), in 1/energy; where it is below 1e-6, which a schedule may be at t = 0, 1e-6 is used.
        times: ascending, above 0, in the unit of dX = −∇E dt.
        cells: resolution; the error falls as its square.
        start: ``(n,)``, probabilities of the cells at t = 0; uniform if None.
        tolerance: relative error of the integrator for each step.

    Returns:
        Densities and the probability of the wrong basin.

    Raises:
        InputError: times, schedule or start that cannot be, a potential without a single global minimum.

    Example:
        >>> from lossatlas.theory.annealing import CircleToy, Logarithmic
        >>> found = evolve_density(CircleToy(), Logarithmic(0.5), [1e3, 1e4])
        >>> found.wrong.round(3).tolist()
        [0.173, 0.103]
    """
    moments = np.asarray(times, dtype=np.float64)
    if moments.ndim != 1 or moments.size == 0 or not np.isfinite(moments).all() or moments[0] <= 0:
        raise InputError(f"expected finite times above 0, got {times}: t = 0 is the start itself")
    if (np.diff(moments) <= 0).any():
        raise InputError(f"expected ascending times, got {times}: sort them")
    schedule = check_schedule(beta, 0.0, float(moments[-1]))
    if not math.isfinite(schedule(float(moments[-1]))):
        raise InputError("expected a finite beta, got inf: pure descent has no density to follow, use a large number")
    u = _energies(potential, cells)
    p = _checked_start(start, cells)
    wrong = _outside(potential, cells)

    def rates(t: float) -> csc_array:
        return _rates(u, max(schedule(t), _HOTTEST))

    found = solve_ivp(
        lambda t, q: rates(t) @ q,
        (0.0, float(moments[-1])),
        p,
        method="BDF",
        jac=lambda t, _: rates(t),
        t_eval=moments,
        rtol=tolerance,
        atol=1e-4 * tolerance,
    )
    if not found.success:
        raise LossatlasError(f"the density could not be followed: {found.message}; use fewer cells")
    probability = found.y.T
    return CircleDensity(moments, probability, _centres(cells), probability @ wrong, int(found.nfev))


def _checked_start(start: Array | None, cells: int) -> Array:
    if start is None:
        return np.full(cells, 1 / cells)
    p = np.array(start, dtype=np.float64)
    if p.shape != (cells,) or not (p >= 0).all() or not math.isclose(p.sum(), 1, abs_tol=1e-9):
        raise InputError(
            f"expected start as {cells} probabilities that sum to 1, got shape {p.shape} with sum {p.sum():.6g}: "
            "divide it by its sum"
        )
    return p


def _outside(potential: Potential, cells: int) -> Array:
    """Part of each cell that lies outside the basin of the global minimum."""
    extrema = circle_extrema(potential)
    left, right = extrema.basin(extrema.deepest)
    width = 2 * math.pi / cells
    # Cells unrolled over three turns, since a basin may reach across θ = 0.
    low = (np.arange(cells) - 0.5) * width
    inside = np.zeros(cells)
    for turn in (-2 * math.pi, 0.0, 2 * math.pi):
        overlap = np.minimum(low + width + turn, right) - np.maximum(low + turn, left)
        inside += np.clip(overlap, 0, width) / width
    return 1 - inside


def spectral_gap(potential: Potential, beta: float, cells: int = 1024) -> float:
    """Smallest rate above 0 at which a density relaxes to exp(−βU), in 1/time.

    Raises:
        InputError: β or the number of cells out of range.

    Example:
        >>> round(spectral_gap(np.cos, 1e-3) * 1e-3, 3)
        1.0
    """
    rates = generator_matrix(potential, beta, cells)
    u = _energies(potential, cells)
    # Detailed balance makes exp(βU/2) K exp(−βU/2) symmetric; differences to the mean keep the powers in range.
    weight = np.exp(beta / 2 * (u - u.mean()))
    symmetric = rates.toarray() * weight[:, None] / weight[None, :]
    return float(eigvalsh(-(symmetric + symmetric.T) / 2, subset_by_index=[1, 1])[0])


def eyring_kramers_gap(potential: Potential, beta: float) -> float:
    """The gap of the chain that hops between neighbouring minima, k = √(U″_min |U″_pass|)/2π · e^{−β(U_pass − U_min)}.

    With two wells it is the sum of the rates there and back over both passes. Exact as β → ∞.

    Raises:
        InputError: β out of range, or a single minimum, between which and itself nothing hops.

    Reference:
        Kramers 1940, Physica 7, 284; Bovier, Eckhoff, Gayrard & Klein 2004, J. Eur. Math. Soc. 6, 399.

    Example:
        >>> from lossatlas.theory.annealing import CircleToy
        >>> round(spectral_gap(CircleToy(), 4.0) / eyring_kramers_gap(CircleToy(), 4.0), 3)
        0.925
    """
    if not 0 < beta < math.inf:
        raise InputError(f"expected beta as a finite number above 0, got {beta!r}: give one")
    extrema = circle_extrema(potential)
    n = len(extrema.minima)
    if n < 2:
        raise InputError("expected a potential with two minima or more, got one: nothing hops")
    at_minima, at_passes = curvature_at(potential, extrema.minima), curvature_at(potential, extrema.passes)
    hops = np.zeros((n, n))
    for k in range(n):  # pass k lies between minima k and k + 1
        for here, there in ((k, (k + 1) % n), ((k + 1) % n, k)):
            rise = extrema.pass_energies[k] - extrema.energies[here]
            rate = math.sqrt(at_minima[here] * abs(at_passes[k])) / (2 * math.pi) * math.exp(-beta * rise)
            hops[there, here] += rate
            hops[here, here] -= rate
    return float(np.sort(-np.linalg.eigvals(hops).real)[1])
