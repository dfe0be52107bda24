"""Checks of the descent: gradients that explode, steps that are too long, a spectrum that is too wide."""

from __future__ import annotations

import math

from lossatlas.analysis.diagnosis.case import LOW, Case
from lossatlas.analysis.diagnosis.network_checks import dead
from lossatlas.analysis.diagnosis.pictures import (
    curvature_picture,
    curves_picture,
    layers_picture,
    step_picture,
    tops_picture,
)
from lossatlas.analysis.diagnosis.point import ZERO
from lossatlas.analysis.diagnosis.records import Evidence, Finding
from lossatlas.analysis.diagnosis.run_facts import RunFacts
from lossatlas.analysis.diagnosis.saddle import trapped

__all__ = ["exploding", "ill_conditioned", "learning_rate", "small_steps"]

# A spectrum this wide slows gradient descent down by as many steps; a gradient that sees so much of it shows that.
# Without a run to show it, a network's gradient must see far more: half-trained ones see a few hundred.
_WIDE, _SEEN, _SEEN_ALONE, _LEFT = 1e3, 300.0, 1e3, 0.05
# Rates below this part of the largest stable one are short; a run so many e-folds long has hardly begun.
_SHORT, _BEGUN = 1e-2, 1.0
# Near this part of the largest stable rate a loss that oscillates does so because of it.
_NEAR = 0.8
_WORSE, _STEEP = 10.0, 10.0


def exploding(case: Case) -> Finding | None:
    """Spikes of the gradient before the loss diverges, or no reason to be seen; or a loss far too high and steep."""
    facts, point = case.facts, case.point
    advice = (
        "Clip the gradient by its norm, at a few times the median norm of a healthy stretch of the run.",
        "Draw smaller initial weights (He for ReLU, Glorot for tanh); add normalisation layers or residual links.",
        "Warm the learning rate up over the first few hundred steps, or lower it.",
    )
    if facts is not None and facts.diverged and facts.lead is not None and not _steady_growth(case):
        many = "step" if facts.lead == 1 else "steps"
        sentence = (
            f"The gradient norm rose to {facts.spike_size:.3g} times its median, {facts.lead} {many} before the loss "
            f"diverged at step {facts.diverged_at}."
        )
        numbers = [
            Evidence("lead", float(facts.lead), "steps", note="from the first spike to the divergence"),
            Evidence("spike", facts.spike_size, limit=5.0, note="norm over the median of the 20 steps before"),
            Evidence("diverged at", float(facts.diverged_at or 0), "step"),
            Evidence("first loss", facts.first),
        ]
        return Finding("exploding gradients", sentence, tuple(numbers), advice, curves_picture(case, "exploding"))
    if facts is not None and facts.diverged and learning_rate(case) is None:
        return _unexplained(case, facts, advice)
    if point.level > _WORSE and point.elasticity > _STEEP:
        sentence = (
            f"The loss is {point.level:.3g} times that of a network with all weights zero, and changes by "
            f"{point.elasticity:.3g} % for 1 % of the weights."
        )
        numbers = [
            Evidence("loss over baseline", point.level, limit=_WORSE),
            Evidence("elasticity", point.elasticity, limit=_STEEP, note="|g| |w| / L"),
            Evidence("gradient norm", point.gradient_norm),
        ]
        return Finding("exploding gradients", sentence, tuple(numbers), advice[1:], layers_picture(case))
    return None


def _unexplained(case: Case, facts: RunFacts, advice: tuple[str, ...]) -> Finding:
    """A divergence without a spike before it and without a learning rate known to be too large: still no health."""
    rate = "an unknown learning rate" if case.learning_rate is None else "a learning rate that curvature allows"
    sentence = f"The loss diverged at step {facts.diverged_at}, at {rate}, with no spike of the gradient before."
    numbers = (
        Evidence("diverged at", float(facts.diverged_at or 0), "step"),
        Evidence("first loss", facts.first),
        Evidence("largest eigenvalue", case.point.top, note="before the divergence"),
    )
    first = "Look for NaN or infinity in the data, and for logarithms, roots and divisions in the loss."
    pictures = curves_picture(case, "exploding")
    return Finding("exploding gradients", sentence, numbers, (first, *advice), pictures)


def _steady_growth(case: Case) -> bool:
    """Whether steps beyond stability explain a divergence: the norm then grows by the same factor every step."""
    if case.facts is None or case.learning_rate is None:
        return False
    top = max(top for _, top in case.tops)
    unstable = case.learning_rate * top > case.stability
    return unstable and not case.facts.growth > 1.2 * max(abs(1 - case.learning_rate * top), 1.0)


def learning_rate(case: Case) -> Finding | None:
    """η λ_max beyond stability where the run shows it, or a loss that zigzags without falling."""
    facts, rate = case.facts, case.learning_rate
    swings = facts is not None and facts.restless
    # A loss that goes up and down sees another curvature at every turn: the largest counts.
    step, top = max(case.tops, key=lambda each: each[1])
    if not top > 0:
        return None
    largest = case.stability / top
    evidence = [
        Evidence("largest eigenvalue", top, note=f"at step {step}" if case.history is not None else ""),
        Evidence("largest stable learning rate", largest, note=f"{case.stability:.3g}/λ_max"),
    ]
    if facts is not None:
        evidence.append(Evidence("amplitude", facts.amplitude, limit=0.1, note="of the loss in the last third"))
        evidence.append(Evidence("trend", facts.trend, limit=0.95, note="last third of the run over the middle one"))
    if rate is None:
        if facts is None or not facts.zigzag or trapped(case):
            return None
        sentence = (
            f"The loss swings by {100 * facts.amplitude:.0f} % from step to step and does not fall. {case.method} is "
            f"stable up to a learning rate of {largest:.3g} = {case.stability:.3g}/λ_max here."
        )
    else:
        ratio = rate / largest
        suffers = facts is None or swings or facts.diverged
        if not suffers or not ratio > (_NEAR if facts is not None and facts.oscillating else 1.0):
            return None
        evidence.insert(0, Evidence("learning rate", rate, limit=largest))
        evidence.insert(1, Evidence("η λ over its limit", ratio, limit=1.0))
        what = ""
        if facts is not None:
            diverged = f" The run diverged at step {facts.diverged_at}."
            what = " The loss swings and does not fall." if swings else diverged
        sentence = (
            f"The learning rate {rate:.3g} is {ratio:.3g} times the largest stable one, {largest:.3g} = "
            f"{case.stability:.3g}/λ_max.{what}"
        )
        if facts is not None and facts.diverged:
            evidence.extend(_growth(case, facts, rate * top))
    advice = [
        f"Take a learning rate below {largest:.3g}: half of it, {largest / 2:.3g}, is the most to begin with. "
        "Curvature grows as a network learns, and a network that steps have broken is too flat to tell."
    ]
    if len(case.layers) > 1:
        smallest = min(case.layers, key=lambda layer: layer.largest_rate)
        advice.append(
            f"Layer by layer 2/λ_max differs; the least is {smallest.largest_rate:.3g}, of '{smallest.name}'. Groups "
            "of parameters with their own learning rates, or Adam, use that."
        )
    advice.append("Warm up, or let the rate decay: the curvature is often largest early.")
    pictures = (*curves_picture(case, "learning-rate"), *tops_picture(case), *step_picture(case))
    return Finding("learning rate too large", sentence, tuple(evidence), tuple(advice), pictures)


def small_steps(case: Case) -> Finding | None:
    """Steps far below what is stable, in a run that they have not taken anywhere, and would have if longer."""
    facts, rate, run = case.facts, case.learning_rate, case.history
    top = max(top for _, top in case.tops)
    if facts is None or rate is None or run is None or facts.diverged or not facts.high or not top > 0:
        return None
    largest, steps = case.stability / top, int(run.curves.steps[-1])
    # What gradient flow would have done along the steepest direction in the time of the run: e-folds.
    gone = rate * steps * top / (1 - case.momentum)
    if not (rate < _SHORT * largest and gone < _BEGUN) or dead(case):
        return None
    sentence = (
        f"The learning rate {rate:.3g} is {largest / rate:.2g} times smaller than the largest stable one, "
        f"{largest:.3g} = {case.stability:.3g}/λ_max, and {steps} steps of it are hardly a beginning."
    )
    evidence = (
        Evidence("learning rate", rate, limit=_SHORT * largest),
        Evidence("largest stable learning rate", largest, note=f"{case.stability:.3g}/λ_max"),
        Evidence("way gone", gone, limit=_BEGUN, note="steps x η λ_max: e-folds along the steepest direction"),
        Evidence("loss over the first", facts.last / facts.first if facts.first else math.nan, limit=0.8),
    )
    advice = (
        f"Raise the learning rate tenfold at a time, as far as {largest / 2:.3g}.",
        "What else is found here tells of the place where the run began, and not of where it would go.",
    )
    return Finding("learning rate too small", sentence, evidence, advice, curves_picture(case, "small-steps"))


def _growth(case: Case, facts: RunFacts, product: float) -> list[Evidence]:
    """Factor of the gradient norm per step: predicted by the curvature, and measured."""
    found = []
    if case.momentum == 0:
        found.append(Evidence("predicted growth", abs(1 - product), note="|1 − η λ_max| per step"))
    if math.isfinite(facts.growth):
        found.append(Evidence("measured growth", facts.growth, note="of the gradient norm, per step"))
    return found


def ill_conditioned(case: Case) -> Finding | None:
    """A wide spectrum that slows descent: by itself for an energy, with its symptom for a network."""
    point = case.point
    condition, seen = point.condition, point.seen
    left = min(point.attainable, abs(point.loss)) / case.scale if case.scale > 0 else math.nan
    if not condition >= _WIDE or not (_suffers(case, seen, left) if case.network else not point.negative):
        return None
    limit = _SEEN_ALONE if case.facts is None else _SEEN
    evidence = [
        Evidence("condition number", condition, limit=_WIDE, note="λ_max over the smallest |λ| that is not zero"),
        Evidence("largest eigenvalue", point.top),
        Evidence("seen by the gradient", seen, limit=limit if case.network else None, note="λ_max gᵀ|H|⁻¹g / |g|²"),
        Evidence("left to gain", left, limit=_LEFT if case.network else None, note="of the scale of the loss"),
    ]
    sentence = f"Curvatures differ by a factor of {condition:.2g}"
    sentence += " or more: the smallest lie below what can be told from zero." if condition > 0.5 / ZERO else "."
    if math.isfinite(seen) and seen > 1:
        sentence += f" Gradient descent at its largest rate needs about {seen:.2g} steps for what one Newton step does."
    advice = (
        "Scale the inputs to zero mean and unit variance, or add normalisation layers.",
        "Use momentum, which needs √κ steps instead of κ, an adaptive method (Adam), or second-order steps (L-BFGS).",
        "The learning rate is limited by the steepest direction: a smaller one does not help the flat ones.",
    )
    pictures = (*curvature_picture(case), *curves_picture(case, "ill-conditioned"))
    return Finding("ill-conditioned", sentence, tuple(evidence), advice, pictures)


def _suffers(case: Case, seen: float, left: float) -> bool:
    """Whether the run shows that the spectrum is too wide: nearly all networks have a wide one."""
    facts = case.facts
    if facts is not None and facts.diverged:
        return False
    if facts is not None and facts.restless:
        top = max(top for _, top in case.tops)
        return facts.zigzag or (case.learning_rate is not None and case.learning_rate * top > _NEAR * case.stability)
    # Where the run still falls briskly, nothing is slow.
    brisk = facts is not None and facts.trend < 0.8
    return seen >= (_SEEN_ALONE if facts is None else _SEEN) and left >= _LEFT and case.level > LOW and not brisk
