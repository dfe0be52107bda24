"""Claims about what surrounds a minimum: curvature, and whether minima may be averaged."""

from __future__ import annotations

import math

from lossatlas.analysis.claims.claim import Claim
from lossatlas.analysis.claims.inputs import LANDSCAPES, ClaimInputs, Measured
from lossatlas.analysis.claims.networks import everywhere
from lossatlas.analysis.claims.question import Question

__all__ = ["CURVATURES", "averaging_works_better", "minima_flatter"]

CURVATURES = ("top eigenvalue", "trace", "relative top eigenvalue", "relative trace")
"""Measures of sharpness of a minimum; the relative ones in units of the sizes of the weights."""

_ALIKE = 10.0
"""Training losses within this factor: the curvature of a cross-entropy vanishes with it."""

_FLATTER = Question(
    "sgd-minima-flatter",
    "SGD minima are flatter than L-BFGS-GSS minima",
    (0.0, 1.0),
    "ratio",
    everywhere(),
    "flatter; asserted, not measured",
)
_AVERAGING = Question(
    "averaging-sgd-better",
    "The mean of two SGD minima lies less far above the higher of them than that of two L-BFGS-GSS minima",
    (-math.inf, 0.0),
    paper=everywhere(),
    paper_says="smoother connectivity of SGD minima facilitates model averaging; asserted, not measured",
)


def minima_flatter(inputs: ClaimInputs) -> list[Claim]:
    """SGD against L-BFGS-GSS in four measures of sharpness, in sets alike and as users would choose them."""
    found = []
    for quantity in CURVATURES:
        for sgd_set, bfgs_set in (("train", "train"), ("test", "test"), ("test", "train")):
            sgd = Measured(quantity, inputs.stochastic, sgd_set)
            bfgs = Measured(quantity, inputs.quasi_newton, bfgs_set)
            where = f"{quantity}, SGD {sgd_set} set against L-BFGS-GSS {bfgs_set} set"
            note = _apart(inputs, sgd, bfgs)
            # The paper means minima as they are, and says so of one comparison, not of twelve.
            of_paper = (quantity, sgd_set, bfgs_set) == (CURVATURES[0], "test", "train") and not note
            found.append((_FLATTER if of_paper else _FLATTER.elsewhere()).ask(inputs, sgd, bfgs, where, note=note))
    return found


def _apart(inputs: ClaimInputs, *sets: Measured) -> str:
    """A note where the two sets lie at training losses that cannot be compared."""
    losses = [inputs.samples.get(Measured("train loss", each.optimizer, each.weight_set)) for each in sets]
    means = [sample.estimate().mean for sample in losses if sample is not None]
    if len(means) < 2 or min(means) <= 0 or max(means) <= _ALIKE * min(means):
        return ""
    return f"the training losses differ by a factor of {max(means) / min(means):.2g}, and curvature falls with the loss"


def averaging_works_better(inputs: ClaimInputs) -> list[Claim]:
    """Loss at the midpoint above the higher end, between minima as they are and aligned."""
    found = []
    for landscape, sets in LANDSCAPES.items():
        for weight_set in sets:
            for way in ("as they are", "aligned"):
                sgd, bfgs = (
                    Measured("midpoint excess", name, weight_set, landscape, way)
                    for name in (inputs.stochastic, inputs.quasi_newton)
                )
                where = f"{landscape} landscape, {weight_set} sets, {way}"
                asked = _AVERAGING if way == "as they are" else _AVERAGING.elsewhere()
                found.append(asked.ask(inputs, sgd, bfgs, where))
    return found
