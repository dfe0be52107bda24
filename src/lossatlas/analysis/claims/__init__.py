"""Claims: sentences about optimizers and landscapes, each a test with its uncertainty."""

from __future__ import annotations

from lossatlas.analysis.claims.claim import ALPHA, Claim, holm, judge
from lossatlas.analysis.claims.ensembles import curve_samples, ensemble_samples, path_samples
from lossatlas.analysis.claims.flatness import CURVATURES
from lossatlas.analysis.claims.heights import MEASURES, PENALTY
from lossatlas.analysis.claims.inputs import ClaimInputs, Measured, Score, Scored
from lossatlas.analysis.claims.question import Question
from lossatlas.analysis.claims.registry import claims, evaluate_claims
from lossatlas.analysis.claims.tables import claims_table
from lossatlas.analysis.claims.weights import origin_numbers, separation_score

__all__ = [
    "ALPHA",
    "CURVATURES",
    "MEASURES",
    "PENALTY",
    "Claim",
    "ClaimInputs",
    "Measured",
    "Question",
    "Score",
    "Scored",
    "claims",
    "claims_table",
    "curve_samples",
    "ensemble_samples",
    "evaluate_claims",
    "holm",
    "judge",
    "origin_numbers",
    "path_samples",
    "separation_score",
]
