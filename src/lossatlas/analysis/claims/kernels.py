"""Claims about kernel PCA: which kernel tells the two optimizers apart, and on which sets."""

from __future__ import annotations

import math

from lossatlas.analysis.claims.claim import Claim
from lossatlas.analysis.claims.inputs import ClaimInputs, Scored
from lossatlas.analysis.claims.networks import everywhere, only
from lossatlas.analysis.claims.question import Question

__all__ = ["other_kernels_do_not", "rbf_separates", "rbf_separates_early_stopped"]

THRESHOLD = 0.8
"""Of the score |2A − 1|, A the area under the ROC curve: nine pairs in ten are in order."""

_SCORE = "|2 AUC − 1| along the first component"

_RBF = Question(
    "rbf-separates",
    "Kernel PCA with the RBF kernel separates trained L-BFGS-GSS from early-stopped SGD along the first component",
    (THRESHOLD, math.inf),
    paper=everywhere(),
    paper_says="clear separation in all four networks, along the first component (Fig. 6)",
)
_OTHERS = Question(
    "other-kernels-do-not",
    "Kernel PCA with a linear, polynomial or sigmoid kernel does not separate them along the first component",
    (-math.inf, THRESHOLD),
    paper=everywhere(),
    paper_says="the separation disappears with other kernels (data not shown)",
)
_STOPPED = Question(
    "rbf-separates-early-stopped",
    "Kernel PCA with the RBF kernel separates the two early-stopped sets along the first component",
    (THRESHOLD, math.inf),
    paper=only("autoencoder", "lstm"),
    paper_says="nearly disappears for FCP and LeNet, persists for the autoencoder and LSTM (Fig. S4)",
)


def rbf_separates(inputs: ClaimInputs) -> list[Claim]:
    """Fig. 6."""
    return [_ask(_RBF, inputs, "rbf", "train")]


def other_kernels_do_not(inputs: ClaimInputs) -> list[Claim]:
    """What the paper says and does not show, of the sets of Fig. 6."""
    return [_ask(_OTHERS, inputs, kernel, "train") for kernel in ("linear", "poly", "sigmoid")]


def rbf_separates_early_stopped(inputs: ClaimInputs) -> list[Claim]:
    """Fig. S4."""
    return [_ask(_STOPPED, inputs, "rbf", "test")]


def _ask(question: Question, inputs: ClaimInputs, kernel: str, weight_set: str) -> Claim:
    scored = Scored(f"separation, {kernel} kernel", (inputs.quasi_newton, weight_set), (inputs.stochastic, "test"))
    where = f"{kernel} kernel, L-BFGS-GSS {weight_set} set and SGD test set"
    return question.ask_score(inputs, scored, where, _SCORE)
