"""Claim: a sentence about a network, tested; and how an interval becomes a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from lossatlas.analysis.uncertainty import Estimate
from lossatlas.core.files import Tree

__all__ = ["ALPHA", "Claim", "Range", "Verdict", "holm", "judge"]

Verdict: TypeAlias = Literal["holds", "does not hold", "undecided at this size", "no difference", "not measured"]

Range: TypeAlias = tuple[float, float]
"""What a claim says of its effect: above, below, or between the two; infinite where there is no limit."""

ALPHA = 0.05
"""Chance of deciding wrongly where the truth is at the edge: of both sides together, or of one for equivalence."""


@dataclass(frozen=True)
class Claim:
    """A claim that was tested.

    Args:
        name: of the claim in the registry, such as ``"sgd-paths-lower"``.
        statement: what is claimed, in a sentence.
        network: where it was tested, such as ``"fcp"``.
        where: landscape, weight set, way and measure, as far as they apply, such as
            ``"train landscape, test sets, converged, as barrier"``.
        effect_name: what the effect is, such as ``"ratio of mean"``.
        effect: with its interval and number of units; None where nothing was measured.
        claimed: the range in which the claim puts the effect, in its units.
        verdict: ``"holds"``, ``"does not hold"``, ``"undecided at this size"``, ``"no difference"`` where all numbers
            compared are equal, or ``"not measured"``.
        effect_size: standardised; None where there is none.
        p_value: one-sided, of the effect being on the other side of what was decided: outside the range claimed where
            it holds, inside where it does not, the smaller of the two where it is undecided; None where there is none.
        adjusted_p_value: the same after Holm's correction for all claims tested together.
        paper: verdict of Yu & Morozov 2026 for this network; None where they are silent.
        paper_says: what they say, in a sentence.
        evidence: names of the numbers used.
        note: what a reader should know; of a claim not measured, what would measure it.
    """

    name: str
    statement: str
    network: str
    where: str
    effect_name: str
    effect: Estimate | None
    claimed: Range
    verdict: Verdict
    effect_size: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    paper: Verdict | None = None
    paper_says: str = ""
    evidence: tuple[str, ...] = ()
    note: str = ""

    @property
    def agrees(self) -> bool | None:
        """Whether the verdict is the paper's; None where either leaves it open."""
        decided = self.verdict in ("holds", "does not hold")
        return self.verdict == self.paper if decided and self.paper is not None else None

    def to_tree(self) -> Tree:
        """Return a dict of numbers and strings, the form in which claims are stored."""
        return asdict(self)

    @classmethod
    def from_tree(cls, tree: Tree) -> Claim:
        """Rebuild a claim from :meth:`to_tree`."""
        effect = tree["effect"] and Estimate(**tree["effect"])
        own = {"effect": effect, "claimed": tuple(tree["claimed"]), "evidence": tuple(tree["evidence"])}
        return cls(**(tree | own))


def judge(effect: Estimate, claimed: Range) -> tuple[Verdict, float | None]:
    """Turn an interval into a verdict.

    *Above or below a threshold*: it holds where the 95 % interval lies entirely on the side claimed, does not hold
    where it lies entirely on the other. *Between two limits* (equivalence): it holds where the 90 % interval lies
    between them, which is two one-sided tests at 5 % each (TOST), and does not hold where the 95 % interval is beyond
    one of them. All else is undecided.

    Args:
        effect: in any units.
        claimed: the range, in the same units.

    Returns:
        The verdict and its p-value: one-sided, of the effect being outside the range (the larger of two for
        equivalence) where it holds, inside where it does not, and the smaller of both where it is undecided.

    Reference:
        Schuirmann 1987, *A comparison of the two one-sided tests procedure and the power approach*, J. Pharmacokinet.
        Biopharm. 15, 657.

    Example:
        >>> from lossatlas.analysis.uncertainty import mean_of_runs
        >>> effect = mean_of_runs([0.9, 1.0, 1.1, 1.0])
        >>> judge(effect, (0.0, math.inf))[0], judge(effect, (-math.inf, 0.0))[0], judge(effect, (0.95, 9.0))[0]
        ('holds', 'does not hold', 'undecided at this size')
    """
    low, high = claimed
    inside = [effect.p_value_above(low)] if math.isfinite(low) else []
    outside = [effect.p_value_below(low)] if math.isfinite(low) else []
    if math.isfinite(high):
        inside.append(effect.p_value_below(high))
        outside.append(effect.p_value_above(high))
    if any(map(math.isnan, inside)):
        return "undecided at this size", None
    within, beyond = max(inside), min(outside)
    if within < (ALPHA if len(inside) == 2 else ALPHA / 2):
        return "holds", within
    return ("does not hold", beyond) if beyond < ALPHA / 2 else ("undecided at this size", min(within, beyond))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of tests, in Holm's way.

    p̃_(k) = max_{j ≤ k} min(1, (m − j + 1) p_(j)): rejecting where p̃ < α keeps the chance of any false rejection below
    α, however the tests depend on each other.

    Holm 1979, *A simple sequentially rejective multiple test procedure*, Scand. J. Statist. 6, 65.

    Args:
        p_values: one per test.

    Returns:
        The adjusted ones, in the same order.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[k]))
        adjusted[k] = highest
    return adjusted
