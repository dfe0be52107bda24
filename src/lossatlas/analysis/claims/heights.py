"""Claims about heights and barriers of paths between minima."""

from __future__ import annotations

import math
from dataclasses import replace

from lossatlas.analysis.claims.claim import Claim
from lossatlas.analysis.claims.inputs import LANDSCAPES, WAYS, ClaimInputs, Measured
from lossatlas.analysis.claims.networks import NETWORKS, only
from lossatlas.analysis.claims.question import Question

__all__ = [
    "MEASURES",
    "PENALTY",
    "aligning_lowers",
    "penalty_insensitive",
    "published_not_converged",
    "sgd_lower",
    "sgd_train_above_test",
    "train_above_test",
]

MEASURES = ("height", "barrier")
"""Highest loss on a path, and its rise above the higher end."""

PENALTY = "lambda="
"""Ways that differ in λ alone begin so."""

_BELOW = (-math.inf, 0.0)

_SGD_LOWER = Question(
    "sgd-paths-lower",
    "Paths between SGD minima are lower than those between L-BFGS-GSS minima",
    _BELOW,
    paper=only(*(name for name in NETWORKS if name != "autoencoder")),
    paper_says="lower for SGD, with the exception of the autoencoder (Figs. 4, S2)",
)
_TRAIN_ABOVE_TEST = Question(
    "train-paths-above-test",
    "Paths between L-BFGS-GSS minima of the training loss are higher than between the early-stopped points of the same "
    "runs",
    (0.0, math.inf),
    paper=only("fcp", "lstm"),
    paper_says="higher in two networks of four only, FCP and LSTM (Fig. 4)",
)
_SGD_TRAIN_ABOVE_TEST = Question(
    "sgd-train-paths-above-test",
    "Paths between SGD minima of the training loss are higher than between the early-stopped points of the same runs",
    (0.0, math.inf),
    paper_says="higher in some networks only, as for L-BFGS-GSS (Fig. 4); which is not said",
)
_INSENSITIVE = Question(
    "height-insensitive-to-penalty",
    "Path heights change by less than 10 % when the length penalty λ changes a hundredfold",
    (1 / 1.1, 1.1),  # in the paper's toy landscape the three differ by 2 %
    "ratio",
    {"paper-toy": "holds"},
    "fairly insensitive to λ (Fig. 3)",
)
_NOT_CONVERGED = Question(
    "published-paths-not-converged",
    "Published path heights are more than 5 % above converged ones between the same minima",
    (1.05, math.inf),
    "ratio",
    paper_says="100 Adam steps, without a test of convergence",
)
_ALIGNING = Question(
    "aligning-lowers-barriers",
    "Barriers are lower after the hidden units of the two ends are aligned",
    _BELOW,
    paper_says="nothing: ends are taken as they are",
)


def sgd_lower(inputs: ClaimInputs) -> list[Claim]:
    """SGD against L-BFGS-GSS: every landscape, set and way, as height and as barrier."""
    found = []
    for landscape, weight_set, way in _conditions(inputs):
        for measure in MEASURES:
            sgd, bfgs = (
                Measured(measure, name, weight_set, landscape, way) for name in (inputs.stochastic, inputs.quasi_newton)
            )
            where = f"{landscape} landscape, {weight_set} sets, {way}, as {measure}"
            asked = _as_published(_SGD_LOWER, way, measure)
            found.append(asked.ask(inputs, sgd, bfgs, where, note=_flat(inputs, sgd, bfgs)))
    return found


def train_above_test(inputs: ClaimInputs) -> list[Claim]:
    """Training against early-stopped weights of the same L-BFGS-GSS runs, on the training landscape."""
    return _train_above_test(_TRAIN_ABOVE_TEST, inputs, inputs.quasi_newton)


def sgd_train_above_test(inputs: ClaimInputs) -> list[Claim]:
    """The same of SGD."""
    return _train_above_test(_SGD_TRAIN_ABOVE_TEST, inputs, inputs.stochastic)


def _train_above_test(question: Question, inputs: ClaimInputs, optimizer: str) -> list[Claim]:
    found = []
    for way in _ways(inputs):
        for measure in MEASURES:
            train, test = (Measured(measure, optimizer, each, "train", way) for each in ("train", "test"))
            asked = _as_published(question, way, measure)
            where = f"train landscape, {way}, as {measure}"
            found.append(asked.ask(inputs, train, test, where, paired=True, note=_flat(inputs, train, test)))
    return found


def _as_published(question: Question, way: str, measure: str) -> Question:
    """The question with the paper's answers where the paper asked it: of heights, as published."""
    return question if (way, measure) == ("published", "height") else question.elsewhere()


def _flat(inputs: ClaimInputs, *names: Measured) -> str:
    """A note where no path rises above its ends, so that heights are losses of ends."""
    barriers = [inputs.samples.get(replace(name, quantity="barrier")) for name in names if name.quantity == "height"]
    known = [sample for sample in barriers if sample is not None]
    if not known or any(value != 0 for sample in known for value in sample.values):
        return ""
    return "no path rises above its ends: these are the losses of the higher ends"


def penalty_insensitive(inputs: ClaimInputs) -> list[Claim]:
    """Heights with the lowest λ against those with the highest, between the same ends, on the training landscape."""
    searched: dict[tuple[str, str], dict[float, Measured]] = {}
    for name in inputs.samples:
        if (name.quantity, name.landscape) == ("height", "train") and name.way.startswith(PENALTY):
            own = searched.setdefault((name.optimizer, name.weight_set), {})
            own[float(name.way.removeprefix(PENALTY))] = name
    found = []
    for (optimizer, weight_set), by_penalty in searched.items():
        low, high = min(by_penalty), max(by_penalty)
        if low < high:
            owner = f"{optimizer} {weight_set} set, " if optimizer else ""
            where = f"{owner}λ = {high:g} against λ = {low:g}, as height"
            found.append(_INSENSITIVE.ask(inputs, by_penalty[high], by_penalty[low], where, paired=True))
    return found or [_INSENSITIVE.unmeasured(inputs, "as height", "needs heights with two values of λ")]


def published_not_converged(inputs: ClaimInputs) -> list[Claim]:
    """The published way to find paths against the converged one, between the same minima."""
    found = []
    for optimizer in (inputs.stochastic, inputs.quasi_newton):
        for landscape, sets in LANDSCAPES.items():
            for weight_set in sets:
                published, converged = (
                    Measured("height", optimizer, weight_set, landscape, way) for way in ("published", "converged")
                )
                where = f"{optimizer} {weight_set} set, {landscape} landscape, as height"
                claim = _NOT_CONVERGED.ask(inputs, published, converged, where, paired=True)
                # Heights that are not converged could be lower still: they can prove the claim, and not deny it.
                if claim.verdict == "does not hold" and inputs.notes.get(converged):
                    claim = replace(claim, verdict="undecided at this size")
                found.append(claim)
    return found


def aligning_lowers(inputs: ClaimInputs) -> list[Claim]:
    """Aligned ends against ends as they are, both converged."""
    found = []
    for optimizer in (inputs.stochastic, inputs.quasi_newton):
        for landscape, sets in LANDSCAPES.items():
            for weight_set in sets:
                after, before = (
                    Measured("barrier", optimizer, weight_set, landscape, way) for way in ("aligned", "converged")
                )
                where = f"{optimizer} {weight_set} set, {landscape} landscape, as barrier"
                found.append(_ALIGNING.ask(inputs, after, before, where, paired=True))
    return found


def _ways(inputs: ClaimInputs) -> list[str]:
    """Ways to find paths; nobody misses a shortened search that was not made."""
    made = {name.way for name in inputs.samples}
    return [way for way in WAYS if way != "shortened" or way in made]


def _conditions(inputs: ClaimInputs) -> list[tuple[str, str, str]]:
    return [(landscape, each, way) for landscape, sets in LANDSCAPES.items() for each in sets for way in _ways(inputs)]
