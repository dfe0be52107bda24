"""saddle_to_saddle: everything that is predicted of one deep linear network, and its simulation beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.theory.linear.beside import NetworkBeside, network_beside_modes
from lossatlas.theory.linear.checks import above, whole
from lossatlas.theory.linear.flow import learning_time
from lossatlas.theory.linear.integrate import integrate
from lossatlas.theory.linear.matrix_flow import MatrixFlow, matrix_flow
from lossatlas.theory.linear.network import train_network
from lossatlas.theory.linear.peak import DiffusionProfile, diffusion_peak, measure_diffusion
from lossatlas.theory.linear.saddles import Plateau, plateaus
from lossatlas.theory.linear.sde import ModeSDE
from lossatlas.theory.linear.stationary import StationaryLaw, boltzmann_variance, stationary_law
from lossatlas.theory.linear.task import LinearTask, aligned_weights

__all__ = ["ModeAtRest", "ModeDiffusion", "SaddleToSaddle", "saddle_to_saddle"]

_LEARNED = 0.99  # part of the weakest mode that gradient flow has learned when the run ends
_STATES = 4000  # kept along a run, at most
_MOMENTS = 800  # of gradient flow
_BURN_IN, _SAMPLES = 5, 20  # relaxation times
_FINE = 100  # steps of the equation of a mode in a relaxation time
# A peak is sought so far to both sides, in parts of the target: with 0.2 it scatters twice as much.
_AROUND = 0.3


@dataclass(frozen=True)
class ModeDiffusion:
    """Diffusion along one mode in the coordinate s, by the equation and in networks under SGD.

    Args:
        sde: the equation of the mode.
        peak: strength where it is largest, by :func:`diffusion_peak`; NaN where there is no interior maximum.
        profile: measured in the networks; None where they took too few steps for that.
        measured_peak: of a profile around the peak; NaN where there is none.
    """

    sde: ModeSDE
    peak: float
    profile: DiffusionProfile | None
    measured_peak: float


@dataclass(frozen=True)
class ModeAtRest:
    """One mode under label noise after it was learned: its law, and samples from it.

    Args:
        sde: the equation of the mode.
        law: zero-flux law of the equation.
        formula: its variance at small η/B, by :func:`boltzmann_variance`.
        stepped: variance of the law over 1 − ηλ/2, λ = L s*^(2−2/L): SGD takes steps of η, the equation does not.
        paths: ``(samples, paths)``, strengths on paths of the equation, a relaxation time apart.
        networks: ``(samples, R)``, in full networks under SGD.
    """

    sde: ModeSDE
    law: StationaryLaw
    formula: float
    stepped: float
    paths: Tensor
    networks: Tensor

    def variance(self, what: str) -> tuple[float, float]:
        """Variance of the samples ``"paths"`` or ``"networks"``, and its standard error over these."""
        samples: Tensor = getattr(self, what)
        each = (samples - samples.mean()).square().mean(0)
        return float(each.mean()), float(each.std() / len(each) ** 0.5)


@dataclass(frozen=True)
class SaddleToSaddle:
    """What is predicted and what happens on the way of a deep linear network from its saddle at zero.

    Args:
        task: target, network and SGD.
        start: strength of every mode at the start.
        beside: networks under SGD beside the equation of each mode, aligned.
        flow: gradient flow of all weights from the same start.
        plateaus: of the flow, with the saddles there.
        quiet: diffusion of each mode without label noise.
        noisy: with it; empty without noise.
        rest: stationary laws; empty without noise, where each is a point mass at the target.
    """

    task: LinearTask
    start: float
    beside: NetworkBeside
    flow: MatrixFlow
    plateaus: tuple[Plateau, ...]
    quiet: tuple[ModeDiffusion, ...]
    noisy: tuple[ModeDiffusion, ...]
    rest: tuple[ModeAtRest, ...]


def saddle_to_saddle(
    task: LinearTask, *, start: float = 1e-4, replicas: int = 200, paths: int = 1000, seed: int = 0
) -> SaddleToSaddle:
    """Follow a deep linear network from saddle to saddle: gradient flow, SGD, diffusion and the law at rest.

    Networks begin aligned, all modes at the same small strength, and run until gradient flow has learned 99 % of the
    weakest mode. Laws at rest are sampled in other runs, which begin at the target: after 5 relaxation times
    1/λ = 1 / (L s*^(2−2/L)), 20 samples as far apart.

    Args:
        task: target, network, step length, batch and noise, of depth 2 or more.
        start: strength of every mode at first, below half of the weakest target.
        replicas: networks, and paths of the equation beside them; at least 2.
        paths: of the equation of each mode at rest; at least 2.
        seed: names weights, batches and paths.

    Returns:
        Predictions and simulations.

    Raises:
        InputError: depth 1, which has no saddle, a start that cannot be, fewer than 2 replicas or paths, steps so long
            that they overshoot, ηλ > 1, or noise so strong that a mode has no stationary law.
        DivergenceError: networks that are not finite at the end, as mini-batches may be too small for the rate.

    Example:
        >>> task = LinearTask(torch.diag(torch.tensor([3.0, 1.0])), rate=0.02, batch=16, noise=0.2)
        >>> found = saddle_to_saddle(task, replicas=20, paths=20)
        >>> [(p.learned, p.index, p.predicted_index) for p in found.plateaus]
        [((), 8, 8), ((0,), 3, 3)]
    """
    whole(task.depth, "depth", 2, "one matrix has no saddle, so nothing to go from")
    whole(replicas, "replicas", 2, "an error bar needs two")
    whole(paths, "paths", 2, "a variance needs two")
    above(start, "start", 0, "at 0 the flow rests on the saddle and learns nothing")
    fastest = _pull(task.mode(0))
    if task.rate * fastest > 1:
        raise InputError(
            f"expected a rate of at most {1 / fastest:.3g}, got {task.rate:g}: steps would overshoot the strongest "
            "mode, whose curvature at its target is L s*^(2−2/L)"
        )
    end = learning_time(task.depth, float(task.targets[-1]), start, _LEARNED)
    modes = [task.mode(number) for number in range(task.modes)]
    # Refuses noise that is too strong before anything long is computed.
    laws = [stationary_law(mode) for mode in modes] if task.noise else []
    steps = math.ceil(end / task.rate)
    every = math.ceil(steps / _STATES)
    steps = math.ceil(steps / every) * every
    beside = network_beside_modes(task, strength=start, steps=steps, replicas=replicas, every=every, seed=seed)
    calm, run = replace(task, noise=0.0), beside.run
    if task.noise:
        run = train_network(
            calm, aligned_weights(calm, start, seed=seed), steps=steps, replicas=replicas, every=every, seed=seed
        )
    moments = torch.linspace(0, steps * task.rate, _MOMENTS, dtype=torch.float64)
    flow = matrix_flow(task, aligned_weights(task, start, seed=seed), moments)
    return SaddleToSaddle(
        task,
        float(start),
        beside,
        flow,
        plateaus(task, flow),
        tuple(_diffusion(calm.mode(n), run.time, run.strengths[:, :, n]) for n in range(task.modes)),
        tuple(_diffusion(mode, beside.run.time, beside.run.strengths[:, :, n]) for n, mode in enumerate(modes))
        if task.noise
        else (),
        _at_rest(task, modes, laws, (replicas, paths, seed)) if laws else (),
    )


def _pull(sde: ModeSDE) -> float:
    """Rate λ at which a mode returns to its target, the curvature along it there."""
    return sde.depth * float(sde.target ** (2 - 2 / sde.depth))


def _diffusion(sde: ModeSDE, time: Tensor, strengths: Tensor) -> ModeDiffusion:
    goal = sde.target
    peak = diffusion_peak(sde.depth, goal, sde.noise, coordinate="s")
    profile, top = _profile(sde, time, strengths, (0.05 * goal, 0.95 * goal), 18), math.nan
    if math.isfinite(peak):
        near = _profile(sde, time, strengths, (max(0.05 * goal, peak - _AROUND * goal), peak + _AROUND * goal), 10)
        top = math.nan if near is None else near.peak
    return ModeDiffusion(sde, peak, profile, top)


def _profile(
    sde: ModeSDE, time: Tensor, strengths: Tensor, window: tuple[float, float], bins: int
) -> DiffusionProfile | None:
    try:
        return measure_diffusion(time, strengths, depth=sde.depth, window=window, bins=bins)
    except InputError:  # too few increments in a bin: a prediction without a measurement beside it
        return None


def _at_rest(
    task: LinearTask, modes: list[ModeSDE], laws: list[StationaryLaw], counts: tuple[int, int, int]
) -> tuple[ModeAtRest, ...]:
    replicas, paths, seed = counts
    pulls = [_pull(mode) for mode in modes]
    every = math.ceil(1 / (min(pulls) * task.rate))
    run = train_network(
        task, aligned_weights(task, task.targets, seed=seed), steps=(_BURN_IN + _SAMPLES) * every, replicas=replicas,
        every=every, seed=seed + 1,
    )  # fmt: skip
    found = []
    for number, (mode, law, pull) in enumerate(zip(modes, laws, pulls, strict=True)):
        length = _BURN_IN + _SAMPLES
        walks = integrate(
            mode, mode.target, time=length / pull, steps=length * _FINE, paths=paths, every=_FINE,
            seed=seed + task.modes + 1 + number,
        )  # fmt: skip
        found.append(
            ModeAtRest(
                mode,
                law,
                boltzmann_variance(mode),
                law.variance / (1 - task.rate * pull / 2),
                walks.s[_BURN_IN + 1 :],
                run.strengths[_BURN_IN + 1 :, :, number],
            )
        )
    return tuple(found)
