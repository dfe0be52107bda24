"""Claims about where weight vectors lie: their lengths, their spread, their direction."""

from __future__ import annotations

import math

from lossatlas.analysis.claims.claim import Claim
from lossatlas.analysis.claims.inputs import ClaimInputs, Measured, Scored
from lossatlas.analysis.claims.networks import everywhere, only
from lossatlas.analysis.claims.question import Question
from lossatlas.analysis.comparison import difference
from lossatlas.analysis.sample import Sample

__all__ = [
    "components_more_spread",
    "length_gap_remains",
    "minima_further_apart",
    "no_preferred_direction",
    "vectors_longer",
]

FIGURES = {"Fig. 5": "train", "Fig. S3": "test"}
"""Figures of distances to the common origin, and the L-BFGS-GSS set that each sets against the SGD test set."""

_LONGER = Question(
    "bfgs-vectors-longer",
    "L-BFGS-GSS weight vectors are longer than SGD ones, measured from the mean of the two centroids",
    (1.0, math.inf),
    "ratio",
    everywhere(),
    "tend to be longer (Fig. 5); less different for FCP and LeNet on the test sets (Fig. S3)",
)
_APART = Question(
    "bfgs-minima-further-apart",
    "L-BFGS-GSS minima are further from one another than SGD minima",
    (1.0, math.inf),
    "ratio",
    everywhere(),
    "more distant from one another in parameter space, more widely dispersed (text)",
)
_SPREAD = Question(
    "bfgs-components-more-spread",
    "Components of L-BFGS-GSS weight vectors have a larger standard deviation",
    (1.0, math.inf),
    "ratio",
    everywhere(),
    "larger standard deviations (Table S1)",
)
_DIRECTION = Question(
    "no-preferred-direction",
    "The centroids of the two sets are nearer to their common origin than half the mean distance of the minima from it",
    (-math.inf, 0.25),  # of squares
    paper=everywhere(),
    paper_says="no strongly preferred direction (Figs. 5, S3)",
)
_GAP = Question(
    "length-gap-remains",
    "More than half of the gap in length between trained L-BFGS-GSS and early-stopped SGD vectors remains when "
    "L-BFGS-GSS is stopped early",
    (0.0, math.inf),
    paper=only("autoencoder", "lstm"),
    paper_says="less different for FCP and LeNet, nearly the same for the autoencoder and LSTM (Fig. S3)",
)


def vectors_longer(inputs: ClaimInputs) -> list[Claim]:
    """Lengths from the common origin (Figs. 5, S3)."""
    found = []
    for figure, weight_set in FIGURES.items():
        bfgs = Measured("length", inputs.quasi_newton, weight_set, way=figure)
        sgd = Measured("length", inputs.stochastic, "test", way=figure)
        found.append(_LONGER.ask(inputs, bfgs, sgd, f"L-BFGS-GSS {weight_set} set against SGD test set"))
    return found


def minima_further_apart(inputs: ClaimInputs) -> list[Claim]:
    """Distances between the minima of one set."""
    found = []
    for bfgs_set, sgd_set in (("train", "train"), ("test", "test"), ("train", "test")):
        bfgs = Measured("distance", inputs.quasi_newton, bfgs_set)
        sgd = Measured("distance", inputs.stochastic, sgd_set)
        # The paper compares the lengths of trained L-BFGS-GSS and early-stopped SGD vectors first.
        asked = _APART if (bfgs_set, sgd_set) == ("train", "test") else _APART.elsewhere()
        found.append(asked.ask(inputs, bfgs, sgd, f"L-BFGS-GSS {bfgs_set} set against SGD {sgd_set} set"))
    return found


def components_more_spread(inputs: ClaimInputs) -> list[Claim]:
    """Standard deviations of the components of each vector (Table S1)."""
    found = []
    for weight_set in ("train", "test"):
        bfgs, sgd = (
            Measured("component spread", name, weight_set) for name in (inputs.quasi_newton, inputs.stochastic)
        )
        found.append(_SPREAD.ask(inputs, bfgs, sgd, f"{weight_set} sets"))
    return found


def no_preferred_direction(inputs: ClaimInputs) -> list[Claim]:
    """Distance of the centroids beside the radii (Figs. 5, S3), without what chance brings, computed elsewhere."""
    return [
        _DIRECTION.ask_score(
            inputs,
            Scored("centroid offset", (inputs.quasi_newton, weight_set), (inputs.stochastic, "test")),
            f"L-BFGS-GSS {weight_set} set and SGD test set",
            "squared distance of a centroid over the squared mean radius",
        )
        for weight_set in FIGURES.values()
    ]


def length_gap_remains(inputs: ClaimInputs) -> list[Claim]:
    """Whether early-stopped L-BFGS-GSS vectors are nearer in length to trained ones than to SGD's.

    The effect is b_test − (b_train + s_test)/2 with b and s mean lengths of L-BFGS-GSS and SGD vectors: positive where
    more than half of the gap b_train − s_test remains. The two sets of L-BFGS-GSS are the same runs, so the difference
    b_test − b_train/2 is taken run by run. Without a gap that is beyond doubt there is nothing to remain of it.
    """
    trained, stopped = (Measured("norm", inputs.quasi_newton, each) for each in ("train", "test"))
    sgd = Measured("norm", inputs.stochastic, "test")
    b_train, b_test, s_test = (inputs.samples.get(name) for name in (trained, stopped, sgd))
    where = "L-BFGS-GSS train and test sets, SGD test set"
    if b_train is None or b_test is None or s_test is None:
        # asked of what is lacking, which says so
        lacking = [name for name in (trained, stopped, sgd) if name not in inputs.samples]
        return [_GAP.ask(inputs, lacking[0], lacking[-1], where)]
    gap = difference(b_train, s_test).difference
    if not gap.low > 0:
        ends = f"{gap.mean:.3g}, 95 %: {gap.low:.3g} to {gap.high:.3g}"
        words = f"needs a gap: trained L-BFGS-GSS vectors are not surely longer (by {ends})"
        return [_GAP.unmeasured(inputs, where, words, (str(trained), str(stopped), str(sgd)))]
    common = [member for member in b_test.members if member in set(b_train.members)]
    if not common:
        return [_GAP.unmeasured(inputs, where, "the L-BFGS-GSS train and test sets have no run in common")]
    pairs = zip(b_test.at(common).values, b_train.at(common).values, strict=True)
    left = Sample(tuple(test - train / 2 for test, train in pairs), tuple(common))
    evidence = (str(trained), str(stopped), str(sgd))
    return [_GAP.ask_samples(inputs, left, s_test.map(lambda length: length / 2), evidence, where)]
