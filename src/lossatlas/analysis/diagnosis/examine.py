"""diagnose: what is wrong at a point of a landscape, with evidence and advice."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from lossatlas.analysis.diagnosis.case import Case, Held
from lossatlas.analysis.diagnosis.checks import CHECKS
from lossatlas.analysis.diagnosis.layers import measure_layers
from lossatlas.analysis.diagnosis.network_checks import healthy
from lossatlas.analysis.diagnosis.pictures import layers_picture
from lossatlas.analysis.diagnosis.point import Point, measure_point
from lossatlas.analysis.diagnosis.records import Diagnosis, Evidence
from lossatlas.analysis.diagnosis.run_facts import RunFacts, run_facts
from lossatlas.core.errors import InputError
from lossatlas.core.trajectory import Trajectory
from lossatlas.curvature.noise_scale import gradient_noise
from lossatlas.landscape.contract import Landscape, SupportsMetrics, accept_rows, check_rows

__all__ = ["diagnose"]

_PLAIN = ("SGD",)
# Of fewer examples no noise scale is estimated; large batches for it.
_EXAMPLES, _LARGE = 64, 256


def diagnose(
    landscape: Landscape,
    w: Tensor | None = None,
    history: Trajectory | None = None,
    *,
    test: Landscape | None = None,
    learning_rate: float | None = None,
    momentum: float | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Look for what is wrong at a point of a landscape, and in the run that led there.

    Exploding gradients, a learning rate beyond 2/λ_max, ill-conditioning, saddles, vanishing gradients, plateaus, sharp
    or overfit minima; healthy where none is found. What can be told depends on what is given: without the run nothing
    is known of oscillation and divergence, without test data nothing of overfitting; ``notes`` say so.

    The limits are rules of thumb, and stand beside every number. A wide spectrum is no finding by itself in a network,
    where nearly all have one: it must show, as a loss that oscillates, or a gradient that misses what is left to gain.

    Args:
        landscape: training loss; any landscape. Evaluated in float64, on all its data.
        w: the point, ``(d,)``; None: the last weights of the history with a finite loss, before the run diverged.
        history: the run that led there, as :class:`lossatlas.training.TrajectoryRecorder` records it.
        test: loss over the test data.
        learning_rate: η of plain or momentum gradient descent; None: that of the history, unless another optimizer than
            SGD recorded it, whose steps are not η times the gradient.
        momentum: β; None: that of the history, or 0.
        seed: names the random vectors.

    Returns:
        The findings with evidence, pictures and advice; see :class:`lossatlas.analysis.diagnosis.Diagnosis`.

    Raises:
        InputError: not one point of the landscape, or neither a point nor a history.
        DivergenceError: the loss or its gradient are not finite at the point.

    Example:
        >>> from lossatlas import landscape
        >>> bowl = landscape.get("quadratic", dim=3, eigenvalues=[1.0, 10.0, 1e6], rotate=False)
        >>> found = diagnose(bowl, torch.ones(3, dtype=torch.float64), learning_rate=1e-7)
        >>> found.kinds, round(found.finding("ill-conditioned").number("condition number"))
        (('ill-conditioned',), 1000000)

    Pascanu, Mikolov & Bengio 2013 (exploding gradients); Dauphin et al. 2014 (saddles); Cohen et al. 2021 (edge of
    stability); Keskar et al. 2017, Dinh et al. 2017 (sharp minima).
    """
    facts = None if history is None else run_facts(history.curves)
    at = _point_of(landscape, w, history, facts)
    if learning_rate is not None and not learning_rate > 0:
        raise InputError(f"expected a learning rate above 0, got {learning_rate}")
    if momentum is not None and not 0 <= momentum < 1:
        raise InputError(f"expected a momentum in [0, 1), got {momentum}")
    exact = landscape.to(dtype=torch.float64)
    point = measure_point(exact, at.detach().double().to(exact.device), seed)
    notes = [*_notes_of(point)]
    rate, beta, nesterov = _steps_of(history, learning_rate, momentum, notes)
    if history is None:
        notes.append("Without the run nothing is known of oscillation, divergence or spikes of the gradient.")
    elif facts is None:
        count, finite = len(history.curves), bool(history.curves.losses.isfinite().any())
        notes.append(
            f"The run has {count} losses on record, too few to say anything of it."
            if finite or not count
            else f"None of the {count} losses on record is finite: nothing can be said of the run."
        )
    held = _held(exact, test, point)
    if held is None:
        notes.append("Without test data nothing is known of overfitting.")
    case = Case(
        exact, point, measure_layers(exact, point.w, point.gradient, seed), history, facts, held, rate, beta, nesterov,
        seed,
    )  # fmt: skip
    findings = tuple(found for check in CHECKS.values() if (found := check(case)) is not None)
    notes.extend(_edge_of_stability(case))
    told = {picture.name for finding in findings for picture in finding.pictures}
    pictures = tuple(picture for picture in layers_picture(case) if picture.name not in told)
    details = {"method": point.method, "data": point.data, "products": point.products, "seed": seed}
    measured = (*_measurements(case), *_noise(case))
    return Diagnosis(findings or (healthy(case),), measured, case.layers, tuple(notes), pictures, details)


# ---------------------------------------------------------------------- inside
def _point_of(landscape: Landscape, w: Tensor | None, history: Trajectory | None, facts: RunFacts | None) -> Tensor:
    if history is not None and history.weights.shape[1] != landscape.dim:
        raise InputError(
            f"expected a history of {landscape.dim} parameters, got {history.weights.shape[1]}: it belongs to another "
            "network"
        )
    if w is None:
        last = None if history is None else history.last_finite
        if history is None or last is None:
            raise InputError("expected a point (d,) or a history with finite weights, got neither: pass w")
        if facts is not None and facts.diverged_at is not None:
            last = max(0, min(last, int((history.steps < facts.diverged_at).sum()) - 1))
        w = history.weights[last].to(landscape.dtype)
    w = accept_rows(w, landscape)
    if w.ndim != 1:
        raise InputError(f"expected one point ({landscape.dim},), got shape {tuple(w.shape)}: diagnose them one by one")
    if not bool(w.isfinite().all()):
        raise InputError(
            "expected finite coordinates, got NaN or infinity: give the last finite weights of the run, or leave w out "
            "beside its history, which knows them"
        )
    return w


def _steps_of(
    history: Trajectory | None, rate: float | None, momentum: float | None, notes: list[str]
) -> tuple[float | None, float, bool]:
    """η, β and whether Nesterov's, given or on record."""
    settings = {} if history is None else history.settings
    beta = float(settings.get("momentum") or 0.0) if momentum is None else momentum
    nesterov = bool(settings.get("nesterov", False)) and beta > 0
    name = settings.get("optimizer")
    if rate is None and history is not None:
        known = history.curves.learning_rates[history.curves.learning_rates.isfinite()]
        if len(known) and name is not None and name not in _PLAIN:
            notes.append(
                f"The learning rate of {name} is not compared with 2/λ_max: its steps are not that times the gradient."
            )
        elif len(known):
            rate = float(known.max())
    if rate is None:
        notes.append("Without the learning rate of plain or momentum descent it is not compared with 2/λ_max.")
    return rate, beta, nesterov


def _held(train: Landscape, test: Landscape | None, point: Point) -> Held | None:
    if test is None:
        return None
    exact = test.to(dtype=torch.float64)
    check_rows(point.w, exact)
    if not isinstance(exact, SupportsMetrics) or not isinstance(train, SupportsMetrics):
        return Held(exact, float(exact.value(point.w)), {})
    after, before = exact.metrics(point.w), train.metrics(point.w)
    both = {name: (float(before[name]), float(after[name])) for name in after if name != "loss" and name in before}
    return Held(exact, float(after["loss"]) if "loss" in after else float(exact.value(point.w)), both)


def _notes_of(point: Point) -> list[str]:
    notes = []
    if not point.converged:
        notes.append("Some eigenvalues did not meet their tolerance; their numbers are rough.")
    if "differences" in point.method:
        notes.append(f"Hessian products come from {point.method}.")
    if point.data.startswith("mini-batch"):
        notes.append(f"The landscape is that of a {point.data}: another batch may look different.")
    return notes


def _edge_of_stability(case: Case) -> list[str]:
    """A learning rate at the limit with a loss that falls is how networks are trained, and no finding."""
    if case.learning_rate is None or not case.point.top > 0:
        return []
    ratio = case.learning_rate * case.point.top / case.stability
    if case.facts is not None and case.facts.lower and ratio > 0.9:
        return [
            f"η λ_max is {ratio:.2f} of its limit while the loss falls: training at the edge of stability, which is "
            "common with full batches and no fault."
        ]
    return []


def _noise(case: Case) -> tuple[Evidence, ...]:
    """The gradient noise scale, where there are enough examples that can be picked."""
    count = case.landscape.samples
    if count is None or count < _EXAMPLES or case.point.data.startswith("mini-batch"):
        return ()
    try:
        found = gradient_noise(case.landscape, case.point.w, large=min(_LARGE, count), pairs=20, seed=case.seed)
    except InputError:  # a loader that is read in its own order, or a sum over the examples
        return ()
    note = f"{found.low:.3g} to {found.high:.3g}; batches much larger than that gain little"
    return (Evidence("gradient noise scale", found.scale, "examples", note=note),)


def _measurements(case: Case) -> tuple[Evidence, ...]:
    point = case.point
    found = [
        Evidence("loss", point.loss),
        Evidence("loss of zero weights", math.nan if point.baseline is None else point.baseline),
        Evidence("gradient norm", point.gradient_norm),
        Evidence("weight norm", float(point.w.norm())),
        Evidence("largest eigenvalue", point.top),
        Evidence("smallest eigenvalue", point.bottom),
        Evidence("negative eigenvalues", float(point.negative), note="all" if point.complete else "at least"),
        Evidence("condition number", point.condition, note="over the smallest |λ| that is not zero"),
        Evidence("2/λ_max", 2 / point.top if point.top > 0 else math.inf),
        Evidence("seen by the gradient", point.seen, note="λ_max gᵀ|H|⁻¹g / |g|²"),
    ]
    if case.held is not None:
        found.append(Evidence("test loss", case.held.loss))
        for name, (train, test) in case.held.metrics.items():
            found += [Evidence(f"training {name}", train), Evidence(f"test {name}", test)]
    return tuple(replace(each, value=float(each.value)) for each in found)
