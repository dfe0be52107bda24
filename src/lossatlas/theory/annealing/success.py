"""How often annealing ends in the right place, with intervals, beside the Fokker–Planck solution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.proportion import Proportion
from lossatlas.landscape.analytic.energy import check_count
from lossatlas.theory.annealing.circle import circle_extrema
from lossatlas.theory.annealing.contrastive import InfoNCE, NTXent
from lossatlas.theory.annealing.descent import descend
from lossatlas.theory.annealing.energies import AnyEnergy, SphereEnergy, SupportsAngles
from lossatlas.theory.annealing.fokker_planck import evolve_density
from lossatlas.theory.annealing.langevin import Method, anneal
from lossatlas.theory.annealing.schedule import Beta, Schedule, as_schedule
from lossatlas.theory.annealing.spheres import Spheres

__all__ = ["SuccessCurve", "compare_schedules", "falls", "reaches", "success_curve"]


@dataclass(frozen=True, eq=False)
class SuccessCurve:
    """Success probability against time under one schedule; made by :func:`success_curve`.

    Args:
        schedule: β(t) of the noise.
        times: ``(m,)``, when the same walkers were counted.
        proportions: one per time.
        exact: one per time, from the Fokker–Planck equation; None where it is not known.
        excess: one per time, mean energy of all walkers above the global minimum and its standard error, NaN for one
            walker; None where the minimum is not known, or the energy itself is annealed.
    """

    schedule: Schedule
    times: tuple[float, ...]
    proportions: tuple[Proportion, ...]
    exact: tuple[float, ...] | None
    excess: tuple[tuple[float, float], ...] | None = None

    @property
    def z(self) -> tuple[float, ...] | None:
        """Distance of each proportion from the exact one in standard errors."""
        if self.exact is None:
            return None
        return tuple(share.z(p) for share, p in zip(self.proportions, self.exact, strict=True))


def reaches(
    energy: AnyEnergy, spheres: Spheres, optimum: float, *, tolerance: float = 1e-6, most: int = 5000
) -> Callable[[Tensor], Tensor]:
    """An observable: whether steepest descent from here ends at the optimum, which tells basins apart.

    Args:
        energy: a landscape or a function of one row.
        spheres: the manifold.
        optimum: energy of the global minimum.
        tolerance: above it, in units of energy.
        most: iterations of the descent.

    Returns:
        A function ``(w, n·d) -> (w,)`` of bool.

    Raises:
        InputError: an optimum that is not finite, or a tolerance not above 0.

    Example:
        >>> from lossatlas.theory.annealing import CircleToy
        >>> reaches(CircleToy(), Spheres(2), -1.25)(torch.tensor([[0.6, 0.8], [-0.6, 0.8]]).double()).tolist()
        [True, False]
    """
    if not math.isfinite(optimum) or not 0 < tolerance < math.inf:
        raise InputError(f"expected a finite optimum and a tolerance above 0, got {optimum!r} and {tolerance!r}")

    def observe(x: Tensor) -> Tensor:
        found = descend(energy, spheres, spheres.retract(x), tolerance=1e-2 * math.sqrt(tolerance), most=most)
        return found.energies <= optimum + tolerance

    return observe


def falls(energy: SphereEnergy, *, starts: int = 400, seed: int = 0, confidence: float = 0.95) -> Proportion:
    """Share of uniform starts from which steepest descent, without any noise, ends at the global minimum.

    Where all do, no trap was found: the critical depth is 0 as far as this many starts can tell, and traps catch at
    most 1 − low of the starts.

    Args:
        energy: one that knows its global minimum.
        starts: how many.
        seed: of the starts.
        confidence: of the interval.

    Raises:
        InputError: an energy without a known minimum, or what :func:`.descend` refuses.

    Example:
        >>> falls(InfoNCE(3, 2), starts=50).count
        50
    """
    places = energy.spheres.uniform(check_count(starts, "starts"), seed=seed)
    return Proportion(int(_goal(energy)[0](places).sum()), starts, confidence)


def success_curve(
    energy: AnyEnergy,
    beta: Beta,
    times: Sequence[float],
    *,
    step: float,
    success: Callable[[Tensor], Tensor] | None = None,
    walkers: int = 1000,
    spheres: Spheres | None = None,
    tau: Beta | None = None,
    method: Method = "geodesic",
    seed: int = 0,
    confidence: float = 0.95,
) -> SuccessCurve:
    """Share of walkers from uniform places that are in the global basin at some times.

    Args:
        energy: a landscape or a function of one row.
        beta: β(t) of the noise.
        times: ascending, whole numbers of steps.
        step: h.
        success: ``(w, n·d) -> (w,)`` of bool. None: the global basin of an energy that knows it, or the optimum of a
            contrastive loss at the temperature it was made with.
        walkers: how many.
        spheres: the manifold; None asks the energy.
        tau: schedule of the inverse temperature of the loss, as in :func:`.anneal`.
        method: how a step comes back to the spheres.
        seed: of the run.
        confidence: of the intervals.

    Returns:
        Proportions with intervals, and the exact probabilities on the circle.

    Raises:
        InputError: what :func:`.anneal` refuses, or an energy without a known success.

    Example:
        >>> from lossatlas.theory.annealing import CircleToy, Logarithmic
        >>> curve = success_curve(CircleToy(), Logarithmic(0.5), [5.0, 10.0], step=0.05, walkers=400)
        >>> max(abs(z) for z in curve.z) < 4
        True
    """
    if len(times) == 0:
        raise InputError("expected at least one time to count walkers at, got none: give times=[...]")
    goal, lowest = _goal(energy) if success is None else (success, None)
    # The minimum is that of the energy as it is, not of one that is annealed itself.
    measured = energy if lowest is not None and tau is None else None
    run = anneal(
        energy,
        beta,
        time=float(times[-1]),
        step=step,
        walkers=walkers,
        spheres=spheres,
        tau=tau,
        method=method,
        seed=seed,
        at=times,
        observe=lambda x: _observe(x, goal, measured),
    )
    counts = run.observed[..., 0].sum(1).tolist()
    exact = excess = None
    if measured is not None and lowest is not None:
        above = run.observed[..., 1] - lowest
        count = above.shape[1]
        errors = above.std(1) / math.sqrt(count) if count > 1 else torch.full_like(above[:, 0], torch.nan)
        excess = tuple(zip(above.mean(1).tolist(), errors.tolist(), strict=True))
    if isinstance(energy, SupportsAngles) and success is None and tau is None and math.isfinite(float(run.betas[-1])):
        exact = tuple(evolve_density(energy, beta, run.times.tolist()).success.tolist())
    shares = tuple(Proportion(int(count), len(run.points), confidence) for count in counts)
    return SuccessCurve(as_schedule(beta), tuple(run.times.tolist()), shares, exact, excess)


def compare_schedules(
    energy: AnyEnergy, betas: Mapping[str, Beta], times: Sequence[float], *, step: float, **options: object
) -> dict[str, SuccessCurve]:
    """A :func:`success_curve` for each of several schedules, all from the same places with the same noise.

    Args:
        energy: a landscape or a function of one row.
        betas: schedules by name.
        times: ascending, whole numbers of steps.
        step: h.
        options: as for :func:`success_curve`.

    Raises:
        InputError: no schedules, or what :func:`success_curve` refuses.

    Example:
        >>> from lossatlas.theory.annealing import CircleToy, Logarithmic, Quench
        >>> betas = {"slow": Logarithmic(0.5), "quench": Quench(60.0)}
        >>> curves = compare_schedules(CircleToy(), betas, [20.0], step=0.02)
        >>> curves["slow"].proportions[0].low > curves["quench"].proportions[0].high
        True
    """
    if not betas:
        raise InputError("expected at least one schedule, got none: give betas={'name': schedule}")
    return {
        name: success_curve(energy, beta, times, step=step, **options)  # type: ignore[arg-type]
        for name, beta in betas.items()
    }


def _observe(x: Tensor, goal: Callable[[Tensor], Tensor], energy: AnyEnergy | None) -> Tensor:
    """``(w, 2)``: 1 for success, and the energy where it is asked for."""
    right = goal(x)
    if not isinstance(right, Tensor) or right.shape != x.shape[:1] or right.dtype != torch.bool:
        got = f"{tuple(right.shape)} {right.dtype}" if isinstance(right, Tensor) else type(right).__name__
        raise InputError(
            f"expected success as a function (w, n*d) -> (w,) of bool, got {got}: compare with a threshold"
        )
    values = energy.value(x) if isinstance(energy, SphereEnergy) else torch.zeros_like(x[:, 0])
    return torch.stack([right.double(), values.double()], dim=1)


def _goal(energy: AnyEnergy) -> tuple[Callable[[Tensor], Tensor], float]:
    """Whether walkers are in the global basin, and its lowest energy."""
    if isinstance(energy, SphereEnergy) and isinstance(energy, SupportsAngles):
        extrema = circle_extrema(energy)
        left, right = extrema.basin(extrema.deepest)

        def inside(x: Tensor) -> Tensor:
            past = torch.remainder(torch.atan2(x[:, 1], x[:, 0]) - left, 2 * math.pi)
            return past < right - left

        return inside, float(extrema.energies[extrema.deepest])
    if isinstance(energy, InfoNCE | NTXent) and energy.optimum is not None:
        return reaches(energy, energy.spheres, energy.optimum), energy.optimum
    raise InputError(
        "expected success=... beside an energy without a known optimum, got none: "
        "use reaches(energy, spheres, optimum), or a function of the walkers that says which are right"
    )
