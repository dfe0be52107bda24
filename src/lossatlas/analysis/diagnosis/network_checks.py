"""Checks of the network: gradients that vanish, plateaus, minima that do not generalise; and none of that."""

from __future__ import annotations

import math

from lossatlas.analysis.diagnosis.case import HIGH, LOW, Case
from lossatlas.analysis.diagnosis.pictures import curves_picture, layers_picture, slices_picture, step_picture
from lossatlas.analysis.diagnosis.records import Evidence, Finding
from lossatlas.analysis.diagnosis.saddle import near_critical, trapped
from lossatlas.curvature.sam_sharpness import sam_sharpness
from lossatlas.curvature.worst_loss import epsilon_sharpness

__all__ = ["FAULTLESS", "dead", "healthy", "overfit", "plateau", "vanishing"]

_VANISHED, _LAYERS = 1e-3, 3
_DEAD = 1e-12  # of the gradient: nothing, but for rounding
_STILL, _UNLEARNED, _FLAT_PART = 0.05, 0.8, 0.5
_GAP = 0.2

FAULTLESS = "None of the pathologies looked for was found."
"""What a healthy finding says of a point where nothing is left to do or a network learns."""


def vanishing(case: Case) -> Finding | None:
    """Gradients that shrink towards the input, in a network that has not learned yet."""
    layers = case.layers
    # Of two layers a ratio says little, but nothing at all is nothing.
    few = len(layers) < _LAYERS and not dead(case)
    if few or not case.level > HIGH or trapped(case):
        return None
    now, begun, bent = _reached(case)
    ratio = _least(now, begun, bent)
    if not ratio < _VANISHED:
        return None
    per = ratio ** (1 / (len(layers) - 1))
    gone = dead(case)
    first = layers[0].name
    sentence = (
        f"No gradient reaches the first layer, '{first}': a layer on the way is dead, its units give the same for "
        "every example."
        if gone
        else f"What reaches the first layer, '{first}', is {ratio:.2g} of what reaches the last: on its way to the "
        f"input the gradient shrinks by a factor of {per:.2g} per layer."
    )
    evidence = (
        Evidence("first over last", ratio, limit=_VANISHED, note="the least of the three below"),
        Evidence("gradient now", now, note="root mean square, first over last layer"),
        Evidence("gradient as the run began", begun, note="the same at the first snapshot"),
        Evidence("curvature", bent, note="√ of λ_max of the first layer over that of the last"),
        Evidence("per layer", per),
        Evidence("loss over baseline", case.level, limit=HIGH),
    )
    revive = (
        "Start again from other weights with a smaller learning rate: one long step can leave every ReLU at zero for "
        "good.",
        "Use activations whose gradient is nowhere zero (leaky ReLU, GELU).",
    )
    smoother = (
        "Use activations that do not saturate (ReLU, GELU) in place of sigmoid and tanh, with He's initial weights.",
        "Add residual connections or normalisation layers, so that gradients reach the input.",
        "A larger learning rate for the first layers, or Adam, helps a little; what has rounded off is gone.",
    )
    pictures = (*layers_picture(case), *curves_picture(case, "vanishing"))
    return Finding("vanishing gradients", sentence, evidence, revive if gone else smoother, pictures)


def dead(case: Case) -> bool:
    """Whether nothing reaches the first layer of a network that has not learned: no step of any length changes that."""
    unlearned = len(case.layers) > 1 and case.level > HIGH
    return unlearned and _least(*_reached(case)) < _DEAD and not trapped(case)


def _reached(case: Case) -> tuple[float, float, float]:
    """What reaches the first layer over what reaches the last: gradient now, as the run began, and by curvature.

    Where a run has settled the gradients of the last layers are gone too; how it began still tells, and curvature,
    which is quadratic in what reaches a layer.
    """
    first, last = case.layers[0], case.layers[-1]
    bent = math.sqrt(max(first.top, 0.0) / last.top) if last.top > 0 else math.nan
    now = _first_over_last(tuple(layer.gradient for layer in case.layers))
    return now, _first_over_last(case.gradients_at_start), bent


def _least(*ratios: float) -> float:
    return min((each for each in ratios if math.isfinite(each)), default=math.nan)


def _first_over_last(sizes: tuple[float, ...]) -> float:
    return sizes[0] / sizes[-1] if sizes and sizes[-1] > 0 else math.nan


def plateau(case: Case) -> Finding | None:
    """A high loss that neither gradient nor curvature nor run will change."""
    point, facts = case.point, case.facts
    if facts is not None and (facts.diverged or facts.restless or (not facts.flat and facts.trend < 0.99)):
        return None
    bend = point.largest * point.size**2 / (2 * abs(point.loss)) if point.loss else math.nan
    still = point.elasticity < _STILL if point.loss else False
    # A network is compared with what it was before it learned; an energy, which has nothing like that, must be flat.
    compared = case.network or facts is not None
    high = case.level >= _UNLEARNED and case.flat_part >= _FLAT_PART if compared else bend < _STILL
    if not still or not high or trapped(case):
        return None
    sentence = (
        f"The loss, {point.loss:.3g}, is high and hardly depends on the weights: 1 % of them changes it by "
        f"{point.elasticity:.2g} %."
    )
    evidence = (
        Evidence("elasticity", point.elasticity, limit=_STILL, note="|g| |w| / L"),
        Evidence("loss over baseline", case.level, limit=_UNLEARNED),
        Evidence("flat part", case.flat_part, limit=_FLAT_PART, note="of the directions, or parameters in flat layers"),
        Evidence("curvature", bend, note="largest |λ| |w|² / 2L"),
        Evidence("gradient norm", point.gradient_norm),
    )
    advice = (
        "Look for saturated or dead units, and start from other initial weights (He, Glorot).",
        "Check that the inputs and targets reach the network: a constant output looks the same.",
        "Larger or adaptive steps, or noise from smaller batches, may carry the run across.",
    )
    return Finding("plateau", sentence, evidence, advice, (*layers_picture(case), *curves_picture(case, "plateau")))


def overfit(case: Case) -> Finding | None:
    """A low training loss and a high one on the test data."""
    held, point = case.held, case.point
    if held is None or not case.scale > 0:
        return None
    gap = (held.loss - point.loss) / case.scale
    if not point.loss <= HIGH * case.scale or not gap >= _GAP:
        return None
    worst = epsilon_sharpness(
        case.landscape, point.w, radius=0.05, norm="euclidean", scaling="parameter", starts=2, max_iterations=30,
        seed=case.seed,
    )  # fmt: skip
    adaptive = sam_sharpness(case.landscape, point.w, scaling="parameter")
    evidence = [
        Evidence("training loss", point.loss, limit=HIGH * case.scale),
        Evidence("test loss", held.loss),
        Evidence("gap", gap, limit=_GAP, note="of the scale of the loss"),
        Evidence("largest eigenvalue", point.top),
        Evidence("relative worst rise", float(worst.rise), note="|s / w| ≤ 0.05; rescaling does not change it"),
        Evidence("adaptive sharpness", float(adaptive.rise), note="ASAM, ρ = 0.5"),
    ]
    words = ""
    for name, (train, test) in held.metrics.items():
        evidence += [Evidence(f"training {name}", train), Evidence(f"test {name}", test)]
        words = words or f" ({name} {train:.3g} and {test:.3g})"
    sentence = f"The training loss is {point.loss:.2g}, the test loss {held.loss:.3g}{words}."
    advice = (
        "Stop earlier, at the lowest loss on validation data.",
        "More data or augmentation, weight decay or dropout, or a smaller network.",
        "For a flatter minimum: sharpness-aware minimisation, averages of weights along the run, smaller batches.",
        "Compare sharpness between runs with measures that rescaling does not change, never raw eigenvalues.",
    )
    return Finding("sharp or overfit minimum", sentence, tuple(evidence), advice, slices_picture(case))


def healthy(case: Case) -> Finding:
    """Nothing was found: say what was looked at."""
    point = case.point
    evidence = [
        Evidence("loss", point.loss),
        Evidence("gradient norm", point.gradient_norm),
        Evidence("largest eigenvalue", point.top),
    ]
    advice = []
    if point.top > 0:
        largest = case.stability / point.top
        evidence.append(Evidence("largest stable learning rate", largest, note=f"{case.stability:.3g}/λ_max"))
        advice.append(f"{case.method} is stable up to a learning rate of {largest:.3g} here.")
    if case.held is not None:
        evidence.append(Evidence("test loss", case.held.loss))
    # A network is judged by its loss; an energy, which has no scale, by whether this is one of its critical points.
    sentence = FAULTLESS if case.network or near_critical(case) else f"{FAULTLESS} {_not_critical(case)}"
    more = point.gradient_norm > 0 and case.level > LOW
    if sentence != FAULTLESS:
        advice.append("Go on: descend to a minimum, or follow the gradient norm to a saddle, and look again there.")
    else:
        advice.append("The loss still has some way to go: train on." if more else "Nothing needs to be done.")
    pictures = (*curves_picture(case, "healthy"), *step_picture(case))
    return Finding("healthy", sentence, tuple(evidence), tuple(advice), pictures)


def _not_critical(case: Case) -> str:
    """What is known of a point on a slope."""
    point = case.point
    below = f", and the smallest eigenvalue, {point.bottom:.3g}, is negative" if point.negative else ""
    return (
        f"But this is not a critical point: the gradient is {point.gradient_norm:.3g}{below}. A descent has not "
        "converged here."
    )
