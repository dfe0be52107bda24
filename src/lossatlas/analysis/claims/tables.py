"""The table of claims."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from lossatlas.analysis.claims.claim import Claim
from lossatlas.core.table import Cell, Column, Table

__all__ = ["claims_table"]

_COLUMNS = (
    Column("claim", "Claim"),
    Column("network", "Network"),
    Column("where", "Where"),
    Column("statement", "Statement"),
    Column("verdict", "Verdict"),
    Column("paper", "Paper"),
    Column("agrees", "Agrees"),
    Column("effect_name", "Effect"),
    Column("effect", "Value", "", ".3g"),
    Column("low", "95 % from", "", ".3g"),
    Column("high", "to", "", ".3g"),
    Column("claimed_low", "Claimed from", "", ".3g"),
    Column("claimed_high", "to", "", ".3g"),
    Column("effect_size", "Standardised", "", ".2g"),
    Column("p_value", "p", "", ".2g"),
    Column("adjusted_p_value", "p, Holm", "", ".2g"),
    Column("units", "Runs or minima", "", "d"),
    Column("evidence", "Numbers used"),
    Column("paper_says", "The paper says"),
    Column("note", "Note"),
)


def claims_table(claims: Sequence[Claim]) -> Table:
    """All claims, one row each, also those not measured.

    Args:
        claims: as :func:`evaluate_claims` returns them.

    Example:
        >>> from lossatlas.analysis.claims.inputs import ClaimInputs
        >>> from lossatlas.analysis.claims.registry import evaluate_claims
        >>> claims_table(evaluate_claims([ClaimInputs("fcp")])).column("verdict")[0]
        'not measured'
    """
    verdicts = Counter(claim.verdict for claim in claims)
    tested = sum(claim.p_value is not None for claim in claims)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    return Table(
        "claims",
        "Claims",
        f"{len(claims)} tests: {counts}. A claim holds where the interval of its effect lies in the range claimed (for "
        "ranges with two limits the 90 % interval: two one-sided tests), does not hold where it lies outside, and is "
        "undecided otherwise. Intervals are 95 %, over runs or by a jackknife over minima, since pairs share them. "
        "p is one-sided, of the truth lying on the other side of what was decided (of a test left undecided, the "
        f"smaller of both); Holm's correction is for the {tested} tests with a p.",
        _COLUMNS,
        tuple(_row(claim) for claim in claims),
    )


def _row(claim: Claim) -> tuple[Cell, ...]:
    effect = claim.effect
    numbers: tuple[Cell, ...] = (None, None, None)
    if effect is not None:
        numbers = (_finite(effect.mean), _finite(effect.low), _finite(effect.high))
    return (
        claim.name,
        claim.network,
        claim.where,
        claim.statement,
        claim.verdict,
        claim.paper,
        None if claim.agrees is None else "yes" if claim.agrees else "no",
        claim.effect_name,
        *numbers,
        _finite(claim.claimed[0]),
        _finite(claim.claimed[1]),
        _finite(claim.effect_size),
        claim.p_value,
        claim.adjusted_p_value,
        effect.units if effect is not None and effect.units else None,
        "; ".join(claim.evidence),
        claim.paper_says,
        claim.note,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
